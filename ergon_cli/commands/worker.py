"""`ergon worker`: run flows until told to stop."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.loading import default_module, load_flows
from ergon_cli.logs import log_to_stderr
from ergon_cli.options import State, VolatileOption, shared
from ergon_cli.render import note, say_json
from ergon_cli.serving import Stop, first_of, heed_signals
from ergon_cli.stores import new_store
from ergon_runtime import FlowDefinition, RunningWorker, StoreIdentity, Worker, registry
from ergon_runtime.config import Config

app = typer.Typer()
LOOK = 0.1
"""Seconds between looks for the end of a `--burst`."""


@app.command("worker", epilog="\b\nExamples:\n  ergon worker -m flows\n  ergon worker -m flows.py --burst")
@shared
def worker(
    state: State,
    concurrency: Annotated[int | None, typer.Option("-c", "--concurrency", help="Flows that advance at once.")] = None,
    lease: Annotated[
        str | None, typer.Option("--lease", metavar="DURATION", help="A dead worker's flows are taken over after this.")
    ] = None,
    max_entries: Annotated[
        int | None, typer.Option("--max-entries", metavar="N", help="Block a flow whose journal has as many entries.")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="End when there is nothing more to do.")] = False,
    uvloop: Annotated[bool, typer.Option("--uvloop", help="Run on uvloop's event loop.")] = False,
    allow_volatile: VolatileOption = False,
) -> ExitCode:
    """Run flows: claim those that are due, and run their steps."""
    config = state.load(concurrency=concurrency, lease=lease, max_entries=max_entries, allow_volatile=allow_volatile)
    if not config.modules:
        default_module(config.root)  # in a wrong folder this ends it, before a store is created there
    with asyncio.Runner(loop_factory=_uvloop() if uvloop else None) as runner:
        return runner.run(_work(config, state, burst=burst))


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError as error:
        if error.name != "uvloop":
            raise
        advice = "install it: pip install 'ergon-runtime[fast]'"
        raise CommandError(ExitCode.USAGE, "uvloop is not installed", advice) from None
    return new_event_loop


async def _work(config: Config, state: State, *, burst: bool) -> ExitCode:
    async with new_store(config) as store:
        identity = await store.identity()
    under_hash_seed(identity.hash_seed)
    definitions = load_flows(config, registry)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again and again
    log_to_stderr()
    async with new_store(config) as store:
        lease_seconds, cap = config.lease / 1000, config.max_entries
        serving = Worker(store, concurrency=config.concurrency, lease=lease_seconds, max_entries=cap)
        async with await serving.register_all().start() as running:
            stop = heed_signals(running)
            _banner(identity, running.name, definitions, config, state)  # whoever has read it may send a signal
            return await _serve(running, stop, burst=burst)


async def _serve(running: RunningWorker, stop: Stop, *, burst: bool) -> ExitCode:
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(running.join())]
    if burst:
        ends.append(asyncio.create_task(_until_quiet(running)))
    done = await first_of(ends)
    await running.shutdown()
    for task in done:
        task.result()
    if stop.asked:
        note("stopped: running steps have ended, the rest is handed back")
    return ExitCode.OK


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
    encrypted = f" · encrypted with key {identity.keys[0]}" if identity.keys else ""
    note(f"worker {name} · {identity.url} · durability {identity.durability}{encrypted} · flows {', '.join(flows)}")
