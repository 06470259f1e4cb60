"""The geometry of bars: spans of time in, cells out. Pure: no steps, no glyphs, no terminal.

An axis is linear, unless idle time hides the rest: then the long idle gaps become breaks of a few cells, and what is
left is linear. Columns grow with time, no bar is wider than the axis, and each span gets a cell at least. Times are in
milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

BREAK = 4
"""Cells of a break; half of it where there are many."""
HEAD, TAIL = 3, 6
"""Cells more for breaks at the ends of a wide axis, so that there is room to write when that is."""
WIDE = 8
"""Cells that a gap takes at least, on the axis as it would be without a break there, to become one."""
MOST = 0.96
"""The part of the axis that such gaps must take together: the rest would be two cells of fifty."""
NOTABLE = 100
"""Milliseconds that this rest must have to be worth it."""


class Ink(IntEnum):
    """What a cell shows; of several things in one cell the highest."""

    NONE = 0
    WAIT = 1
    DELAY = 2
    RUN = 3
    MARK = 4
    FAIL = 5
    OPEN = 6


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, both ends included. `tip` is what its last cell shows instead of `ink`."""

    start: int
    end: int
    ink: Ink
    tip: Ink | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the axis: linear, or a break."""

    begin: int
    end: int
    first: int
    """Its first column."""
    cells: int
    is_break: bool

    def column(self, time: int, *, last: bool = False) -> int:
        """The column of a time in this piece; `last`: the last one of what ends then."""
        length = self.end - self.begin
        passed = (time - self.begin) * self.cells
        column = (-(-passed // length) - 1 if last else passed // length) if length else 0
        return self.first + min(max(column, 0), self.cells - 1)


@dataclass(frozen=True, slots=True)
class Axis:
    """Pieces without gaps between them, in order, at least one."""

    pieces: tuple[Piece, ...]

    @property
    def width(self) -> int:
        last = self.pieces[-1]
        return last.first + last.cells

    @property
    def begin(self) -> int:
        return self.pieces[0].begin

    @property
    def end(self) -> int:
        return self.pieces[-1].end

    @property
    def breaks(self) -> tuple[Piece, ...]:
        return tuple(piece for piece in self.pieces if piece.is_break)

    def columns(self, start: int, end: int) -> range:
        """The columns of a span; never none."""
        start, end = (min(max(time, self.begin), self.end) for time in (start, max(start, end)))
        if start == end:
            here = [piece for piece in self.pieces if piece.begin <= start <= piece.end]
            column = min(here, key=lambda piece: piece.is_break).column(start)
            return range(column, column + 1)
        first = next(piece for piece in reversed(self.pieces) if piece.begin <= start).column(start)
        last = next(piece for piece in self.pieces if piece.end >= end).column(end, last=True)
        return range(first, last + 1)

    def paint(self, spans: Iterable[Span]) -> list[Ink]:
        """One cell for each column."""
        cells = [Ink.NONE] * self.width
        for span in spans:
            columns = self.columns(span.start, span.end)
            for column in columns:
                cells[column] = max(cells[column], span.ink)
            if span.tip is not None:
                cells[columns[-1]] = max(cells[columns[-1]], span.tip)
        return cells


def axis(begin: int, end: int, busy: Iterable[tuple[int, int]], width: int, edges: Iterable[int] = ()) -> Axis:
    """The axis of `width` columns from `begin` to `end`. `busy` are the times of work; all else is idle. No break goes
    on beyond one of the `edges`, where one wait ends and another begins."""
    end = max(begin, end)
    worked = _merged((max(first, begin), min(last, end)) for first, last in busy if first <= end and last >= begin)
    breaks = _breaks(_gaps(begin, end, worked, edges), worked, width)
    size = BREAK if 2 * BREAK * len(breaks) <= width else BREAK // 2
    stretches = _stretches(begin, end, breaks, worked)
    least = [size if is_break else 1 for *_, is_break in stretches]
    if width >= 4 * (BREAK + TAIL):
        least[0] += HEAD * stretches[0][2]
        least[-1] += TAIL * stretches[-1][2]
    cells = _shares([0 if is_break else last - first for first, last, is_break in stretches], least, width)
    pieces: list[Piece] = []
    column = 0
    for (first, last, is_break), count in zip(stretches, cells, strict=True):
        pieces.append(Piece(first, last, column, count, is_break))
        column += count
    return Axis(tuple(pieces))


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _gaps(begin: int, end: int, worked: Sequence[tuple[int, int]], edges: Iterable[int]) -> list[tuple[int, int]]:
    """All the time between works, cut at the edges."""
    ends = [begin, *(time for pair in worked for time in pair), end]
    between = [(first, last) for first, last in zip(ends[::2], ends[1::2], strict=True) if last > first]
    cuts = sorted(set(edges))
    return [
        gap
        for first, last in between
        for gap in pairwise([first, *cuts[bisect_right(cuts, first) : bisect_left(cuts, last)], last])
    ]


def _breaks(gaps: list[tuple[int, int]], worked: Sequence[tuple[int, int]], width: int) -> list[tuple[int, int]]:
    """The gaps to be cut short, in order: the long ones, as long as these take most of what is not cut yet."""
    left = sum(last - first for first, last in [*gaps, *worked])
    longest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[: width // BREAK]
    cut = 0
    while True:
        long = [last - first for first, last in longest[cut:] if (last - first) * width >= WIDE * left]
        rest = left - sum(long)
        if not long or rest > (1 - MOST) * left or rest < NOTABLE:
            return sorted(longest[:cut])
        cut, left = cut + len(long), rest


def _stretches(
    begin: int, end: int, breaks: Sequence[tuple[int, int]], worked: Sequence[tuple[int, int]]
) -> list[tuple[int, int, bool]]:
    """The whole time, divided into breaks and what is between. An empty stretch stays only if there was work in it."""
    found: list[tuple[int, int, bool]] = []
    points = {first for first, _ in worked}
    time = begin
    for first, last in [*breaks, (end, end)]:
        if first > time or time in points or not (breaks or found):
            found.append((time, first, False))
        if last > first:
            found.append((first, last, True))
        time = last
    return found


def _shares(lengths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """How many cells each stretch gets: these at least, and what is left by its length."""
    free, total = width - sum(least), sum(lengths)
    weights = lengths if total else [each == 1 for each in least]
    shares: list[int] = []
    given = passed = 0
    for cells, weight in zip(least, weights, strict=True):
        passed += weight
        upto = free * passed // sum(weights)
        shares.append(cells + upto - given)
        given = upto
    return shares
