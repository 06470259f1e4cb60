"""Writing to the terminal: data lines, notes, tables. rich is loaded only to draw for a person.

stdout is for data alone, notes go to stderr. On a terminal tables are aligned and cut to its width; anywhere else they
are tab-separated, complete and without colour. All cells are data: they pass through `safe` and are never markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from ergon_cli.text import clip, json_line, safe, without_passwords

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = 2
"""Spaces between two columns."""
INDENT = 4
"""Spaces before a line below a row, and again when it goes on."""
LEAST = 12
"""A column that gives way is never narrower."""
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
    sys.stderr.write("".join(f"{safe(line)}\n" for line in without_passwords(text).splitlines()))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at this stream."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def make_console(stream: TextIO) -> Console:
    """A rich console without markup, emoji codes and guessed highlights. rich itself heeds NO_COLOR."""
    from rich.console import Console

    return Console(file=stream, markup=False, emoji=False, highlight=False)


def cell_width(text: str) -> int:
    """How many columns a text takes on a terminal; wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    prose: Sequence[int] = (-1,),
    wrap: bool = False,
    below: Sequence[Sequence[str]] = (),
) -> None:
    """Rows on stdout. A cell that is a status is coloured on terminals that can.

    On a narrow terminal the columns named by `prose` give way, so that what people copy stays whole: they are cut, or
    with `wrap` go on in the next line. `below` are lines to show below each row, on terminals only; without `wrap`.
    """
    cells = [[safe(cell) for cell in row] for row in rows]
    if not is_terminal(sys.stdout):
        sys.stdout.write("".join("\t".join(row) + "\n" for row in cells))
        return
    from rich.table import Table
    from rich.text import Text

    console = make_console(sys.stdout)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    giving = {index % len(columns) for index in prose}
    for index, column in enumerate(columns):
        if wrap and index in giving:
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, no_wrap=True, overflow="crop")
    for row in cells if wrap else _fitted(columns, cells, giving, console.width):
        table.add_row(*(Text(cell, style=STATUS_STYLES.get(cell, "")) for cell in row))
    if below:
        _print_parted(console, table, below)
    else:
        console.print(table)


def _print_parted(console: Console, table: Table, below: Sequence[Sequence[str]]) -> None:
    """The table, each of its rows one line, and more lines below some rows, whole, on as many lines as they need."""
    from rich.text import Text

    with console.capture() as printed:
        console.print(table)
    head, *rows = printed.get().splitlines()
    console.file.write(head + "\n")
    for row, lines in zip(rows, below, strict=True):
        console.file.write(row + "\n")
        for line in lines:
            pieces = Text(safe(line)).wrap(console, max(LEAST, console.width - 2 * INDENT))
            for place, piece in enumerate(pieces):
                console.file.write(" " * (INDENT + INDENT * (place > 0)) + piece.plain.rstrip() + "\n")


def _fitted(columns: Sequence[str], rows: list[list[str]], prose: set[int], width: int) -> list[list[str]]:
    """The rows, the cells of the prose columns cut to their share of what the others leave."""
    from rich.cells import cell_len

    whole = [max(cell_len(row[index]) for row in [list(columns), *rows]) + GAP for index in range(len(columns))]
    left = width - sum(whole[index] for index in range(len(columns)) if index not in prose)
    by_width = sorted(prose, key=lambda index: whole[index])
    for place, index in enumerate(by_width):  # what a narrow one does not need goes to the wider ones
        whole[index] = min(whole[index], max(LEAST, left // (len(by_width) - place)))
        left -= whole[index]
    return [
        [clip(cell, whole[index] - GAP) if index in prose else cell for index, cell in enumerate(row)] for row in rows
    ]
