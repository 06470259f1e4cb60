"""Where a flow stands: its code is run over its journal, and its stacks are taken. No step runs, no worker is needed.

It runs to the end of what is recorded, to where code and journal differ, or to where it asks for a given key; then it
is ended (L6). Who wants to look at the frames themselves does so while they are still on the stack, in `look`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import FrameType
from typing import Any, Literal, TypeAlias

from ergon_runtime.codec import describe_error
from ergon_runtime.core.entries import ChildCreated, Outcome, Patched
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.machine import Mark
from ergon_runtime.core.operations import Op
from ergon_runtime.errors import CodecError
from ergon_runtime.histories import FlowHistory
from ergon_runtime.replay.check import Find
from ergon_runtime.replay.frames import TaskStack, running_stack, stacks_of
from ergon_runtime.replay.machine import ReplayMachine
from ergon_runtime.replay.rehearsal import Rehearsal
from ergon_runtime.turns import in_callback

State: TypeAlias = Literal["waits", "ended", "reached", "unreached", "diverged", "unreadable", "unserved"]
Look: TypeAlias = Callable[[str, Sequence[FrameType]], None]
"""Called with the key asked for and the frames of the user's own, outermost first; the last one asks for it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a flow stands.

    waits: all that is recorded was delivered, and these tasks wait. ended: it is over; `tasks` tells where it stood if
    that was not its code's doing. reached: it asks for `key` just now. unreached: it never does, but for `asked`.
    diverged: code and journal differ here, at `where` (`file:line`). unreadable, unserved: as in a replay. `message`
    says more in words.
    """

    flow_id: str
    flow: str
    version: str | None
    status: Status
    state: State
    message: str | None = None
    position: int = 0
    total: int = 0
    key: str | None = None
    where: str | None = None
    asked: tuple[str, ...] = ()
    tasks: tuple[TaskStack, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `ergon replay --stack --json` prints it."""
        return {
            "id": self.flow_id,
            "flow": self.flow,
            "version": self.version,
            "status": self.status.value,
            "state": self.state,
            "message": self.message,
            "position": self.position,
            "entries": self.total,
            "key": self.key,
            "where": self.where,
            "asked": list(self.asked),
            "tasks": [task.to_json() for task in self.tasks],
        }


async def stand(history: FlowHistory, find: Find, *, until: str | None = None, look: Look | None = None) -> Standing:
    """Where a flow stands with the code that `find` gives; or, with `until`, as it was when it first asked for that: a
    step, signal, timer, child or patch, by its key or its name in any scope (`charge`, `charge#2`, `1/charge`)."""
    row = history.row
    standing = Standing(row.id, row.type, row.version, row.status, "unserved")
    definition = find(row.type, row.version)
    if definition is None:
        version = f" version {row.version}" if row.version else ""
        return replace(standing, message=f"no flow {row.type}{version} in the modules loaded")
    try:
        records = await history.records()
    except Fault as unread:
        return replace(standing, state="unreadable", message=unread.message)
    watch = _Watch(until, look)
    rehearsal = Rehearsal(row, definition, records, make=partial(_Watched, watch))
    try:
        fault = await _run(rehearsal)
        standing = replace(standing, position=len(rehearsal.delivered), total=rehearsal.total)
        if watch.reached is not None:
            return replace(standing, state="reached", key=watch.reached, tasks=watch.tasks)
        if fault is not None:
            return _differing(standing, fault, watch.tasks or stacks_of(rehearsal.machine))
        if until is not None:
            said = f"the code never asks for {until}"
            return replace(standing, state="unreached", message=said, asked=tuple(watch.asked))
        standing = replace(standing, state="ended" if row.status.ended else "waits", message=_remark(row, rehearsal))
        never_ran = row.status.ended and rehearsal.machine.history.empty
        return standing if never_ran else replace(standing, tasks=stacks_of(rehearsal.machine))
    finally:
        with warnings.catch_warnings():  # what the code has made and not awaited yet never will be
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            await in_callback(rehearsal.machine.evict)


def _differing(standing: Standing, fault: Fault, tasks: tuple[TaskStack, ...]) -> Standing:
    state: State = "unreadable" if fault.kind is FaultKind.UNREADABLE else "diverged"
    return replace(standing, state=state, message=fault.message, key=fault.key, where=fault.where, tasks=tasks)


async def _run(rehearsal: Rehearsal) -> Fault | None:
    try:
        await rehearsal.run()
    except Fault as fault:
        return fault
    return None


def _remark(row: FlowRow, rehearsal: Rehearsal) -> str | None:
    """What a person should know of where it stands."""
    machine = rehearsal.machine
    if row.status.ended:
        return _end(row)
    if machine.history.delayed:
        return "its next attempt has not begun; so far its code gets without a step run again"
    if machine.history.empty:
        return "it has not begun; so far its code gets at first"
    if machine.done:
        return "its code has come to its end, which is not recorded yet"
    return None


def _end(row: FlowRow) -> str:
    try:
        error = Outcome.unpack(row.result or b"").error
        view = describe_error(error) if error is not None else None
    except (ValueError, CodecError):
        view = None
    return row.status.value + (f": {view.type}: {view.message}" if view else "")


class _Watch:
    """What is waited for, and what was seen."""

    def __init__(self, until: str | None, look: Look | None) -> None:
        self._until = until.removesuffix("#1") if until is not None else None
        self._look = look
        self.asked: dict[str, None] = {}
        self.reached: str | None = None
        self.tasks: tuple[TaskStack, ...] = ()

    def meets(self, key: str, name: str) -> bool:
        """Whether this is what is waited for."""
        self.asked[key] = None
        wanted = self._until
        return wanted in (key, name) or (wanted is not None and "/" not in wanted and wanted == key.rpartition("/")[2])

    def reach(self, machine: ReplayMachine, key: str) -> None:
        self.reached = key
        self.tasks = stacks_of(machine, values=True)
        if self._look is not None:
            self._look(key, running_stack(machine))

    def stop(self, machine: ReplayMachine) -> None:
        """The machine stops flow code that still is on the stack."""
        if self.reached is None and not self.tasks:
            self.tasks = stacks_of(machine)


class _Watched(ReplayMachine):
    """A machine that stops where what is waited for is asked for, before that is known to it."""

    def __init__(self, watch: _Watch, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = watch

    def ask(self, op: Op) -> None:
        self._meet(op.key, op.name)
        super().ask(op)

    def see(self, kind: str, key: str) -> Mark | None:
        if kind in (ChildCreated.kind, Patched.kind):
            self._meet(key, key)
        return super().see(kind, key)

    def stop(self, fault: Fault) -> BaseException:
        self._watch.stop(self)
        return super().stop(fault)

    def _meet(self, key: str, name: str) -> None:
        if not self.loop.evicted and self._watch.meets(key, name):
            try:
                self._watch.reach(self, key)
            finally:  # also when who looks has had enough
                stopped = self.stop(Fault(FaultKind.STUCK, f"the code asks for {key}", key=key))
            raise stopped
