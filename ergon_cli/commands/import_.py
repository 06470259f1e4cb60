"""`ergon import`: exported flows put into a store, to look at them. Nothing runs them unless a person lets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from ergon_cli.exits import CommandError, ExitCode, show_error
from ergon_cli.options import State, VolatileOption, shared
from ergon_cli.recordings import STDIN, Found, read_recordings
from ergon_cli.render import note, say, say_json
from ergon_cli.stores import new_store
from ergon_runtime import Conflict, Store
from ergon_runtime.histories import FlowHistory, Restored, restore_history

app = typer.Typer()


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
    worst, seeds = ExitCode.OK, set[str]()
    async with new_store(state.load(allow_volatile=allow_volatile)) as store:
        for file, found in _found(files):
            try:
                if isinstance(found, CommandError):
                    raise found
                restored = await _restore(store, found, "standard input" if file == STDIN else file)
            except CommandError as error:
                show_error(error, as_json=state.json)
                worst = max(worst, error.code)
                continue
            seeds.add(found.hash_seed)
            _tell(found, restored, as_json=state.json)
        if seeds - {(await store.identity()).hash_seed} and not state.json:
            note("recorded under the hash seed of another store: to replay, give ergon replay the file, not the flow")
    return worst


def _found(files: list[str]) -> Iterator[tuple[str, Found]]:
    yield from ((file, found) for file in files for found in read_recordings([file]))


async def _restore(store: Store, history: FlowHistory, origin: str) -> Restored:
    """Raises CommandError: USAGE if the flow cannot be put there."""
    flow = history.row.id
    try:
        return await restore_history(store, history, origin)
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
