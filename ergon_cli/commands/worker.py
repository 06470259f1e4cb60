"""`ergon worker`: run flows until told to stop.

The first SIGTERM or SIGINT drains: running steps end, the rest is handed back. The second stops at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from types import TracebackType
from typing import Annotated

import typer

from ergon_cli.exits import ExitCode
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.loading import default_module, load_flows
from ergon_cli.options import State, shared
from ergon_cli.render import note, say_json
from ergon_cli.text import safe
from ergon_runtime import FlowDefinition, ReplayFilter, RunningWorker, StoreIdentity, Worker, open_store, registry
from ergon_runtime.config import Config

app = typer.Typer()
LOOK = 0.1
"""Seconds between looks for the end of a `--burst`."""
STOP_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class SafeFormatter(logging.Formatter):
    """One record, one line: what came from a store or a flow cannot forge another, nor rule the terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        return safe(super().formatMessage(record))

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802  logging's name
        return "\n".join(safe(line) for line in super().formatException(ei).split("\n"))


@app.command("worker", epilog="\b\nExamples:\n  ergon worker -m flows\n  ergon worker -m flows.py --burst")
@shared
async def worker(
    state: State,
    concurrency: Annotated[int | None, typer.Option("-c", "--concurrency", help="Flows that advance at once.")] = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="DURATION", help="A dead worker's flows are taken over after this.")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when there is nothing more to do.")] = False,
) -> ExitCode:
    """Run flows: claim those that are due, and run their steps."""
    config = state.load(concurrency=concurrency, lease=lease)
    if not config.modules:
        default_module(config.root)  # in a wrong folder this ends it, before a store is created there
    async with open_store(config.store_url) as store:
        identity = await store.identity()
    under_hash_seed(identity.hash_seed)
    definitions = load_flows(config, registry)
    _log_to_stderr()
    async with open_store(config.store_url) as store:
        running = await Worker(store, concurrency=config.concurrency, lease=config.lease / 1000).register_all().start()
        stop = _heed_signals(running)
        _banner(identity, running.name, definitions, config, state)  # whoever has read it may send a signal
        return await _serve(running, stop, burst=burst)


def _heed_signals(running: RunningWorker) -> asyncio.Event:
    """From now on the first signal sets the event, and the second ends the process."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in STOP_CODES:
        loop.add_signal_handler(number, _on_signal, number, stop, running)
    return stop


async def _serve(running: RunningWorker, stop: asyncio.Event, *, burst: bool) -> ExitCode:
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(running.join())]
    if burst:
        ends.append(asyncio.create_task(_until_quiet(running)))
    done, rest = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await running.shutdown()
    for task in done:
        task.result()
    if stop.is_set():
        note("stopped: running steps have ended, the rest is handed back")
    return ExitCode.OK


def _on_signal(number: signal.Signals, stop: asyncio.Event, running: RunningWorker) -> None:
    if stop.is_set():
        sys.stderr.write("stopped at once; unfinished flows are taken over when their leases end\n")
        sys.stderr.flush()
        os._exit(STOP_CODES[number])
    stop.set()
    note(f"draining: {running.busy} running flows come to rest (again: stop at once)")


async def _until_quiet(running: RunningWorker) -> None:
    while not await running.quiet():  # noqa: ASYNC110  it asks the store, which rings for nothing that ends
        await asyncio.sleep(LOOK)


def _banner(
    identity: StoreIdentity, name: str, definitions: list[FlowDefinition], config: Config, state: State
) -> None:
    flows = [definition.name + (f"@{definition.version}" if definition.version else "") for definition in definitions]
    if state.json:
        say_json(
            {
                "worker": name,
                "store": identity.url,
                "durability": identity.durability,
                "flows": flows,
                "concurrency": config.concurrency,
                "lease_ms": config.lease,
            }
        )
        sys.stdout.flush()
        return
    note(f"worker {name} · {identity.url} · durability {identity.durability} · flows {', '.join(flows)}")


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(ReplayFilter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
