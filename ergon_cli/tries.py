"""The tries of a step in words, for those that had to be made again or failed; likewise the attempts of a flow.

A person gets one line for each, which is never cut; programs that read tabs get a row in the columns of the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.screens.look import Look
from ergon_cli.text import duration
from ergon_runtime.view import ErrorInfo, StepView, Try, iso

SHOWN = 6
"""Of very many tries a person is shown so many at the beginning and at the end."""


def try_lines(step: StepView, since: int, look: Look) -> list[str]:
    """The tries of a step, one in a line, and when the next is due. `since` is where the flow's time begins."""
    if not _worth_telling(step):
        return []
    what = "attempt" if step.kind == "marker" else "try"
    lines = [f"{what} {each.n}  {_line(each, since)}" for each in step.tries]
    if len(lines) > 2 * SHOWN + 1 and not look.full:
        lines[SHOWN:-SHOWN] = [f"+ {len(lines) - 2 * SHOWN:,} tries  (folded; --full)"]
    if step.due is not None:
        after, due, now = step.tries[-1].n + 1, step.due, look.now
        lines.append(f"{what} {after}  due {f'in {duration(due - now)}' if due > now else f'+{duration(due - since)}'}")
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


def _line(each: Try, since: int) -> str:
    began = f"+{duration(each.started_at - since)}" if each.started_at is not None else ""
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
