"""The two columns: what is recorded and what the code asks for, around the first difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TypeAlias

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
END: Token = ("end",)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One side of a row. Cells of one token belong in one row; `own`: they are the same, too."""

    token: Token
    text: str
    position: int | None = None
    where: str | None = None
    own: bool = True


def compared_rows(rehearsal: Rehearsal, diagnosis: Diagnosis, finding: Finding) -> tuple[ComparedRow, ...]:
    """What agreed last, the first difference, and what follows as far as it is known."""
    columns = _Columns(rehearsal, diagnosis, finding)
    rows = list(_paired(*columns.both()) if _side_by_side(finding) else _aligned(*columns.both()))
    first = next((n for n, row in enumerate(rows) if not row.equal), None)
    if first is None:  # what is asked for is the same: the difference is in a marker, or in how
        rows, first = [ComparedRow(None, finding.recorded, finding.current[0], False, finding.where)], 0
    last = first + AFTER
    if not diagnosis.done:  # beyond what it was carried to, nobody knows what the code asks for
        last = max(n for n, row in enumerate(rows) if n <= first or row.current is not None)
    rows = [*agreed_rows(rehearsal), *rows[: min(last, first + AFTER) + 1]]
    start = len(agreed_rows(rehearsal)) + first - BEFORE
    return tuple(rows[max(0, start) :])


def unfit_rows(rehearsal: Rehearsal, finding: Finding) -> tuple[ComparedRow, ...]:
    """The rows of a recorded value that does not fit, which comes after what was delivered."""
    position = len(rehearsal.delivered) + 1
    return (
        *agreed_rows(rehearsal),
        ComparedRow(position, finding.recorded, finding.current[0], False, finding.where),
    )


def agreed_rows(rehearsal: Rehearsal) -> list[ComparedRow]:
    """The last rows of what agreed."""
    start = max(0, len(rehearsal.delivered) - BEFORE)
    return [ComparedRow(start + n, said, said, True) for n, said in enumerate(rehearsal.delivered[start:], 1)]


def _side_by_side(finding: Finding) -> bool:
    """Whether both sides have as many operations, one in place of the other."""
    return finding.difference in ("order", "arguments", "kind", "step", "end", "result")


class _Columns:
    """Both sides from the first difference on."""

    def __init__(self, rehearsal: Rehearsal, diagnosis: Diagnosis, finding: Finding) -> None:
        self._rehearsal, self._diagnosis, self._finding = rehearsal, diagnosis, finding
        self._agreed = len(rehearsal.delivered)
        self._records = list(enumerate(rehearsal.history.strict))[self._agreed : self._agreed + WINDOW]
        self._waits: list[Asked] = []
        """What both wait for where the recording ends."""

    def both(self) -> tuple[list[_Cell], list[_Cell]]:
        current = list(self._current())[:WINDOW]
        recorded = list(self._recorded())
        waits = [_Cell(("waits", each.op.key), self._diagnosis.words(each.op), where=each.line) for each in self._waits]
        return recorded + waits, current + waits

    def _recorded(self) -> Iterator[_Cell]:
        for index, record in self._records:
            yield _Cell((index,), self._rehearsal.machine.words(record.entry), index + 1)
        if self._rehearsal.ended and self._agreed + WINDOW >= self._rehearsal.total:
            finding = self._finding
            differs = finding.difference in ("end", "result") and finding.key is None
            yield _Cell(END, finding.recorded if differs else f"the end ({self._rehearsal.row.status.value})")

    def _current(self) -> Iterator[_Cell]:
        """In the order of the answers; what has none stands where it was asked for."""
        diagnosis, finding = self._diagnosis, self._finding
        for index, record in self._records:
            if isinstance(record.entry, CancelReceived):
                yield _Cell((index,), self._rehearsal.machine.words(record.entry))
        shown = [each for each in diagnosis.asked if self._shows(each)]
        answers = sorted((each for each in shown if each.index is not None), key=lambda each: each.moment)
        for n, each in enumerate(sorted(shown, key=lambda each: _moment(each, answers))):
            cell = self._cell(each)
            yield replace(cell, where=cell.where or finding.where) if n == 0 else cell
        if diagnosis.done:
            ends_there = self._rehearsal.machine.done and bool(finding.current)
            said = finding.current[0] if ends_there else "the end"
            where = finding.where if ends_there and finding.where else diagnosis.returned.line or finding.where
            yield _Cell(END, said, where=where, own=finding.difference not in ("end", "result"))

    def _shows(self, asked: Asked) -> bool:
        """Whether it belongs in the columns: it was answered, or stands where they differ. The alarms of timeouts, and
        what was asked for before, wait aside; so does what both wait for, and what was given up: no journal has it."""
        if asked.index is not None or asked.how is not None:
            return True
        if asked.given_up:
            return self._diagnosis.words(asked.op) == self._finding.current[0]
        if self._diagnosis.open.holds(asked.op) and self._rehearsal.was_asked(asked.op):
            self._waits.append(asked)
            return False
        if isinstance(asked.op, TimerOp) and not asked.op.sleep:
            return False
        return self._diagnosis.words(asked.op) == self._finding.current[0] or asked.line is not None

    def _cell(self, asked: Asked) -> _Cell:
        token: Token = (asked.index,) if asked.index is not None else ("asked", asked.op.key)
        return _Cell(token, self._diagnosis.words(asked.op), where=asked.line, own=asked.how == "exact")


def _moment(asked: Asked, answers: Sequence[Asked]) -> float:
    """When it was answered; for what only stands in the place of another, when that would have been."""
    if asked.index is None or asked.how not in ("renamed", "arguments"):
        return asked.moment
    later = (each.moment for each in answers if each.moment > asked.since and (each.index or 0) > asked.index)
    return min(next(later, asked.moment), asked.moment) - 0.5


def _paired(recorded: Sequence[_Cell], current: Sequence[_Cell]) -> Iterator[ComparedRow]:
    for then, now in zip_longest(recorded, current):
        yield _row(then, now)


def _aligned(recorded: Sequence[_Cell], current: Sequence[_Cell]) -> Iterator[ComparedRow]:
    then, now = ([cell.token for cell in side] for side in (recorded, current))
    for _, left, right, low, high in SequenceMatcher(None, then, now, autojunk=False).get_opcodes():
        yield from _paired(recorded[left:right], current[low:high])


def _row(then: _Cell | None, now: _Cell | None) -> ComparedRow:
    return ComparedRow(
        then.position if then is not None else None,
        then.text if then is not None else None,
        now.text if now is not None else None,
        then is not None and now is not None and then.token == now.token and now.own,
        now.where if now is not None else None,
    )
