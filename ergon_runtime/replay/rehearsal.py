"""A rehearsal: a flow's present code over its recorded journal, on a machine that nobody serves.

The code of the present life is run from its start. Of an ended flow it must end as it did, and ask for nothing more;
of a live one it may be anywhere once the recording is used up. A cancel that came while no code ran (P3) is no part of
what the code did, and is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import cast

from ergon_runtime.core.divergence import describe
from ergon_runtime.core.entries import CancelReceived, ChildCreated, Patched, Recorded, Started, StepBegun, StepStopped
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, SHOWN
from ergon_runtime.core.operations import ChildOp, Op, SignalOp, StepOp, TimerOp
from ergon_runtime.core.places import in_place_of
from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.replay.endings import end_of, other_result
from ergon_runtime.replay.machine import Diagnosis, ReplayMachine
from ergon_runtime.replay.report import Difference, PatchUse, Path
from ergon_runtime.turns import in_callback


class EndDiffers(Fault):
    """The code agrees with all that is recorded, and ends in another way, or not at all."""

    def __init__(
        self, difference: Difference, message: str, recorded: str, current: tuple[str, ...], where: str | None
    ) -> None:
        super().__init__(FaultKind.DIVERGED, message, recorded=recorded, current=current, where=where)
        self.difference: Difference = difference


class Rehearsal:
    """One machine over one journal, and what it delivers. `make` makes the machine. Whoever makes one evicts it."""

    def __init__(
        self,
        row: FlowRow,
        definition: FlowDefinition,
        records: list[Recorded],
        *,
        make: Callable[..., ReplayMachine] = ReplayMachine,
    ) -> None:
        self.row, self._definition = row, definition
        self.ended = row.status.ended
        cut = _without_late_cancel(records)
        if len(cut) < len(records):
            records, self.ended = cut, False
        self.history = History(records, row.origin)
        self._recorded = iter(self.history.strict)
        self.total = len(self.history.strict)
        self.delivered: list[str] = []
        self._waits = set(_noted_waits(row.note))
        self._stopped = {
            (each.entry.key, each.entry.digest) for each in self.history.strict if isinstance(each.entry, StepStopped)
        }
        self.machine = make(
            row.id,
            definition.start,
            self.history,
            seed=row.seed,
            args=row.args.decode(errors="replace"),
            ended=self.ended,
            observer=self._observe,
        )

    async def run(self, *, check_result: bool = False) -> None:
        """Raises Fault when code and journal disagree; with `check_result` also when the flow had another result."""
        await in_callback(lambda: self.machine.begin(self._started()))
        if self.ended and not self.machine.cancelled_before:
            self._check_end(check_result)

    async def diagnose(self, key: str | None) -> Diagnosis:
        """Run the code once more, and on past where it no longer agrees with the journal, which has this key there."""
        diagnosis = Diagnosis(
            self.row.id,
            self._definition.start,
            self.history,
            agreed=len(self.delivered),
            key=key,
            aside=self.was_asked,
            seed=self.row.seed,
            args=self.row.args.decode(errors="replace"),
        )

        def begin() -> None:
            with redirect_stdout(StringIO()):  # what the code prints was printed once
                diagnosis.begin(self._started())

        with suppress(Fault):
            await in_callback(begin)
        return diagnosis

    def was_asked(self, op: Op) -> bool:
        """Whether the recorded run too asked for this: its end is not recorded, but something else of it is."""
        row, history = self.row, self.history
        if (op.kind, op.key) in self._waits:
            return True
        match op:
            case StepOp():
                begun = op.key in history.failures or (StepBegun.kind, op.key) in history.marks
                return begun or (op.key, op.digest) in self._stopped
            case TimerOp():
                return row.status is Status.WAITING and op.due == row.due
            case SignalOp():
                return op.channel in {wait.channel for wait in row.waits}
            case ChildOp():
                return (ChildCreated.kind, op.key) in history.marks

    def drop_last(self, key: str | None) -> None:
        """Take back the completion of this key, if it was delivered last: what it holds did not fit."""
        place = len(self.delivered) - 1
        if place >= 0 and self.history.strict[place].entry.key == key:
            self.delivered.pop()

    def _started(self) -> Started:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        return Started("", self.history.started, self.row.seed, self.row.version, ENGINE, python)

    def patches(self) -> Iterator[PatchUse]:
        """The patch ids that the code asked for, in that order, then those that are only recorded."""
        asked, marks = self.machine.patches, self.history.marks
        recorded = [key for kind, key in marks if kind == Patched.kind]
        for patch in dict.fromkeys([*asked, *recorded]):
            path: Path | None = None if patch not in asked else "new" if asked[patch] else "old"
            yield PatchUse(patch, path, patch in recorded)

    def _observe(self, how: str, key: str, _: int) -> None:
        if how != "pool":  # what earlier lives left is not of this recording
            record = next(self._recorded, None)
            self.delivered.append(self.machine.words(record.entry) if record is not None else key)

    def _check_end(self, check_result: bool) -> None:
        """The recorded flow has ended: so must the code, in the same way."""
        machine, recorded = self.machine, f"the end ({self.row.status.value})"
        if not machine.done or machine.markers:
            asked = [machine.words(op) for op in in_place_of(None, machine.open)]
            asked += [describe(marker) for marker in machine.markers]
            message = "the recorded flow has ended, and the code asks for more"
            current = tuple(asked[:SHOWN]) or ("nothing, but goes on",)
            first = next(iter(in_place_of(None, machine.open)), None)
            raise EndDiffers("extra", message, recorded, current, machine.where(first.key if first else None))
        status, said, where = self.outcome()
        if status is not self.row.status:
            raise EndDiffers("end", "the flow ends in another way", recorded, (f"the end ({said})",), where)
        if check_result and self.row.result is not None and machine.main is not None:
            other = other_result(self.row.result, machine.main, self._definition)
            if other is not None:
                sides = f"the end ({other.recorded})", (f"the end ({other.current})",)
                raise EndDiffers("result", f"the flow ends with another {other.what}", *sides, where)

    def outcome(self) -> tuple[Status | None, str, str | None]:
        """How the code ended: status, the same in words, and the line that raised."""
        assert self.machine.main is not None
        return end_of(self.machine.main, self._definition)


def _noted_waits(note: bytes | None) -> Iterator[tuple[str, str]]:
    """Kind and key of what the flow waited for when it was last told; files have no other trace of it."""
    waits: object = read_note(note).get("waits")
    for item in cast("list[object]", waits) if isinstance(waits, list) else []:
        match item:
            case {"kind": str(kind), "key": str(key)}:
                yield StepOp.kind if kind == "retry" else kind, key
            case _:
                pass


def _without_late_cancel(records: list[Recorded]) -> list[Recorded]:
    """The records, without a cancel at their end that an operator wrote while no code ran."""
    last = records[-1].entry if records else None
    return records[:-1] if isinstance(last, CancelReceived) and last.before else records
