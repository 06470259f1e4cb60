"""Bars: what a step did when, as spans of time; and cells as text.

Waits for signals and timers are waiting, pauses between tries are delay, tries are running, and so are children, though
the flow is idle meanwhile. What is open goes on to the end of the axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ergon_cli.screens.axis import BREAK, Axis, Ink, Span, axis
from ergon_cli.screens.look import Look, Part
from ergon_cli.text import duration
from ergon_runtime.view import FlowView, StepView

GLYPHS: dict[Ink, tuple[str, str]] = {
    Ink.NONE: (" ", " "),
    Ink.WAIT: ("┄", "-"),
    Ink.DELAY: ("░", "."),
    Ink.RUN: ("█", "#"),
    Ink.MARK: ("│", "|"),
    Ink.FAIL: ("✗", "x"),
    Ink.OPEN: ("▶", ">"),
}
SLASH = ("\u2571", "/")
LINE = ("─", "-")
WORDS = {
    Ink.WAIT: "waiting",
    Ink.DELAY: "delayed",
    Ink.RUN: "running",
    Ink.FAIL: "failed",
    Ink.OPEN: "still open",
}
STYLES = {Ink.WAIT: "blue", Ink.DELAY: "yellow", Ink.RUN: "green", Ink.MARK: "dim", Ink.FAIL: "red", Ink.OPEN: "cyan"}


def ended(view: FlowView, now: int) -> int:
    """Where its time ends: now, unless it is over."""
    return now if not view.status.ended else max([view.updated_at, *(step.finished_at or 0 for step in view.steps)])


def axis_of(view: FlowView, since: int, now: int, width: int) -> Axis:
    """The axis that the steps of a flow share. `since` is where its time begins."""
    end = ended(view, now)
    busy: list[tuple[int, int]] = []
    edges: list[int] = []
    for step in view.steps:
        for span in spans(step, view, end):
            if step.kind in ("step", "marker") and span.ink in (Ink.RUN, Ink.MARK):
                busy.append((span.start, span.end))
            else:
                edges += (span.start, span.end)
    return axis(since, end, busy, width, edges)


def spans(step: StepView, view: FlowView, end: int) -> Iterator[Span]:
    """What to paint for a step."""
    is_open = step.status in ("running", "waiting") and not view.status.ended
    if step.tries and step.kind == "step":
        yield from _tries(step, end, is_open=is_open)
        return
    start = step.started_at if step.started_at is not None else step.finished_at
    if start is None:
        return
    last = end if is_open else step.finished_at if step.finished_at is not None else start
    match step.kind:
        case "marker":
            yield Span(start, start, Ink.MARK)
            if step.name == "retried" and step.due is not None and step.due > start:
                yield Span(start, min(step.due, end), Ink.DELAY, Ink.OPEN if step.due > end else None)
        case "timer" | "signal":
            yield Span(start, last, Ink.WAIT, Ink.OPEN if is_open else None)
        case "step" | "child":
            failed = Ink.FAIL if step.status == "failed" else None
            yield Span(start, last, Ink.RUN, Ink.OPEN if is_open else failed)


def _tries(step: StepView, end: int, *, is_open: bool) -> Iterator[Span]:
    before: int | None = None
    for each in step.tries:
        start = each.started_at if each.started_at is not None else each.finished_at
        if start is None:
            continue
        if before is not None and start > before:
            yield Span(before, start, Ink.DELAY)
        goes_on = is_open and each.finished_at is None
        before = end if goes_on else each.finished_at if each.finished_at is not None else start
        yield Span(start, before, Ink.RUN, Ink.OPEN if goes_on else Ink.FAIL if each.error is not None else None)
    if is_open and before is not None and before < end:
        yield Span(before, end, Ink.DELAY, Ink.OPEN)


def bar(cells: Sequence[Ink], axis: Axis, look: Look) -> list[Part]:
    """Cells as text, the inner ones of breaks with a sign of their own."""
    inner = _inner(axis)
    parts: list[Part] = []
    for ink, columns in groupby(range(len(cells)), key=cells.__getitem__):
        cut = ink in (Ink.WAIT, Ink.DELAY, Ink.RUN)
        text = "".join(look.glyph(*(SLASH if cut and column in inner else GLYPHS[ink])) for column in columns)
        parts.append(Part(text, STYLES.get(ink, "")))
    return parts


def ruler(axis: Axis, look: Look) -> str:
    """The axis itself, with the time passed at its ends, and where breaks begin and end as far as there is room."""
    line, inner = [look.glyph(*LINE)] * axis.width, _inner(axis)
    for piece in axis.breaks:
        for column in range(piece.first, piece.first + piece.cells):
            line[column] = look.glyph(*(SLASH if column in inner else GLYPHS[Ink.WAIT]))
    taken, said = {column for column, sign in enumerate(line) if sign != look.glyph(*LINE)}, set[str]()
    for column, label, over in _labels(axis):
        columns = range(column, column + len(label))
        if column >= 0 and columns.stop <= axis.width and label not in said and (over or taken.isdisjoint(columns)):
            line[column : columns.stop] = label
            taken.update(columns)
            said.add(label)
    return "".join(line)


def _labels(axis: Axis) -> Iterator[tuple[int, str, bool]]:
    """What to write where, what matters most first; and whether it may stand over breaks. Where another stands, and
    where it is said already, it is left out."""
    total = f" {_at(axis.end, axis)}"
    if 3 + len(total) <= axis.width:
        yield 0, "0s ", True
        yield axis.width - len(total), total, True
    for piece in axis.breaks:
        yield piece.first + piece.cells, f" {_at(piece.end, axis)} ", False
    for piece in axis.breaks:
        text = f" {_at(piece.begin, axis)} "
        yield min(piece.first, axis.width - len(total)) - len(text), text, False


def legend(inks: Iterable[Ink], look: Look) -> list[Part]:
    """What the signs mean, of those that were drawn."""
    parts: list[Part] = []
    for ink in sorted(set(inks) & set(WORDS)):
        parts += [Part(look.glyph(*GLYPHS[ink]), STYLES[ink]), Part(f" {WORDS[ink]}  ", "dim")]
    return parts


def _at(time: int, axis: Axis) -> str:
    return duration(time - axis.begin)


def _inner(axis: Axis) -> frozenset[int]:
    """The columns of breaks that are drawn as such: two of each, with one beside them if there is room. At the ends of
    the axis they stand beside what is written there."""
    found: set[int] = set()
    for piece in axis.breaks:
        first = piece.first + (piece.cells - BREAK if piece.first == 0 and piece.cells > BREAK else 0)
        found.update(first + (piece.cells > 2) + place for place in (0, 1))
    return frozenset(found)
