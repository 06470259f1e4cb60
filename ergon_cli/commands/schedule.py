"""`ergon schedule`: accept a flow, with arguments typed by its own hints; with --wait also its result."""

from __future__ import annotations

from typing import Annotated

import typer

from ergon_cli.arguments import parse_arguments
from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.loading import find_flow, load_flows
from ergon_cli.options import State, VolatileOption, shared
from ergon_cli.render import note, say, say_json
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
from ergon_runtime import FlowDefinition, FlowHandle, Store, registry
from ergon_runtime.client import create_flow
from ergon_runtime.config import parse_duration

app = typer.Typer()


@app.command(
    "schedule",
    epilog="\b\nExamples:\n  ergon schedule hello --wait\n  ergon schedule OrderFlow -a order_id=A-17 -a amount=9.50",
)
@shared
async def schedule(
    state: State,
    flow: FlowArgument,
    arg: ArgOption = None,
    given: InputOption = None,
    flow_id: IdOption = None,
    delay: Annotated[str | None, typer.Option("--delay", metavar="DURATION", help="Start later: 10s, 2h.")] = None,
    version: VersionOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="With --wait: stop waiting after this; exit 124."),
    ] = None,
    allow_volatile: VolatileOption = False,
) -> ExitCode:
    """Schedule a flow and print its id."""
    check_id(flow_id)
    later = parse_duration(delay) if delay is not None else None
    patience = parse_duration(timeout) / 1000 if timeout is not None else None
    if patience is not None and not wait:
        raise CommandError(ExitCode.USAGE, "--timeout goes with --wait", "add --wait")
    config = state.load(allow_volatile=allow_volatile)
    definition = find_flow(load_flows(config, registry), flow, version)
    arguments = definition.encode_arguments(parse_arguments(definition, arg or (), given))
    async with new_store(config) as store:
        due = await store.now() + later if later is not None else None
        handle, created = await create_flow(store, definition, arguments, flow_id, due)
        served = any(definition.lane in worker.lanes for worker in await store.workers())
        if state.json and not wait:
            say_json(
                {"id": handle.id, "flow": flow, "version": definition.version, "created": created, "served": served}
            )
        elif not state.json:
            say(handle.id)
            if not served and (created or not (await handle.status()).ended):
                note(f"no live worker serves {_named(definition)}; start one: {worker_command(state)}")
        return await _wait(store, handle, definition, patience, state) if wait else ExitCode.OK


async def _wait(
    store: Store, handle: FlowHandle[object], definition: FlowDefinition, patience: float | None, state: State
) -> ExitCode:
    try:
        outcome = await handle.outcome(timeout=patience)
    except TimeoutError:
        row = await store.get(handle.id)
        said = f"flow {handle.id} has not ended in time: it is {row.status if row else 'gone'}"
        show_error(CommandError(ExitCode.TIMEOUT, said, f"it goes on: ergon inspect {handle.id}"), as_json=state.json)
        return ExitCode.TIMEOUT
    return show_outcome(handle.id, definition, outcome, f"see: ergon inspect {handle.id}", as_json=state.json)


def _named(definition: FlowDefinition) -> str:
    return definition.name + (f" version {definition.version}" if definition.version else "")
