"""`ergon run`: one flow here, in this process, to its end, with its timers and children; its result on stdout.

It is `schedule` and a worker in one, and takes memory:// as well, where nothing is kept. What flow code, steps and the
processes that they start print goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Generator
from typing import Annotated

import typer

from ergon_cli.arguments import parse_arguments
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.hashseed import under_hash_seed
from ergon_cli.loading import default_module, find_flow, load_flows
from ergon_cli.logs import log_to_stderr
from ergon_cli.options import State, VolatileOption, shared
from ergon_cli.render import note
from ergon_cli.serving import first_of, heed_signals
from ergon_cli.starting import (
    ArgOption,
    FlowArgument,
    IdOption,
    InputOption,
    VersionOption,
    check_id,
    show_outcome,
    worker_command,
)
from ergon_cli.stores import new_store
from ergon_cli.waiting import until_over
from ergon_runtime import Executor, FlowValue, Outcome, Store, registry
from ergon_runtime.client import live_descendants
from ergon_runtime.codec import describe_error
from ergon_runtime.config import Config, parse_duration

app = typer.Typer()
GRACE = 5.0
"""Seconds that running steps have left when --timeout has passed."""


@app.command("run", epilog="\b\nExamples:\n  ergon run hello\n  ergon run OrderFlow -a order_id=A-17 --store memory://")
@shared
async def run(
    state: State,
    flow: FlowArgument,
    arg: ArgOption = None,
    given: InputOption = None,
    flow_id: IdOption = None,
    version: VersionOption = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="Stop after this; exit 124.")
    ] = None,
    allow_volatile: VolatileOption = False,
) -> ExitCode:
    """Run a flow here, to its end, and print its result."""
    check_id(flow_id)
    patience = parse_duration(timeout) / 1000 if timeout is not None else None
    config = state.load(memory=True, allow_volatile=allow_volatile)
    if not config.modules:
        default_module(config.root)  # in a wrong folder this ends it, before a store is created there
    kept = not config.store_url.startswith("memory:")
    if kept:
        async with new_store(config) as store:
            identity = await store.identity()
        under_hash_seed(identity.hash_seed)
    definition = find_flow(load_flows(config, registry), flow, version)
    value: FlowValue[object] = FlowValue(definition, parse_arguments(definition, arg or (), given))
    log_to_stderr()
    async with new_store(config) as store:
        executor = Executor(value, store, id=flow_id)
        with _prints_to_stderr():
            flow_id, outcome = await _run(store, executor, config, patience, state, kept=kept)
    if outcome.error is not None and not kept:
        note(describe_error(outcome.error).traceback or "")  # it can be seen nowhere else
    hint = f"see: ergon inspect {flow_id}" if kept else None
    return show_outcome(flow_id, definition, outcome, hint, as_json=state.json)


async def _run(
    store: Store, executor: Executor[object], config: Config, patience: float | None, state: State, *, kept: bool
) -> tuple[str, Outcome]:
    """The flow's id, and how it ended. Raises CommandError when it did not."""
    handle, running = await executor.start(
        concurrency=config.concurrency, lease=config.lease / 1000, max_entries=config.max_entries
    )
    async with running:
        stop = heed_signals(running)
        over = asyncio.create_task(until_over(store, handle, kept=kept, tell=not state.json))
        ends = [over, asyncio.create_task(stop.wait()), asyncio.create_task(running.join())]
        done = await first_of(ends, patience)
        with contextlib.suppress(TimeoutError):  # shut down too slowly it aborts
            async with asyncio.timeout(None if done else GRACE):
                await running.shutdown()
    for task in done:
        task.result()
    status = await handle.status()
    if status.ended:
        if not state.json:
            await _tell_of_children(store, handle.id, state, kept=kept)
        return handle.id, await handle.outcome()
    code, said = (stop.code, "was stopped") if stop.asked else (ExitCode.TIMEOUT, "has not ended in time")
    hint = f"it is kept, and goes on: {worker_command(state)}" if kept else "memory:// keeps nothing of it"
    raise CommandError(code, f"flow {handle.id} {said}: it is {status}", hint)


async def _tell_of_children(store: Store, flow_id: str, state: State, *, kept: bool) -> None:
    """Detached children may outlive the flow, and others have to clean up."""
    if left := len(await live_descendants(store, flow_id)):
        future = f"a worker goes on with them: {worker_command(state)}" if kept else "memory:// keeps nothing of them"
        note(f"children that have not ended: {left}; {future}")


@contextlib.contextmanager
def _prints_to_stderr() -> Generator[None]:
    """What is written to stdout goes to stderr, also by processes that steps start."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
