"""Writing to the terminal: data lines, notes, tables. rich is loaded only to draw for a person.

stdout is for data alone, notes go to stderr. On a terminal tables are aligned and cut to its width; anywhere else they
are tab-separated, complete and without colour. All cells are data: they pass through `safe` and are never markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from ergon_cli.text import json_line, safe

if TYPE_CHECKING:
    from rich.console import Console

Overflow = Literal["ellipsis", "crop"]
STATUS_STYLES: Mapping[str, str] = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "blocked": "bold red",
    "running": "cyan",
    "waiting": "blue",
    "pending": "dim",
}


def say(data: object) -> None:
    """One line of data on stdout."""
    sys.stdout.write(f"{safe(data)}\n")


def say_json(data: object) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json_line(data) + "\n")


def note(text: str) -> None:
    """A remark for people, on stderr; it may have several lines."""
    sys.stderr.write("".join(f"{safe(line)}\n" for line in text.splitlines()))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at this stream."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def takes_unicode(stream: TextIO) -> bool:
    """Whether bars and box characters can be written there; choose plain ones if not."""
    return (getattr(stream, "encoding", None) or "ascii").lower().startswith("utf")


def make_console(stream: TextIO) -> Console:
    """A rich console without markup, emoji codes and guessed highlights. rich itself heeds NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, markup=False, emoji=False, highlight=False)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows on stdout. A cell that is a status is coloured on terminals that can."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        sys.stdout.write("".join("\t".join(row) + "\n" for row in cells))
        return
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    overflow: Overflow = "ellipsis" if takes_unicode(sys.stdout) else "crop"
    for index, column in enumerate(columns):
        # Only the last column gives way: it is the prose, those before it are what people copy.
        whole = None if index == len(columns) - 1 else max(cell_len(row[index]) for row in [list(columns), *cells])
        table.add_column(column, no_wrap=True, overflow=overflow, min_width=whole)
    for row in cells:
        table.add_row(*(Text(cell, style=STATUS_STYLES.get(cell, "")) for cell in row))
    make_console(sys.stdout).print(table)
