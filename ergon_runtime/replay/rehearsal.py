"""A rehearsal: a flow's present code over its recorded journal, on a machine that nobody serves.

The code of the present life is run from its start. Of an ended flow it must end as it did, and ask for nothing more;
of a live one it may be anywhere once the recording is used up. A cancel that came while no code ran (P3) is no part of
what the code did, and is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from ergon_runtime.core.divergence import describe
from ergon_runtime.core.entries import CancelReceived, Patched, Recorded, Started
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, ContinueAsNew, FlowMachine
from ergon_runtime.core.stack import raising_line
from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.errors import CodecError
from ergon_runtime.replay.report import PatchUse, Path
from ergon_runtime.turns import in_callback


class Rehearsal:
    """One machine over one journal, and what it delivers. `make` makes the machine. Whoever makes one evicts it."""

    def __init__(
        self,
        row: FlowRow,
        definition: FlowDefinition,
        records: list[Recorded],
        *,
        make: Callable[..., FlowMachine] = FlowMachine,
    ) -> None:
        self._row, self._definition = row, definition
        self._ended = row.status.ended
        cut = _without_late_cancel(records)
        if len(cut) < len(records):
            records, self._ended = cut, False
        self._history = History(records, row.started if row.started is not None else row.created)
        self._recorded = iter(self._history.strict)
        self.total = len(self._history.strict)
        self.delivered: list[str] = []
        self.machine = make(
            row.id,
            definition.start,
            self._history,
            seed=row.seed,
            args=row.args.decode(errors="replace"),
            ended=self._ended,
            observer=self._observe,
        )

    async def run(self) -> None:
        """Raises Fault when code and journal disagree."""
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        started = Started("", self._history.started, self._row.seed, self._row.version, ENGINE, python)
        await in_callback(lambda: self.machine.begin(started))
        if self._ended and not self.machine.cancelled_before:
            self._check_end()

    def patches(self) -> Iterator[PatchUse]:
        """The patch ids that the code asked for, in that order, then those that are only recorded."""
        asked, marks = self.machine.patches, self._history.marks
        recorded = [key for kind, key in marks if kind == Patched.kind]
        for patch in dict.fromkeys([*asked, *recorded]):
            path: Path | None = None if patch not in asked else "new" if asked[patch] else "old"
            yield PatchUse(patch, path, patch in recorded)

    def _observe(self, how: str, key: str, _: int) -> None:
        if how != "pool":  # what earlier lives left is not of this recording
            record = next(self._recorded, None)
            self.delivered.append(describe(record.entry) if record is not None else key)

    def _check_end(self) -> None:
        """The recorded flow has ended: so must the code, in the same way."""
        machine, ended = self.machine, self._row.status.value
        asked = [describe(op) for op in machine.open] + [describe(marker) for marker in machine.markers]
        if not machine.done or machine.markers:
            raise Fault(
                FaultKind.DIVERGED,
                "the recorded flow has ended, and the code asks for more",
                recorded=f"the end ({ended})",
                current=tuple(asked) or ("nothing, but goes on",),
                where=machine.where(),
            )
        status, said, where = self._outcome()
        if status is not self._row.status:
            raise Fault(
                FaultKind.DIVERGED,
                "the flow ends in another way",
                recorded=f"the end ({ended})",
                current=(f"the end ({said})",),
                where=where,
            )

    def _outcome(self) -> tuple[Status | None, str, str | None]:
        """How the code ended: status, the same in words, and the line that raised."""
        task = self.machine.main
        assert task is not None
        if task.cancelled():
            return Status.CANCELLED, "cancelled", None
        error = task.exception()
        if isinstance(error, ContinueAsNew):
            return None, "continues as new", raising_line(error)
        if error is None:
            try:
                self._definition.encode_result(task.result())
            except CodecError as unfit:
                return Status.FAILED, f"failed: {unfit}", None
            return Status.COMPLETED, "completed", None
        return Status.FAILED, f"failed: {type(error).__name__}: {error}", raising_line(error)


def _without_late_cancel(records: list[Recorded]) -> list[Recorded]:
    """The records, without a cancel at their end that an operator wrote while no code ran."""
    last = records[-1].entry if records else None
    return records[:-1] if isinstance(last, CancelReceived) and last.before else records
