"""What `schedule` and `run` share: the options that say which flow to start with what, and how its end is shown."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.options import State
from ergon_cli.render import say_json
from ergon_runtime import FlowDefinition, Outcome, Status
from ergon_runtime.client import FLOW_ID
from ergon_runtime.codec import describe_error

FlowArgument = Annotated[str, typer.Argument(metavar="FLOW", help="The flow type's name.")]
ArgOption = Annotated[
    list[str] | None,
    typer.Option("--arg", "-a", metavar="NAME=VALUE", help="name=text, name:=JSON or name:=@file; repeat it."),
]
InputOption = Annotated[
    str | None, typer.Option("--input", metavar="JSON|@FILE|-", help="Arguments as one JSON object.")
]
IdOption = Annotated[str | None, typer.Option("--id", metavar="ID", help="The flow's id; default: a new one.")]
VersionOption = Annotated[str | None, typer.Option("--version", help="The version; default: the last defined.")]


def check_id(flow_id: str | None) -> None:
    """Refuse what cannot be an id. Raises CommandError: USAGE."""
    if flow_id is not None and not FLOW_ID.fullmatch(flow_id):
        raise CommandError(
            ExitCode.USAGE,
            f"{flow_id!r} cannot be a flow id",
            "begin with a letter or digit, then at most 199 of A-Z a-z 0-9 . _ : @ = -",
        )


def worker_command(state: State) -> str:
    """The command that starts a worker for the modules that were named."""
    return "ergon worker" + "".join(f" -m {module}" for module in state.modules)


def show_outcome(
    flow_id: str, definition: FlowDefinition, outcome: Outcome, hint: str | None, *, as_json: bool
) -> ExitCode:
    """How a flow ended: its result on stdout, or its error and the hint on stderr; with --json also an object."""
    value = json.loads(outcome.value) if outcome.value is not None else None
    if as_json:
        say_json(
            {
                "id": flow_id,
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
        show_error(CommandError(ExitCode.FLOW_FAILED, _failure(flow_id, outcome), hint), as_json=as_json)
        return ExitCode.FLOW_FAILED
    return ExitCode.OK


def _error(outcome: Outcome) -> dict[str, object] | None:
    if outcome.error is None:
        return None
    view = describe_error(outcome.error)
    return {"type": view.type, "message": view.message, "traceback": view.traceback}


def _failure(flow_id: str, outcome: Outcome) -> str:
    if outcome.error is None:
        return f"flow {flow_id} was cancelled"
    view = describe_error(outcome.error)
    return f"flow {flow_id} failed: {view.type}: {view.message}"
