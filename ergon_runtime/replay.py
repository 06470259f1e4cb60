"""Replay: a flow's present code over its recorded journal. No step runs, nothing is written, no worker is needed.

The code of the present life is run from its start. Of an ended flow it must end as it did, and ask for nothing more;
of a live one it may be anywhere once the recording is used up. A cancel that came while no code ran (P3) is no part of
what the code did, and is left out.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from ergon_runtime.core.divergence import describe
from ergon_runtime.core.entries import CancelReceived, Patched, Recorded, Started
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, ContinueAsNew, FlowMachine
from ergon_runtime.core.stack import raising_line
from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.errors import CodecError
from ergon_runtime.journal import load_journal
from ergon_runtime.stores.contract import Store
from ergon_runtime.turns import in_callback

Find: TypeAlias = Callable[[str, str | None], FlowDefinition | None]
"""Gives the flow type of exactly this name and version, or None."""
Verdict: TypeAlias = Literal["same", "diverged", "unreadable", "unserved"]
Path: TypeAlias = Literal["old", "new"]


@dataclass(frozen=True, slots=True)
class PatchUse:
    """What a flow has to do with one id of `patched` in its present life.

    `path` is what its code was told; None when the code did not ask. `recorded`: the journal holds the marker, so the
    code has to ask for it (E6).
    """

    id: str
    path: Path | None
    recorded: bool

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "path": self.path, "recorded": self.recorded}


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    same: journal and code agree. diverged: they do not, or the code runs on without waiting (`kind`); `key`, `recorded`
    and `current` name both sides, `where` the line of code. unreadable: stored data does not fit the code or cannot be
    read. unserved: no code of this type and version is loaded. `delivered` describes the completions that agreed, in
    order; `total` is how many were recorded. `patches` are the patch ids asked for or recorded: all of them if the
    verdict is same, else those met before the replay ended.
    """

    flow_id: str
    flow: str
    version: str | None
    status: Status
    verdict: Verdict
    delivered: tuple[str, ...] = ()
    total: int = 0
    kind: FaultKind | None = None
    message: str | None = None
    key: str | None = None
    recorded: str | None = None
    current: tuple[str, ...] = ()
    where: str | None = None
    patches: tuple[PatchUse, ...] = ()

    @property
    def position(self) -> int:
        """How many completions were delivered before the replay ended."""
        return len(self.delivered)

    def to_json(self) -> dict[str, Any]:
        """As `ergon replay --json` prints it."""
        return {
            "id": self.flow_id,
            "flow": self.flow,
            "version": self.version,
            "status": self.status.value,
            "verdict": self.verdict,
            "position": self.position,
            "entries": self.total,
            "kind": self.kind and self.kind.value,
            "message": self.message,
            "key": self.key,
            "recorded": self.recorded,
            "current": list(self.current),
            "where": self.where,
            "patches": [use.to_json() for use in self.patches],
        }


async def replay_flow(store: Store, row: FlowRow, find: Find) -> ReplayReport:
    """Replay one flow with the code that `find` gives. Raises StoreError."""
    definition = find(row.type, row.version)
    if definition is None:
        version = f" version {row.version}" if row.version else ""
        message = f"no flow {row.type}{version} in the modules loaded"
        return ReplayReport(row.id, row.type, row.version, row.status, "unserved", message=message)
    try:
        records = await load_journal(partial(store.journal, row.id), row.base, row.length)
    except Fault as fault:
        return _report(row, None, fault)
    replay = _Replay(row, definition, records)
    try:
        await replay.run()
    except Fault as fault:
        return _report(row, replay, fault)
    finally:
        asyncio.get_running_loop().call_soon(replay.machine.evict, context=Context())
    return _report(row, replay, None)


class _Replay:
    """One machine over one journal, and what it delivers."""

    def __init__(self, row: FlowRow, definition: FlowDefinition, records: list[Recorded]) -> None:
        self._row, self._definition = row, definition
        self._ended = row.status.ended
        cut = _without_late_cancel(records)
        if len(cut) < len(records):
            records, self._ended = cut, False
        self._history = History(records, row.started if row.started is not None else row.created)
        self._recorded = iter(self._history.strict)
        self.total = len(self._history.strict)
        self.delivered: list[str] = []
        self.machine = FlowMachine(
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


def _report(row: FlowRow, replay: _Replay | None, fault: Fault | None) -> ReplayReport:
    verdict: Verdict = "same"
    if fault is not None:
        verdict = "unreadable" if fault.kind is FaultKind.UNREADABLE else "diverged"
    return ReplayReport(
        row.id,
        row.type,
        row.version,
        row.status,
        verdict,
        delivered=tuple(replay.delivered) if replay else (),
        total=replay.total if replay else 0,
        kind=fault.kind if fault else None,
        message=fault.message if fault else None,
        key=fault.key if fault else None,
        recorded=fault.recorded if fault else None,
        current=fault.current if fault else (),
        where=fault.where if fault else None,
        patches=tuple(replay.patches()) if replay else (),
    )
