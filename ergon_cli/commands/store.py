"""`ergon store`: what is done to whole stores. `copy` brings everything to another one, of any kind; `backup` is in
`store_backup.py`, `check` in `store_check.py`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import Annotated

import typer

from ergon_cli.commands import store_backup, store_check
from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.options import State, VolatileOption, shared
from ergon_cli.progress import Progress
from ergon_cli.render import is_terminal, note, say, say_json
from ergon_cli.stores import keys_of
from ergon_cli.text import clip
from ergon_runtime import Keys, Store, StoreMissing, open_store
from ergon_runtime.stores import parse
from ergon_runtime.stores.copying import Copied, copy_store

stores = typer.Typer(help="Copy a store to another, back it up, or check it.")
app = typer.Typer()
app.add_typer(stores, name="store")
NAMED = 5
"""Pieces that are not equal which a message names."""


@stores.callback()
def store() -> None:
    """Copy a store to another, back it up, or check it."""


stores.command("backup", epilog=store_backup.EPILOG)(shared(store_backup.backup))
stores.command("check", epilog=store_check.EPILOG)(shared(store_check.check))


@stores.command(
    "copy",
    epilog="\b\nExamples:\n  ergon store copy sqlite:///ergon.db redis://host"
    "\n  ergon store copy redis://host 'redis://other?namespace=shop'",
)
@shared
async def copy(
    state: State,
    source: Annotated[str, typer.Argument(metavar="SRC", help="The store to copy. It is only read.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="An empty one, or the same copy, unfinished.")],
    allow_volatile: VolatileOption = False,
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Write the copy unencrypted.")] = False,
) -> ExitCode:
    """Copy everything from one store to another. After an interruption run it again. Stop all workers first.

    With [crypto] keys the copy is encrypted, with the first of them.
    """
    config = state.load(memory=True, allow_volatile=allow_volatile)
    for url in (source, target):
        if parse(url).shown == "memory://":
            said = "memory:// keeps nothing from one command to the next"
            raise CommandError(ExitCode.USAGE, said, "name a file or a server: sqlite:///ergon.db, redis://host")
    keys = keys_of(config)
    async with _source(source, keys) as one:
        writing = None if decrypt else keys
        if keys is not None:
            note(f"the copy is encrypted with key {keys.active!r}" if writing else "the copy is not encrypted")
        opening = open_store(target, allow_volatile=config.allow_volatile, unfinished=True, keys=writing)
        async with opening as other, _told(state) as bars:
            copied = await copy_store(one, other, lambda what, total, done: bars[what].tell(done, total))
    if copied.unequal:
        raise _unequal(copied)
    if state.json:
        say_json({"source": parse(source).shown, "target": parse(target).shown, **asdict(copied)})
    else:
        say(
            f"copied and checked: {copied.flows} flows, {copied.entries} journal entries, "
            f"{copied.kept} kept messages, {copied.names} message ids"
        )
    return ExitCode.OK


@contextlib.asynccontextmanager
async def _source(url: str, keys: Keys | None) -> AsyncGenerator[Store]:
    """The store to copy, opened with the keys if it is encrypted."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with open_store(url, create=False, read_only=True, keyless=True) as store:
                encrypted = bool((await store.identity()).key_checks)
            opening = open_store(url, create=False, read_only=True, keys=keys if encrypted else None)
            store = await stack.enter_async_context(opening)
        except StoreMissing:
            said = f"there is no store at {parse(url).shown}"
            raise CommandError(ExitCode.NOT_FOUND, said, "name the store to copy first, then where to") from None
        yield store


@contextlib.asynccontextmanager
async def _told(state: State) -> AsyncGenerator[dict[str, Progress]]:
    """A bar for each part of the work, on a terminal; else one line."""
    bars = {what: Progress(what) for what in ("copied", "checked")}
    if not state.json and not is_terminal(sys.stderr):
        note("copying; then both are compared")
    try:
        yield bars
    finally:
        for bar in bars.values():
            bar.clear()


def _unequal(copied: Copied) -> CommandError:
    named = ", ".join(clip(name, 60) for name in copied.unequal[:NAMED])
    more = f" and {len(copied.unequal) - NAMED} more" if len(copied.unequal) > NAMED else ""
    said = f"the copy is not equal to its source: {named}{more}"
    hint = "nothing runs on it; if the source was used meanwhile, stop that, and copy to another, empty store"
    return CommandError(ExitCode.UNEXPECTED, said, hint)
