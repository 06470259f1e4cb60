"""A difference between journal and code, drawn: two columns around it, the lines of code that await, and the ways out.

Text goes on in the next line where a column is too narrow for what differs; what is equal is cut. Anywhere but on a
terminal the rows have six cells: position, `=` or `!=`, recorded, current, `file:line`, source.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from itertools import zip_longest

from ergon_cli.paths import near_line
from ergon_cli.render import cell_width
from ergon_cli.screens.look import Line, Look, Part, rendered
from ergon_runtime.replay import ComparedRow, Difference, ReplayReport

CONTEXT = 3
"""Completions shown before the one that differs, where the report itself does not say."""
NARROWEST = 12
"""A column is never narrower."""
WIDTH = 100
"""Of what is written into files."""
HEAD = 7
"""Columns before the two: the position and the mark."""
UNEQUAL = "\u2260"
WORDS: dict[Difference, str] = {
    "step": "another operation",
    "arguments": "other arguments",
    "order": "another order",
    "missing": "no longer asked for",
    "extra": "not recorded",
    "kind": "another kind of operation",
    "result": "another result",
    "end": "another end",
}
"""The kinds of difference, for people."""


def table(report: ReplayReport, look: Look) -> Iterator[Line]:
    """Both sides of a difference in columns."""
    rows = report.rows or tuple(_plain_rows(report))
    if not look.terminal:
        for row in rows:
            where = near_line(row.where) if row.where else ""
            yield [*_head(row, look), row.recorded or "", row.current or "", where, _source(row.where)]
        return
    left, right = _widths(rows, look)
    yield [Part(look.fitted("#", HEAD) + look.fitted("RECORDED", left + 2) + "CURRENT CODE", "bold")]
    for row in rows:
        yield from _drawn(row, look, left, right)


def cause(report: ReplayReport) -> str:
    """What differs, in words, and the line of code."""
    where = f", at {near_line(report.where)}" if report.where else ""
    return f"{report.message}{where}"


def kind(report: ReplayReport) -> str:
    """The kind of difference, with a blank before it; nothing if there is none."""
    return f" ({WORDS[report.difference]})" if report.difference else ""


def as_text(report: ReplayReport) -> str:
    """All of it as plain text, for files."""
    look = Look(0, WIDTH)
    lines = [rendered(line, look) for line in table(report, look)] if report.rows or report.recorded else []
    return "\n".join([*lines, f"cause: {cause(report)}{kind(report)}", ways_out(report)]).rstrip()


def ways_out(report: ReplayReport) -> str:
    """What can be done, a line each."""
    return "\n".join(f"{'       or' if place else 'to go on'}: {fix}" for place, fix in enumerate(report.fixes))


def _drawn(row: ComparedRow, look: Look, left: int, right: int) -> Iterator[Line]:
    """A row: cut where both sides are equal, else whole, with the line of code below."""
    place, mark = _head(row, look)
    recorded, current = row.recorded or "", row.current or ""
    if row.equal:
        yield [
            look.fitted(place, 4),
            Part(f"{mark}  ", "dim"),
            look.fitted(recorded, left),
            "  ",
            look.cut(current, right),
        ]
        return
    sides = zip_longest(look.fold(recorded, left), look.fold(current, right), fillvalue="")
    for line, (one, other) in enumerate(sides):
        head = [look.fitted(place, 4), Part(look.fitted(mark, 3), "bold red")] if not line else [" " * HEAD]
        yield [*head, Part(look.fitted(one, left), "red"), "  ", Part(other, "green")]
    for said in (near_line(row.where) if row.where else "", _source(row.where)):
        if said:
            yield [" " * (HEAD + left + 2), Part(look.cut(said, right), "dim")]


def _head(row: ComparedRow, look: Look) -> tuple[str, str]:
    differs = look.glyph(UNEQUAL, "!=") if look.terminal else "!="
    return str(row.position or ""), "=" if row.equal else differs


def _widths(rows: tuple[ComparedRow, ...], look: Look) -> tuple[int, int]:
    """Of the two columns: what they need, or their shares of the terminal."""
    left = max((cell_width(look.text(row.recorded or "")) for row in rows), default=0)
    under = [f"{near_line(row.where)}\n{_source(row.where)}" for row in rows if row.where and not row.equal]
    said = [row.current or "" for row in rows] + [line for each in under for line in each.splitlines()]
    right = max((cell_width(look.text(each)) for each in said), default=0)
    left, right = max(left, len("RECORDED")), max(right, len("CURRENT CODE"))
    room = (look.width or WIDTH) - HEAD - 2
    if left + right > room:
        half = room // 2
        left = max(NARROWEST, min(left, max(half, room - right)))
        right = max(NARROWEST, room - left)
    return left, right


def _source(where: str | None) -> str:
    """The line of code itself."""
    file, _, line = (where or "").rpartition(":")
    return linecache.getline(file, int(line)).strip() if line.isdecimal() else ""


def _plain_rows(report: ReplayReport) -> Iterator[ComparedRow]:
    """The rows of a report that says only what was recorded and what the code asks for."""
    start = max(0, len(report.delivered) - CONTEXT)
    for place, said in enumerate(report.delivered[start:], report.left_out + start + 1):
        yield ComparedRow(place, said, said, equal=True)
    first, *others = report.current or ("",)
    if report.recorded or first:
        yield ComparedRow(report.position + 1, report.recorded, first, equal=False, where=report.where)
    for other in others[:CONTEXT]:
        yield ComparedRow(None, None, other, equal=False)
