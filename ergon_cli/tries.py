"""The tries of a step in words, for those that had to be made again or failed; likewise the attempts of a flow.

A person gets one line for each, which is never cut; programs that read tabs get a row in the columns of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.text import duration
from ergon_runtime.view import ErrorInfo, FlowView, StepView, Try, iso


def try_lines(step: StepView, view: FlowView, now: int) -> list[str]:
    """The tries of a step, one in a line, and when the next is due."""
    if not _worth_telling(step):
        return []
    what = "attempt" if step.kind == "marker" else "try"
    lines = [f"{what} {each.n}  {_line(each, view)}" for each in step.tries]
    if step.due is not None:
        after = step.tries[-1].n + 1
        when = f"in {duration(step.due - now)}" if step.due > now else f"+{duration(step.due - view.created_at)}"
        lines.append(f"{what} {after}  due {when}")
    return lines


def try_rows(step: StepView) -> Iterator[tuple[str, ...]]:
    """The same as rows: no key, `try` or `attempt`, how it ended (or `due`), its number, start, length, and error."""
    if not _worth_telling(step):
        return
    what = "attempt" if step.kind == "marker" else "try"
    for each in step.tries:
        began = iso(each.started_at) if each.started_at is not None else ""
        yield "", what, _status(each), str(each.n), began, _took(each), "  ".join(_rest(each))
    if step.due is not None:
        yield "", what, "due", str(step.tries[-1].n + 1), iso(step.due), "", ""


def _worth_telling(step: StepView) -> bool:
    return any(each.error is not None for each in step.tries)


def _line(each: Try, view: FlowView) -> str:
    began = f"+{duration(each.started_at - view.created_at)}" if each.started_at is not None else ""
    return "  ".join(part for part in (_status(each), began, _took(each), *_rest(each)) if part)


def _rest(each: Try) -> Iterator[str]:
    if each.worker:
        yield f"on {each.worker}"
    if each.error is not None:
        yield _error(each.error)


def _status(each: Try) -> str:
    if each.error is not None:
        return "failed"
    return "completed" if each.finished_at is not None else "running"


def _took(each: Try) -> str:
    if each.started_at is None or each.finished_at is None:
        return ""
    return duration(each.finished_at - each.started_at)


def _error(error: ErrorInfo) -> str:
    """The whole message, in one line."""
    said = " ".join(error.message.split())
    return f"{error.type}: {said}" if said else error.type
