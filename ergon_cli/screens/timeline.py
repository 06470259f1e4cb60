"""The default view: each step with a bar on a time axis that all of them share.

On a narrow terminal the bars give way first, then the times. Errors, and what open steps wait for, stand below the row.
A pipe gets the table of steps instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ergon_cli.render import STATUS_STYLES
from ergon_cli.screens import bars, steps
from ergon_cli.screens.axis import Axis, Ink
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
NARROWEST = 16
"""Columns of bars, below which there are none."""
WIDEST = 100


def draw(view: FlowView, look: Look) -> Iterator[Line]:
    """The steps with their bars; for a pipe the table of steps."""
    if not look.terminal or not view.steps:
        yield from steps.draw(view, look)
        return
    shown = wanted(view.steps, failed=look.failed)
    items = list[Numbered | Fold](shown) if look.full else list(folded(shown))
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


def _inks(item: Numbered | Fold, view: FlowView, axis: Axis) -> list[Ink]:
    members = item.steps if isinstance(item, Fold) else (item.step,)
    return axis.paint(span for step in members for span in bars.spans(step, view, axis.end))


def _row(item: Numbered | Fold, view: FlowView, look: Look, since: int) -> Row:
    match item:
        case Numbered(n=n, step=step):
            key, _, status, tries, started, took, _ = steps.cells(step, view, look, since)
            styles = {"STATUS": STATUS_STYLES[status], "#": "dim"}
            return Row((str(n), key, status, tries, started, took), styles, _below(step, since, look))
        case Fold(steps=members):
            first = members[0]
            name = f"+ {len(members):,} x {first.name}"
            styles = {"KEY": "dim", "STATUS": STATUS_STYLES[first.status]}
            return Row(("", name, first.status, _tries(members), "", _range(members, view, look)), styles)


def _below(step: StepView, since: int, look: Look) -> list[str]:
    """What a person has to know of a step that failed, was tried again or is open: tries, error, what it waits for."""
    lines = try_lines(step, since, look)
    if step.status == "completed":
        return lines
    told = [] if lines or step.error is None else [error_line(step.error)]
    told += steps.open_ends(step if not lines else replace(step, due=None), look.now)
    return [*lines, "  ".join(told)] if told else lines


def _tries(members: Sequence[StepView]) -> str:
    counts = {step.attempts for step in members if step.kind == "step"}
    return "" if not counts else f"{min(counts)}" if len(counts) == 1 else f"{min(counts)}..{max(counts)}"


def _range(members: Sequence[StepView], view: FlowView, look: Look) -> str:
    lengths = [length for step in members if (length := steps.length(step, view, look.now)) is not None]
    if not lengths:
        return ""
    low, high = duration(min(lengths)), duration(max(lengths))
    return low if low == high else f"{low}..{high}"
