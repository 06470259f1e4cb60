"""`ergon import`: exported flows put into a store, to look at them. Nothing runs them unless a person lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.options import State, VolatileOption, shared
from ergon_cli.progress import Progress
from ergon_cli.recordings import STDIN, Found, read_recordings
from ergon_cli.render import note, say, say_json
from ergon_cli.stores import new_store
from ergon_runtime import Conflict, Store
from ergon_runtime.histories import FlowHistory, Restored, restore_history

app = typer.Typer()
BATCH = 100
"""Flows worked on together ..."""
ENTRIES = 10_000
"""... fewer if they are long."""


@app.command(
    "import", epilog="\b\nExamples:\n  ergon import A-17.jsonl\n  ergon import live.jsonl --store sqlite:///look.db"
)
@shared
async def import_(
    state: State,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="What ergon export wrote; - is stdin.")],
    allow_volatile: VolatileOption = False,
) -> ExitCode:
    """Put exported flows into the store. Those that are not over are blocked until ergon retry lets them go on."""
    worst, seeds, count, progress = ExitCode.OK, set[str](), 0, Progress("flows looked at")
    async with new_store(state.load(allow_volatile=allow_volatile)) as store:
        for batch in _batches(files):
            ends = await asyncio.gather(*(_restore(store, *each) for each in batch), return_exceptions=True)
            progress.clear()
            for end in ends:
                if isinstance(end, CommandError):
                    show_error(end, as_json=state.json)
                    worst = max(worst, end.code)
                elif isinstance(end, BaseException):
                    raise end
                else:
                    seeds.add(end[0].hash_seed)
                    _tell(*end, as_json=state.json)
            count += len(batch)
            progress.tell(count)
        progress.clear()
        if seeds - {(await store.identity()).hash_seed} and not state.json:
            note("recorded under the hash seed of another store: to replay, give ergon replay the file, not the flow")
    return worst


def _batches(files: list[str]) -> Iterator[list[tuple[str, Found]]]:
    """What the files hold, each with its file, some at a time, so that stores put many into one transaction."""
    batch, entries = list[tuple[str, Found]](), 0
    for file in files:
        for found in read_recordings([file]):
            batch.append((file, found))
            entries += len(found.entries) if isinstance(found, FlowHistory) else 0
            if len(batch) == BATCH or entries > ENTRIES:
                yield batch
                batch, entries = [], 0
    yield batch


async def _restore(store: Store, file: str, found: Found) -> tuple[FlowHistory, Restored]:
    """Raises CommandError: USAGE if there is none, or it cannot be put there; StoreError."""
    if isinstance(found, CommandError):
        raise found
    flow = found.row.id
    try:
        return found, await restore_history(store, found, "standard input" if file == STDIN else file)
    except Conflict:
        said = f"flow {flow} is there already, and is another flow or stands elsewhere; it was left as it is"
        raise CommandError(ExitCode.USAGE, said, "import it into a store of its own: --store sqlite:///FILE") from None
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, str(error), f"export it again: ergon export {flow}") from None


def _tell(history: FlowHistory, restored: Restored, *, as_json: bool) -> None:
    row = history.row
    if as_json:
        say_json({"id": row.id, "flow": row.type, "version": row.version, "restored": restored})
        return
    say(row.id)
    if restored == "there":
        note(f"{row.id}: is there already")
    elif not row.status.ended:
        note(f"{row.id}: was {row.status.value}, is blocked here; nothing runs it before ergon retry")
