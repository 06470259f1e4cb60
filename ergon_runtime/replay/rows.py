"""The two columns: what is recorded and what the code asks for, around the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import islice, zip_longest
from typing import TypeAlias

from ergon_runtime.core.divergence import describe
from ergon_runtime.core.entries import CancelReceived
from ergon_runtime.core.operations import TimerOp
from ergon_runtime.replay.differences import Finding
from ergon_runtime.replay.machine import Asked, Diagnosis
from ergon_runtime.replay.rehearsal import Rehearsal
from ergon_runtime.replay.report import ComparedRow

BEFORE = 3
"""Rows shown before the first difference."""
AFTER = 4
"""Rows shown after it."""
WINDOW = 60
"""How far both sides are aligned."""

Token: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One side of a row. Equal tokens are the same operation."""

    token: Token
    text: str
    position: int | None = None
    where: str | None = None


def compared_rows(rehearsal: Rehearsal, diagnosis: Diagnosis, finding: Finding) -> tuple[ComparedRow, ...]:
    """What agreed last, the first difference, and what follows as far as it is known."""
    agreed = len(rehearsal.delivered)
    start = max(0, agreed - BEFORE)
    before = [ComparedRow(start + n, said, said, True) for n, said in enumerate(rehearsal.delivered[start:], 1)]
    recorded, current = _recorded(rehearsal, agreed), _current(rehearsal, diagnosis, finding)
    rows = list(_paired(recorded, current) if _side_by_side(finding) else _aligned(recorded, current))
    first = next((n for n, row in enumerate(rows) if not row.equal), None)
    if first is None:  # the same operations: what differs is not in what is asked for
        rows = [ComparedRow(None, finding.recorded, finding.current[0], False, finding.where)]
        return (*before, *rows)
    rows = [*before, *rows[: first + 1 + AFTER]]
    return tuple(rows[max(0, len(before) + first - BEFORE) :])


def unfit_rows(rehearsal: Rehearsal, finding: Finding) -> tuple[ComparedRow, ...]:
    """The rows of a recorded value that does not fit, which was delivered last."""
    end = len(rehearsal.delivered)
    start = max(0, end - BEFORE)
    before = [ComparedRow(start + n, said, said, True) for n, said in enumerate(rehearsal.delivered[start:], 1)]
    return (*before, ComparedRow(end + 1, finding.recorded, finding.current[0], False, finding.where))


def _side_by_side(finding: Finding) -> bool:
    """Whether both sides have as many operations, one in place of the other."""
    return finding.difference in ("order", "arguments", "kind", "step", "end", "result")


def _recorded(rehearsal: Rehearsal, agreed: int) -> list[_Cell]:
    cells = [
        _Cell((index,), rehearsal.machine.words(record.entry), index + 1)
        for index, record in enumerate(islice(rehearsal.history.strict, agreed, agreed + WINDOW), agreed)
    ]
    if rehearsal.ended and agreed + WINDOW >= rehearsal.total:
        cells.append(_Cell(("end",), f"the end ({rehearsal.row.status.value})"))
    return cells


def _current(rehearsal: Rehearsal, diagnosis: Diagnosis, finding: Finding) -> list[_Cell]:
    """In the order of the answers; what has none stands where it was asked for."""
    agreed = len(rehearsal.delivered)
    cells = [
        _Cell((index,), describe(record.entry))
        for index, record in enumerate(rehearsal.history.strict[agreed : agreed + WINDOW], agreed)
        if isinstance(record.entry, CancelReceived)
    ]
    asked = sorted(diagnosis.asked, key=lambda each: each.moment)
    cells += [_cell(each, diagnosis) for each in asked if _shows(each, diagnosis, finding)]
    if diagnosis.done:
        said = finding.current[0] if rehearsal.machine.done and finding.current else "the end"
        differs = finding.difference in ("end", "result")
        cells.append(_Cell(("end", *(["another"] if differs else [])), said, where=diagnosis.returned.line))
    if finding.lines and cells and cells[0].where is None:
        cells[0] = replace(cells[0], where=finding.where)
    return cells[:WINDOW]


def _shows(asked: Asked, diagnosis: Diagnosis, finding: Finding) -> bool:
    """Whether it belongs in the columns: it was answered, or stands where they differ. The alarms of timeouts, and what
    was asked for before, wait aside."""
    if asked.index is not None or asked.how is not None:
        return True
    if isinstance(asked.op, TimerOp) and not asked.op.sleep:
        return False
    return diagnosis.words(asked.op) == finding.current[0] or asked.line is not None


def _cell(asked: Asked, diagnosis: Diagnosis) -> _Cell:
    token: Token = (asked.index,) if asked.how == "exact" else ("asked", asked.op.key, asked.op.digest)
    return _Cell(token, diagnosis.words(asked.op), where=asked.line)


def _paired(recorded: Sequence[_Cell], current: Sequence[_Cell]) -> Iterator[ComparedRow]:
    for then, now in zip_longest(recorded, current):
        yield _row(then, now)


def _aligned(recorded: Sequence[_Cell], current: Sequence[_Cell]) -> Iterator[ComparedRow]:
    then, now = ([cell.token for cell in side] for side in (recorded, current))
    for _, left, right, low, high in SequenceMatcher(None, then, now, autojunk=False).get_opcodes():
        yield from _paired(recorded[left:right], current[low:high])


def _row(then: _Cell | None, now: _Cell | None) -> ComparedRow:
    equal = then is not None and now is not None and then.token == now.token
    return ComparedRow(
        then.position if then is not None else None,
        then.text if then is not None else None,
        now.text if now is not None else None,
        equal,
        now.where if now is not None else None,
    )
