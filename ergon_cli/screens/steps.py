"""The steps of a flow as a table: `--view steps`, and what a pipe gets for the timeline.

On a terminal times are relative and the last column is cut to the width; anywhere else rows are complete, times ISO,
and the tries of what failed or was tried again are rows below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from ergon_cli.render import STATUS_STYLES
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
    if look.terminal:
        yield from table(COLUMNS, [_row(step, view, look) for step in view.steps], look)
        return
    for step in view.steps:
        yield cells(step, view, look)
        yield from try_rows(step)


def _row(step: StepView, view: FlowView, look: Look) -> Row:
    below = try_lines(step, view, look.now)
    return Row(cells(step, view, look), {"STATUS": STATUS_STYLES[step.status]}, below)


def cells(step: StepView, view: FlowView, look: Look) -> tuple[str, ...]:
    """Key, kind, status, tries, start, duration and outcome of a step; on a terminal the start is relative."""
    began = "" if step.started_at is None else iso(step.started_at)
    if began and look.terminal and step.started_at is not None:
        began = f"+{duration(step.started_at - view.created_at)}"
    took = took_of(step, view, look.now)
    tries = str(step.attempts) if step.kind == "step" else ""
    return step.key, step.kind, step.status, tries, began, took, outcome(step, look.now)


def took_of(step: StepView, view: FlowView, now: int) -> str:
    """How long a step took, or has taken so far."""
    started, end = step.started_at, step.finished_at
    if step.status in ("waiting", "running") and not view.status.ended:
        end = now
    return duration(end - started) if started is not None and end is not None and step.kind != "marker" else ""


def outcome(step: StepView, now: int) -> str:
    """What came of a step, in one line: its error or result, when it is due, its child, its heartbeat."""
    due = ""
    if step.due is not None and step.kind != "marker":
        due = "due " + ("now" if step.due <= now else f"in {duration(step.due - now)}")
    child = f"-> {step.child}" if step.child else ""
    told = "" if step.detail is None else f": {one_line(step.detail)}"
    heartbeat = "" if step.heartbeat_at is None else f"heartbeat {age(step.heartbeat_at, now)} ago{told}"
    said = ""
    if step.error is not None:
        said = error_line(step.error)
    elif step.status == "completed" and step.kind not in ("timer", "marker") and not (child and step.result is None):
        said = one_line(step.result)
    elif step.kind == "marker" and step.args is not None:
        said = one_line(step.args)
    return "  ".join(part for part in (said, due, child, heartbeat) if part)


def one_line(value: object) -> str:
    """A JSON value as people read it."""
    return json.dumps(value, ensure_ascii=False)
