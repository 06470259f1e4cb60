"""The steps of a flow as a table: `--view steps`, and what a pipe gets for the timeline.

On a terminal times are relative and the last column is cut to the width; anywhere else rows are complete, times ISO,
and the tries of what failed or was tried again are rows below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from ergon_cli.render import STATUS_STYLES
from ergon_cli.screens.folding import Fold, Numbered, folded, wanted
from ergon_cli.screens.grid import Column, Row, table
from ergon_cli.screens.look import Line, Look
from ergon_cli.text import age, duration
from ergon_cli.tries import try_lines, try_rows
from ergon_cli.why import error_line
from ergon_runtime.view import FlowView, StepView, iso

COLUMNS = (
    Column("KEY", gives=True),
    Column("KIND", 3),
    Column("STATUS"),
    Column("TRIES", 4, right=True),
    Column("STARTED", 2, right=True),
    Column("TOOK", 1, right=True),
    Column("RESULT", gives=True),
)


def draw(view: FlowView, look: Look) -> Iterator[Line]:
    """The table."""
    since, shown = began(view), wanted(view.steps, failed=look.failed)
    if look.terminal:
        rows = [_row(item, view, look, since) for item in (shown if look.full else folded(shown))]
        yield from table(COLUMNS, rows, look) if rows else ()
        return
    for each in shown:
        yield cells(each.step, view, look, since)
        yield from try_rows(each.step)


def began(view: FlowView) -> int:
    """Where the flow's time begins: with its creation, or with the first thing it took over when it was forked."""
    return min([view.created_at, *(step.started_at for step in view.steps if step.started_at is not None)])


def _row(item: Numbered | Fold, view: FlowView, look: Look, since: int) -> Row:
    match item:
        case Numbered(step=step):
            row, below = cells(step, view, look, since), try_lines(step, since, look)
        case Fold():
            row, below = fold_cells(item, view, look), []
        case _:
            assert_never(item)
    return Row(row, {"STATUS": STATUS_STYLES[row[2]]}, below)


def cells(step: StepView, view: FlowView, look: Look, since: int) -> tuple[str, ...]:
    """Key, kind, status, tries, start, duration and outcome of a step; on a terminal the start is relative."""
    start, took = step.started_at, length(step, view, look.now)
    at = "" if start is None else f"+{duration(start - since)}" if look.terminal else iso(start)
    tries = str(step.attempts) if step.kind == "step" else ""
    said = "  ".join([*_result(step), *open_ends(step, look.now)])
    return step.key, step.kind, step.status, tries, at, "" if took is None else duration(took), said


def fold_cells(fold: Fold, view: FlowView, look: Look) -> tuple[str, ...]:
    """The same of steps that are folded into one row: how many, and from what to what their numbers go."""
    first, lengths = fold.steps[0], [each for step in fold.steps if (each := length(step, view, look.now)) is not None]
    tries = [step.attempts for step in fold.steps if step.kind == "step"]
    name = f"+ {len(fold.steps):,} x {first.name}"
    return name, first.kind, first.status, _range(tries, str), "", _range(lengths, duration), "(folded; --full)"


def _range(numbers: Sequence[int], said: Callable[[int], str]) -> str:
    low, high = (said(min(numbers)), said(max(numbers))) if numbers else ("", "")
    return low if low == high else f"{low}..{high}"


def length(step: StepView, view: FlowView, now: int) -> int | None:
    """How many milliseconds a step took, or has taken so far."""
    started, end = step.started_at, step.finished_at
    if step.status in ("waiting", "running") and not view.status.ended:
        end = now
    return end - started if started is not None and end is not None and step.kind != "marker" else None


def _result(step: StepView) -> Iterator[str]:
    """What came of a step: its error or its result; of a marker what it has to say."""
    if step.error is not None:
        yield error_line(step.error)
    elif step.kind == "marker":
        if step.args is not None:
            yield one_line(step.args)
    elif step.status == "completed" and step.kind != "timer" and not (step.child and step.result is None):
        yield one_line(step.result)


def open_ends(step: StepView, now: int) -> Iterator[str]:
    """When a step is due, its child, its last heartbeat."""
    if step.due is not None and step.kind != "marker":
        yield "due " + ("now" if step.due <= now else f"in {duration(step.due - now)}")
    if step.child:
        yield f"-> {step.child}"
    if step.heartbeat_at is not None:
        told = "" if step.detail is None else f": {one_line(step.detail)}"
        yield f"heartbeat {age(step.heartbeat_at, now)} ago{told}"


def one_line(value: object) -> str:
    """A JSON value as people read it."""
    return json.dumps(value, ensure_ascii=False)
