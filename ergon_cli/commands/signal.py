"""`ergon signal`: send a signal to whoever waits for its name, to one flow, or to all that wait."""

from __future__ import annotations

import json
import re
import secrets
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.ids import resolve
from ergon_cli.options import State, shared
from ergon_cli.payloads import parse_payload
from ergon_cli.render import note, say_json
from ergon_cli.stores import existing_store
from ergon_cli.text import clip
from ergon_runtime import FlowQuery, FlowRow, Status, Store
from ergon_runtime.mail import send_signal_text

app = typer.Typer()
MANY = 10_000
_NUMBER = re.compile(r"-[0-9.]")


@app.command(
    "signal",
    context_settings={"ignore_unknown_options": True},  # a payload may be a negative number
    epilog="\b\nExamples:\n  ergon signal approve-A-17 true\n  ergon signal note 'some words' --flow A-17",
)
@shared
async def signal(
    state: State,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that flows wait for.")],
    payload: Annotated[str | None, typer.Argument(metavar="PAYLOAD", help="JSON, else text. Default: null.")] = None,
    flow: Annotated[str | None, typer.Option("--flow", metavar="ID", help="Send it to this flow's mailbox.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Send it to every flow that waits for it.")] = False,
    key: Annotated[str | None, typer.Option("--id", metavar="KEY", help="Equal keys of a name count once.")] = None,
    text: Annotated[bool, typer.Option("--text", help="The payload is text, whatever it looks like.")] = False,
) -> ExitCode:
    """Send a signal. One that nobody waits for is kept until somebody does."""
    if flow is not None and everyone:
        raise CommandError(ExitCode.USAGE, "--flow and --all exclude each other", "leave one of them out")
    _check_names(name, key)
    if payload is not None and payload.startswith("-") and not text and not _NUMBER.match(payload):
        raise CommandError(ExitCode.USAGE, f"no such option: {payload}", "to send it as a payload add --text")
    body = parse_payload(payload, as_text=text)
    async with existing_store(state.load()) as store:
        waiting = await store.list(FlowQuery(waiting_on=f"signal:{name}", limit=MANY))
        if everyone:
            sent, kept = await _to_all(store, name, body, waiting, key), False
        elif flow is not None:
            sent = [await _to_flow(store, name, body, flow, key)]
            kept = all(row.id not in sent for row in waiting)
        else:
            await send_signal_text(store, name, body, flow=None, message_id=key)
            sent, kept = [], not any(_free(row, name) for row in waiting)
        if state.json:
            say_json({"signal": name, "payload": json.loads(body), "flows": sent, "kept": kept})
        elif kept:
            note(await _kept(store, name, sent))
    return ExitCode.OK


def _check_names(name: str, key: str | None) -> None:
    if not 0 < len(name) <= 200 or name.startswith("-"):
        said = f"{clip(repr(name), 60)} cannot be a signal's name"
        raise CommandError(ExitCode.USAGE, said, "give 1 to 200 characters, no leading -")
    if key is not None and not 0 < len(key) <= 200:
        raise CommandError(ExitCode.USAGE, f"{clip(repr(key), 60)} cannot be an --id", "give 1 to 200 characters")


def _free(row: FlowRow, name: str) -> bool:
    """Whether the flow waits for the name and no other signal is set apart for it."""
    return any(wait.channel == f"signal:{name}" and not wait.reserved for wait in row.waits)


async def _to_all(store: Store, name: str, body: str, waiting: list[FlowRow], key: str | None) -> list[str]:
    if not waiting:
        raise CommandError(ExitCode.NOT_FOUND, f"no flow waits for signal {name!r}", await _names(store))
    message_id = key or secrets.token_hex(8)
    return [row.id for row in waiting if await send_signal_text(store, name, body, flow=row.id, message_id=message_id)]


async def _to_flow(store: Store, name: str, body: str, part: str, key: str | None) -> str:
    row = await resolve(store, part)
    if not await send_signal_text(store, name, body, flow=row.id, message_id=key):
        raise CommandError(
            ExitCode.NOT_FOUND, f"flow {row.id} has ended ({row.status})", "an ended flow takes no signals"
        )
    return row.id


async def _kept(store: Store, name: str, sent: list[str]) -> str:
    where = f"flow {sent[0]} does not wait" if sent else "no flow waits"
    return f"{where} for signal {name!r} now: it is kept until one does\n{await _names(store)}"


async def _names(store: Store) -> str:
    """The names that flows wait for now."""
    rows = await store.list(FlowQuery(statuses=(Status.WAITING, Status.RUNNING), limit=MANY))
    channels = {wait.channel for row in rows for wait in row.waits}
    names = sorted(channel.removeprefix("signal:") for channel in channels if channel.startswith("signal:"))
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"waited for: {shown}" if names else "no flow waits for any signal"
