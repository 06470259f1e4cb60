"""Views of flows and steps made by hand, and how they look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ergon_cli.screens.look import Line, Look, rendered
from ergon_runtime import Status
from ergon_runtime.view import ErrorInfo, FlowView, StepView, Try
from ergon_runtime.view.model import StepStatus

START = 1_700_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BUSY = ErrorInfo("OSError", "busy", "OSError: busy\n")


def flow(*steps: StepView, status: Status = Status.COMPLETED, took: int = 10_000, **given: Any) -> FlowView:
    facts: dict[str, Any] = {
        "id": "A-17",
        "flow": "order",
        "version": None,
        "status": status,
        "why": None,
        "args": {"n": 1},
        "result": None,
        "error": None,
        "parent": None,
        "children": (),
        "attempt": 1,
        "recoveries": 0,
        "created_at": START,
        "updated_at": START + took,
        "started_at": START,
        "steps": steps,
    }
    return FlowView(**(facts | given))


def step(key: str, start: int, end: int | None, error: ErrorInfo | None = None) -> StepView:
    """A step of one try; without an end it runs."""
    return tried(key, (start, end, error))


def tried(key: str, *tries: tuple[int, int | None, ErrorInfo | None], due: int | None = None) -> StepView:
    made = tuple(
        Try(n, "w1", START + start, None if end is None else START + end, error)
        for n, (start, end, error) in enumerate(tries, 1)
    )
    last = made[-1]
    status: StepStatus = "waiting" if due is not None else "running" if last.finished_at is None else "completed"
    if last.error is not None and due is None:
        status = "failed"
    return StepView(
        key,
        "step",
        key.rpartition("/")[2].partition("#")[0],
        status,
        attempts=len(made),
        tries=made,
        error=last.error,
        started_at=made[0].started_at,
        finished_at=last.finished_at if due is None else None,
        due=None if due is None else START + due,
    )


def wait(kind: Any, key: str, start: int, end: int | None, **given: Any) -> StepView:
    """A timer, a signal or a child; without an end it is waited for."""
    finished = None if end is None else START + end
    status = "waiting" if end is None else "completed"
    return StepView(key, kind, key, status, started_at=START + start, finished_at=finished, **given)


def mark(name: str, at: int, **given: Any) -> StepView:
    return StepView(f"{name}~2", "marker", name, "completed", started_at=START + at, finished_at=START + at, **given)


def look(width: int | None, now: int = 10_000, **given: Any) -> Look:
    return Look(START + now, width, **given)


def text(lines: Iterable[Line], seen: Look) -> Sequence[str]:
    return [rendered(line, seen) for line in lines]
