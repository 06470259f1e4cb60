"""The default view: each step with a bar on a time axis that all of them share.

On a narrow terminal the bars give way first, then the times. Errors, and what open steps wait for, stand below the row.
A pipe gets the table of steps instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from ergon_cli.render import STATUS_STYLES
from ergon_cli.screens import bars, steps
from ergon_cli.screens.axis import Axis, Ink, Span
from ergon_cli.screens.folding import Fold, Numbered, folded, wanted
from ergon_cli.screens.grid import GAP, Column, Row, below, cells, fit, heading, table
from ergon_cli.screens.look import Line, Look, Part
from ergon_cli.text import duration
from ergon_cli.tries import try_lines
from ergon_cli.why import error_line
from ergon_runtime.view import FlowView, StepView

COLUMNS = (
    Column("#", 2, right=True),
    Column("KEY", gives=True),
    Column("STATUS"),
    Column("TRIES", 1, right=True),
    Column("STARTED", 4, right=True),
    Column("TOOK", 3, right=True),
)
NOTABLE = 1000
"""Milliseconds in the queue from which on they have a row."""
NARROWEST = 16
"""Columns of bars, below which there are none."""
WIDEST = 100


@dataclass(frozen=True, slots=True)
class Queued:
    """The time until a worker first took the flow."""

    start: int
    end: int


Item: TypeAlias = Numbered | Fold | Queued


def draw(view: FlowView, look: Look) -> Iterator[Line]:
    """The steps with their bars; for a pipe the table of steps."""
    if not look.terminal:
        yield from steps.draw(view, look)
        return
    shown = wanted(view.steps, failed=look.failed)
    items = list[Item](shown) if look.full else list[Item](folded(shown))
    if (queued := _queued(view, look)) is not None:
        items.insert(0, queued)
    if items:
        yield from _lines(items, view, look)


def _queued(view: FlowView, look: Look) -> Queued | None:
    until = view.started_at if view.started_at is not None else look.now
    return None if until - view.created_at < NOTABLE or look.failed else Queued(view.created_at, until)


def _lines(items: Sequence[Item], view: FlowView, look: Look) -> Iterator[Line]:
    since, width = steps.began(view), look.width or 0
    rows = [_row(item, view, look, since) for item in items]
    note = [Part("+ folded; --full shows all  ", "dim")] if any(isinstance(item, Fold) for item in items) else []
    fitted = fit(COLUMNS, rows, look, width - max(NARROWEST, width // 4) - GAP)
    if not fitted.complete:
        yield from table(COLUMNS, rows, look)
        if note:
            yield note
        return
    axis = bars.axis_of(view, since, look.now, min(WIDEST, width - fitted.width))
    yield [*heading(COLUMNS, fitted), bars.ruler(axis, look)]
    drawn: set[Ink] = set()
    for item, row in zip(items, rows, strict=True):
        inks = _inks(item, view, axis)
        drawn.update(inks)
        yield [*cells(COLUMNS, row, fitted, look), *bars.bar(inks, axis, look)]
        yield from below(row, look)
    yield [*note, *bars.legend(drawn, look)]


def _inks(item: Item, view: FlowView, axis: Axis) -> list[Ink]:
    match item:
        case Numbered(step=step):
            return axis.paint(bars.spans(step, view, axis.end))
        case Fold(steps=members):
            return axis.paint(span for step in members for span in bars.spans(step, view, axis.end))
        case Queued(start=start, end=end):
            return axis.paint([Span(start, end, Ink.DELAY, Ink.OPEN if view.started_at is None else None)])
        case _:
            assert_never(item)


def _row(item: Item, view: FlowView, look: Look, since: int) -> Row:
    match item:
        case Numbered(n=n, step=step):
            key, _, status, tries, started, took, _ = steps.cells(step, view, look, since)
            styles = {"STATUS": STATUS_STYLES[status], "#": "dim"}
            return Row((str(n), key, status, tries, started, took), styles, _below(step, since, look))
        case Fold():
            key, _, status, tries, started, took, _ = steps.fold_cells(item, view, look)
            return Row(("", key, status, tries, started, took), {"KEY": "dim", "STATUS": STATUS_STYLES[status]})
        case Queued(start=start, end=end):
            cells = ("", "(queued)", "", "", f"+{duration(start - since)}", duration(end - start))
            return Row(cells, {"KEY": "dim"})
        case _:
            assert_never(item)


def _below(step: StepView, since: int, look: Look) -> list[str]:
    """What a person has to know of a step that failed, was tried again or is open: tries, error, what it waits for."""
    lines = try_lines(step, since, look)
    if step.status == "completed":
        return lines
    told = [] if lines or step.error is None else [error_line(step.error)]
    told += steps.open_ends(step if not lines else replace(step, due=None), look.now)
    return [*lines, "  ".join(told)] if told else lines
