"""`ergon schedule`: accept a flow, with arguments typed by its own hints; with --wait also its result."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ergon_cli.arguments import parse_arguments
from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.loading import find_flow, load_flows
from ergon_cli.options import State, shared
from ergon_cli.render import note, say, say_json
from ergon_runtime import (
    ErgonError,
    FlowCancelled,
    FlowDefinition,
    FlowHandle,
    Outcome,
    Status,
    Store,
    open_store,
    registry,
)
from ergon_runtime.client import FLOW_ID, create_flow
from ergon_runtime.codec import describe_error
from ergon_runtime.config import parse_duration

app = typer.Typer()


@app.command(
    "schedule",
    epilog="\b\nExamples:\n  ergon schedule hello --wait\n  ergon schedule OrderFlow -a order_id=A-17 -a amount=9.50",
)
@shared
async def schedule(
    state: State,
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="The flow type's name.")],
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", "-a", metavar="NAME=VALUE", help="name=text, name:=JSON or name:=@file; repeat it."),
    ] = None,
    given: Annotated[
        str | None, typer.Option("--input", metavar="JSON|@FILE|-", help="Arguments as one JSON object.")
    ] = None,
    flow_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The flow's id; default: random.")] = None,
    delay: Annotated[str | None, typer.Option("--delay", metavar="DURATION", help="Start later: 10s, 2h.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="The version; default: the last defined.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, and print the result.")] = False,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="With --wait: stop waiting after this; exit 124."),
    ] = None,
) -> ExitCode:
    """Schedule a flow and print its id."""
    _check_id(flow_id)
    later = parse_duration(delay) if delay is not None else None
    patience = parse_duration(timeout) / 1000 if timeout is not None else None
    if patience is not None and not wait:
        raise CommandError(ExitCode.USAGE, "--timeout goes with --wait", "add --wait")
    config = state.load()
    definition = find_flow(load_flows(config, registry), flow, version)
    arguments = definition.encode_arguments(parse_arguments(definition, arg or (), given))
    async with open_store(config.store_url) as store:
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
                note(f"no live worker serves {_named(definition)}; start one: ergon worker{_modules(state)}")
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
    value = json.loads(outcome.value) if outcome.value is not None else None
    if state.json:
        say_json(
            {
                "id": handle.id,
                "flow": definition.name,
                "version": definition.version,
                "status": outcome.status,
                "result": value,
                "error": _error(outcome),
            }
        )
    elif outcome.status is Status.COMPLETED:
        say_json(value)
    if outcome.status is not Status.COMPLETED:
        show_error(_failure(handle, outcome), as_json=state.json)
        return ExitCode.FLOW_FAILED
    return ExitCode.OK


def _error(outcome: Outcome) -> dict[str, object] | None:
    if outcome.error is None:
        return None
    view = describe_error(outcome.error)
    return {"type": view.type, "message": view.message, "traceback": view.traceback}


def _failure(handle: FlowHandle[object], outcome: Outcome) -> CommandError:
    said: ErgonError | str = FlowCancelled(f"flow {handle.id} was cancelled", flow_id=handle.id)
    if outcome.error is not None:
        view = describe_error(outcome.error)
        said = f"flow {handle.id} failed: {view.type}: {view.message}"
    return CommandError(ExitCode.FLOW_FAILED, str(said), f"see: ergon inspect {handle.id}")


def _check_id(flow_id: str | None) -> None:
    if flow_id is not None and not FLOW_ID.fullmatch(flow_id):
        raise CommandError(
            ExitCode.USAGE,
            f"{flow_id!r} cannot be a flow id",
            "begin with a letter or digit, then at most 199 of A-Z a-z 0-9 . _ : @ = -",
        )


def _named(definition: FlowDefinition) -> str:
    return definition.name + (f" version {definition.version}" if definition.version else "")


def _modules(state: State) -> str:
    return "".join(f" -m {module}" for module in state.modules)
