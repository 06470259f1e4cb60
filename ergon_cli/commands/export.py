"""`ergon export`: flows with their journals, as lines of JSON, to be replayed and looked at elsewhere.

They go out as they are stored, so with every argument and result: a file is for its owner alone (mode 0600), and takes
the place of an older one only when it is whole.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Protocol

import typer

from ergon_cli.exits import CommandError, ExitCode, as_command_error, show_error
from ergon_cli.options import State, shared
from ergon_cli.progress import Progress
from ergon_cli.recordings import STDIN
from ergon_cli.render import note
from ergon_cli.selecting import Selection, selecting
from ergon_cli.sources import Stored, histories_matching, histories_named
from ergon_cli.stores import existing_store
from ergon_runtime import PayloadUnreadable
from ergon_runtime.histories import history_line

app = typer.Typer()


class Out(Protocol):
    """What takes the lines."""

    def write(self, text: str, /) -> int: ...


@app.command(
    "export",
    epilog="\b\nExamples:\n  ergon export A-17 > A-17.jsonl\n  ergon export --all --status waiting -o live.jsonl",
)
@shared
@selecting
async def export(
    state: State,
    chosen: Selection,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Flow ids, or unique parts of them.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to this file, whole or not at all.")
    ] = None,
) -> ExitCode:
    """Write flows with their journals, a line of JSON each. They hold arguments and results, so secrets too."""
    chosen.check(ids, "export")
    worst, count, progress = ExitCode.OK, 0, Progress("flows exported")
    async with existing_store(state.load(), read_only=True) as store:
        histories = histories_matching(store, chosen) if chosen.every else histories_named(store, ids or ())
        with _output(output) as out:
            try:
                async for found in histories:
                    progress.clear()
                    line = _line(found)
                    if isinstance(line, CommandError):
                        show_error(line, as_json=state.json)
                        worst = max(worst, line.code)
                        continue
                    out.write(line)
                    count += 1
                    progress.tell(count)
            finally:
                progress.clear()
        if count and (await store.identity()).key_checks:
            note("the store is encrypted; what was exported is not")
    if out is not sys.stdout and not state.json:
        note(f"{count} flow{'' if count == 1 else 's'} written to {output}, with arguments and results")
    return worst


def _line(found: Stored) -> str | CommandError:
    try:
        return found if isinstance(found, CommandError) else history_line(found)
    except PayloadUnreadable as error:
        return as_command_error(error)


@contextlib.contextmanager
def _output(path: Path | None) -> Generator[Out]:
    """Where to write. Raises CommandError: USAGE for what cannot be written."""
    if path is None or str(path) == STDIN:
        yield sys.stdout
        return
    try:
        place = path.resolve()
        if place.exists() and not place.is_file():
            raise OSError(None, "it is no regular file")
        with tempfile.NamedTemporaryFile(
            "w", encoding="ascii", newline="\n", dir=place.parent, prefix=f".{place.name}.", delete=False
        ) as out:
            try:
                yield out
                out.flush()
                os.fsync(out.fileno())
                os.replace(out.name, place)
            except BaseException:  # whatever ends the writing, no half file stays beside the old one
                os.unlink(out.name)
                raise
    except OSError as error:
        said = f"cannot write {path}: {error.strerror or error}"
        raise CommandError(ExitCode.USAGE, said, "name a file in a folder that can be written to") from None
