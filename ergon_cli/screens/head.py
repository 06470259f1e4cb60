"""What stands above every view: the flow, why it is not over and what helps, its arguments, its end.

On a terminal each entry has a label and goes on below it where it is too long, but for commands, which stay whole to be
copied; anywhere else it is a row of label and text.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import cast

from ergon_cli.render import STATUS_STYLES, cell_width
from ergon_cli.screens.look import Line, Look, Part
from ergon_cli.screens.steps import one_line
from ergon_cli.text import age, clip, duration
from ergon_cli.why import error_line, why_line
from ergon_runtime import Status
from ergon_runtime.view import FlowView, iso

BETWEEN = "  "
"""Between two facts, of which each is kept together if there is room."""
LABEL = 6
"""Columns of the labels."""
LONGEST = 2000
"""Characters of one value on a terminal, unless it is to be shown in full."""
MENDED_BY_CODE = ("diverged", "unreadable", "spinning", "stuck")


def draw(view: FlowView, look: Look) -> Iterator[Line]:
    """The head."""
    for label, text in _entries(view, look.now):
        if look.width is None:
            yield label.rstrip(":"), text
            continue
        for place, line in enumerate(_folded(label, text, look, look.width - LABEL)):
            yield Part(f"{'' if place else label:<{LABEL}}", "bold"), *_coloured(line, view.status, label)


def _coloured(line: str, status: Status, label: str) -> Iterator[Part]:
    """The line, with the flow's status in its colour; an error is in that of failures."""
    if label == "ERROR":
        yield Part(line, "red")
        return
    before, found, after = line.partition(f"{BETWEEN}{status.value.upper()}") if label == "FLOW" else (line, "", "")
    yield Part(before)
    yield Part(found, STATUS_STYLES[status.value])
    yield Part(after)


def _folded(label: str, text: str, look: Look, width: int) -> Iterator[str]:
    if label == "fix:":
        yield look.text(text)
        return
    line = ""
    for item in (text if look.full else clip(text, LONGEST)).split(BETWEEN):
        both = f"{line}{BETWEEN}{item}" if line else item
        if line and cell_width(look.text(both)) > width:
            yield from look.fold(line, width)
            both = item
        line = both
    yield from look.fold(line, width)


def traceback(view: FlowView) -> Iterator[Line]:
    """The traceback that a flow failed with, below everything else."""
    if view.error is not None and view.error.traceback:
        yield ("",)
        for line in view.error.traceback.splitlines():
            yield (f"  {line}",)


def _entries(view: FlowView, now: int) -> Iterator[tuple[str, str]]:
    yield "FLOW", f"{view.flow} {view.id}  {view.status.value.upper()}  {age(view.created_at, now)}"
    if view.why is not None:
        yield from _why(view, now)
    yield "", BETWEEN.join(_facts(view, now))
    if view.is_long:
        yield "", f"its journal has {view.entries:,} entries"
    yield "IN", _arguments(view)
    if view.error is not None:
        yield "ERROR", error_line(view.error)
        if view.parent is None:  # a parent's retry makes a child anew
            yield "fix:", f"ergon retry {shlex.quote(view.id)}"
    elif view.status is Status.COMPLETED:
        yield "OUT", one_line(view.result)


def _why(view: FlowView, now: int) -> Iterator[tuple[str, str]]:
    why = view.why
    if why is None:
        return
    yield "WHY", why_line(why, now)
    deepest = why.deepest
    if deepest.kind == "too_long":
        yield "", "raise max_entries, or change the code to continue_as_new; then it goes on by itself"
    if deepest.kind in MENDED_BY_CODE:
        yield "", "it goes on by itself once a worker serves code that fits"
    if deepest.kind == "diverged":
        yield "", f"to take changed code as it is: ergon retry {shlex.quote(deepest.flow_id or view.id)} --adopt"
    for aside in deepest.aside:
        yield "", f"set aside: {one_line(aside.payload)}"
    if why.fix:
        yield "fix:", why.fix


def _facts(view: FlowView, now: int) -> Iterator[str]:
    if view.version:
        yield f"version {view.version}"
    if view.queue:
        yield f"queue {view.queue}"
    yield f"attempt {view.attempt}"
    if view.recoveries:
        yield f"recovered {view.recoveries} time{'s' if view.recoveries > 1 else ''}"
    if view.worker:
        left = "" if view.lease_until is None else f" (lease {_left(view.lease_until, now)})"
        yield f"worker {view.worker}{left}"
    if view.parent:
        yield f"parent {view.parent}"
    if source := _source(view):
        yield f"forked from {source}"
    yield f"created {iso(view.created_at)}"


def _source(view: FlowView) -> str | None:
    """The flow that this one was forked from."""
    for step in view.steps:
        match step.name, step.args:
            case "forked", {"source": str(source)}:
                return source
            case _:
                pass
    return None


def _left(until: int, now: int) -> str:
    return f"{duration(until - now)} left" if until > now else f"over for {duration(now - until)}"


def _arguments(view: FlowView) -> str:
    stored: object = view.args
    if not isinstance(stored, dict):
        return one_line(stored)
    args = cast("dict[str, object]", stored)
    return BETWEEN.join(f"{name}={one_line(value)}" for name, value in args.items()) or "(no arguments)"
