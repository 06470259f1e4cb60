"""Rows in columns that fit a terminal. Pure: what is too wide gives way in the order that the columns say.

A column that `gives` is cut where there is too little room, the widest first, but never below LEAST. When that is not
enough, the column with the highest `rank` goes, until the others fit. Columns without content go first of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ergon_cli.render import cell_width
from ergon_cli.screens.look import Line, Look, Part

GAP = 2
LEAST = 12
"""Columns that a cell which gives way still has."""
INDENT = 4
"""Blanks before lines below a row, and again where they go on."""


@dataclass(frozen=True, slots=True)
class Column:
    """`rank` 0 stays whatever happens. `right`: numbers, aligned at their ends."""

    title: str
    rank: int = 0
    gives: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row, one a column; the style of some, by their column's title; lines to show whole below it."""

    cells: Sequence[str]
    styles: dict[str, str]
    below: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """The columns that are shown, by their places, and how wide each is."""

    places: tuple[int, ...]
    widths: tuple[int, ...]
    complete: bool
    """Whether there is room for all columns that have something to show."""

    @property
    def width(self) -> int:
        """Of all columns together, each with the gap after it."""
        return sum(self.widths) + GAP * len(self.widths)


def fit(columns: Sequence[Column], rows: Sequence[Row], look: Look, width: int) -> Fit:
    """Which columns there is room for, and how much each gets."""
    whole = [max((cell_width(look.text(row.cells[place])) for row in rows), default=0) for place in range(len(columns))]
    places = [place for place, wide in enumerate(whole) if wide or not columns[place].rank]
    filled = len(places)
    whole = [max(wide, len(column.title)) for wide, column in zip(whole, columns, strict=True)]
    while sum(_least(columns[place], whole[place]) + GAP for place in places) - GAP > width:
        goes = max(places, key=lambda place: columns[place].rank)
        if not columns[goes].rank:
            break
        places.remove(goes)
    widths = {place: whole[place] for place in places}
    giving = sorted((place for place in places if columns[place].gives), key=lambda place: whole[place])
    left = width + GAP - sum(whole[place] + GAP for place in places if place not in giving) - GAP * len(giving)
    for index, place in enumerate(giving):  # what a narrow one does not need goes to the wider ones
        widths[place] = min(whole[place], max(min(LEAST, whole[place]), left // (len(giving) - index)))
        left -= widths[place]
    return Fit(tuple(places), tuple(widths[place] for place in places), len(places) == filled)


def heading(columns: Sequence[Column], fit: Fit) -> list[Part]:
    """The titles."""
    shown = zip(fit.places, fit.widths, strict=True)
    return [
        Part(f"{columns[place].title:{'>' if columns[place].right else '<'}{wide}}  ", "bold") for place, wide in shown
    ]


def cells(columns: Sequence[Column], row: Row, fit: Fit, look: Look) -> list[Part]:
    """A row's own line."""
    parts: list[Part] = []
    for place, wide in zip(fit.places, fit.widths, strict=True):
        text = look.cut(row.cells[place], wide)
        blanks = " " * (wide - cell_width(text))
        text = blanks + text if columns[place].right else text + blanks
        parts += [Part(text, row.styles.get(columns[place].title, "")), Part(" " * GAP)]
    return parts


def below(row: Row, look: Look) -> Iterator[Line]:
    """What stands below a row."""
    for text in row.below:
        for place, piece in enumerate(look.fold(text, max(LEAST, (look.width or 0) - 2 * INDENT))):
            yield (" " * (INDENT + INDENT * (place > 0)) + piece,)


def table(columns: Sequence[Column], rows: Sequence[Row], look: Look) -> Iterator[Line]:
    """Titles and rows, within the width of the terminal."""
    fitted = fit(columns, rows, look, look.width or 0)
    yield heading(columns, fitted)
    for row in rows:
        yield cells(columns, row, fitted, look)
        yield from below(row, look)


def _least(column: Column, whole: int) -> int:
    return min(LEAST, whole) if column.gives else whole
