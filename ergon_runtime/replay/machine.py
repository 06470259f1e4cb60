"""Machines of replays: as a worker's, and they note where tasks are created and what was given last.

`Diagnosis` goes on where code and journal differ. It answers what the code asks for with what is recorded for it, in
whatever order: first by key and arguments, then by name and arguments under another key. If that leads nowhere, what is
recorded first answers what looks as if it stood in its place, and sleeps and steps that give nothing just end. So it
tells what the code asks for in which order, as far as recorded answers carry it.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeAlias, TypeVar

from ergon_runtime.core.divergence import describe, matches
from ergon_runtime.core.entries import (
    CancelReceived,
    ChildCreated,
    Entry,
    Recorded,
    SignalReceived,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.history import History
from ergon_runtime.core.loop import FlowLoop, FlowTask, Scope
from ergon_runtime.core.machine import FlowMachine, Main, Mark, Observer
from ergon_runtime.core.operations import ChildOp, Op, SignalOp, StepOp, TimerOp
from ergon_runtime.core.places import Places, in_place_of
from ergon_runtime.core.stack import frames, is_users, running_line
from ergon_runtime.definitions import StepCall
from ergon_runtime.errors import CodecError
from ergon_runtime.replay.tracing import LastLine

T = TypeVar("T")

How: TypeAlias = Literal["exact", "moved", "renamed", "arguments", "invented"]
Identity: TypeAlias = tuple[str, str, str]

NOTED = 60
"""Operations from the difference on whose lines are noted."""
LOOKED_AT = 5
"""Records not asked for that may answer what stands in their place."""
ORIGINS = 4
"""Frames that are noted of where a coroutine was made: the call of a step has one of ours above the user's."""
STAND_INS = 50
"""Answers that a diagnosis gives although they are not those of the operation."""


class NotingLoop(FlowLoop):
    """A loop whose tasks know the line that created them, or rather what they run: in a call of `gather` over several
    lines, that of the step."""

    def drain(self) -> None:
        before = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(ORIGINS)
        try:
            super().drain()
        finally:
            sys.set_coroutine_origin_tracking_depth(before)

    def start_task(
        self,
        coro: Coroutine[Any, Any, T],
        scope: Scope | None,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> FlowTask[T]:
        task = super().start_task(coro, scope, name=name, context=context)
        if asyncio._get_running_loop() is self:
            task.made_at = _origin(coro) or running_line()
        return task


class ReplayMachine(FlowMachine):
    """The machine of a rehearsal. `given` is what was given to the flow code last."""

    given: tuple[Op, Entry] | None = None

    def __init__(
        self,
        flow_id: str,
        main: Main,
        history: History,
        *,
        seed: str,
        args: str,
        ended: bool,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(flow_id, main, history, seed=seed, args=args, ended=ended, observer=observer)
        self.loop = NotingLoop(self, f"{seed}/{self.life}", lambda context: None)  # type: ignore[abstract]  # as the base

    def words(self, thing: Op | Entry) -> str:
        """An operation or entry in a few words, a child with its arguments."""
        created = self.marks.get((ChildCreated.kind, thing.key)) if thing.kind == ChildOp.kind else None
        return describe(created or thing)

    def mentions(self, name: str) -> bool:
        """Whether the user's code that waits now has this name in it, as a name or a text."""
        codes = {frame.f_code for task in self.loop.alive() for frame in frames(task.get_coro())}
        return any(name in code.co_names or name in code.co_consts for code in codes if is_users(code.co_filename))

    def _give(self, how: str, op: Op, entry: Entry) -> None:
        self.given = (op, entry)
        super()._give(how, op, entry)


@dataclass(slots=True)
class Asked:
    """An operation that the code asks for where it no longer agrees with the journal, or after that.

    `since` and `moment` order the asking and the answer; without an answer they are one. `index` is the place of the
    answer among the strict records. `given_up`: the code waited for it no longer, and went on.
    """

    op: Op
    since: int
    moment: int
    line: str | None = None
    index: int | None = None
    how: How | None = None
    given_up: bool = False


def bare(key: str) -> str:
    """The name in a key: `charge` of `1/charge#2`."""
    return key.rpartition("/")[2].partition("#")[0]


def identity(thing: Op | Entry) -> Identity:
    """What an operation or entry is, wherever it stands: kind, name and arguments."""
    kind = StepEnded.kind if isinstance(thing, StepStopped) else thing.kind
    return kind, bare(thing.key), getattr(thing, "digest", "")


class Diagnosis(ReplayMachine):
    """Agrees with the journal for the first `agreed` completions, then answers regardless of order. `lost`: even then
    it did not agree, so the code does not do the same each time. `key` is recorded where they differ. `aside` tells
    what the recorded run waited for too, so that it stands in no other's place."""

    def __init__(
        self,
        flow_id: str,
        main: Main,
        history: History,
        *,
        agreed: int,
        key: str | None,
        aside: Callable[[Op], bool],
        seed: str,
        args: str,
    ) -> None:
        self.asked: list[Asked] = []
        self.returned = LastLine()
        self._key, self._agreed, self._aside, self._moment = key, agreed, aside, 0
        self._loose = False
        self._fresh: list[Asked] = []
        self._stand_ins = 0
        self._of: dict[int, Asked] = {}
        self._lent: dict[Identity, tuple[Asked, Recorded]] = {}
        self._answers: list[tuple[int, str, Recorded]] = []
        super().__init__(flow_id, main, history, seed=seed, args=args, ended=True)
        self.unclaimed = dict(enumerate(self._strict[agreed:], agreed))
        """What is recorded from the difference on and nobody has asked for, by its place among the strict records."""
        self._by_key: dict[str, list[int]] = defaultdict(list)
        self._by_identity: dict[Identity, deque[int]] = defaultdict(deque)
        del self._strict[agreed:]
        self._unseen.clear()

    @property
    def lost(self) -> bool:
        return not self._loose or self._position < self._agreed

    # --- what the flow code asks for
    def ask(self, op: Op) -> None:
        self.marks.pop((StepBegun.kind, op.key), None)  # begun with other arguments: here that is no fault
        self.open.failures.pop(op.key, None)
        super().ask(op)
        self._moment += 1
        self._fresh.append(Asked(op, self._moment, self._moment))
        if not self._loose and len(self._fresh) > 2 * len(self.open) + NOTED:
            self._fresh = [each for each in self._fresh if self.open.holds(each.op)]

    def see(self, kind: str, key: str) -> Mark | None:
        return None if kind == ChildCreated.kind else super().see(kind, key)

    def abandon(self, op: Op) -> None:
        if (asked := self._of.get(id(op))) is not None and not self.done:
            asked.given_up = True
        super().abandon(op)

    def stop_step(self, op: StepOp) -> None:
        super().stop_step(op)
        if op.stopping:
            self._fresh += [each for each in self.asked if each.op is op and each.index is None]

    # --- what it gets
    def advance(self) -> None:
        if not self._agreed:
            self.returned.watch(self)
        try:
            super().advance()
        finally:
            self.returned.stop()

    def _deliver_next(self) -> bool:
        if self._position >= self._agreed - 1:
            self.returned.watch(self)
        if self._remembered or self._position < self._agreed:
            return super()._deliver_next() or self._deliver_next()
        if not self._loose:
            self._loosen()
        self._look(self._fresh)
        return self._answer() or self._stand_in()

    def _check_leftovers(self) -> None:
        if not self._loose:
            self._loosen()

    def _loosen(self) -> None:
        self._loose = True
        for index, record in list(self.unclaimed.items()):
            if isinstance(record.entry, CancelReceived):
                heapq.heappush(self._answers, (index, record.entry.key, self.unclaimed.pop(index)))
            else:
                self._by_key[record.entry.key].append(index)
                self._by_identity[identity(record.entry)].append(index)

    def _look(self, fresh: list[Asked]) -> None:
        """Note where the operations stand that were asked for in this turn, and find their answers."""
        self._fresh = []
        alive = [each for each in fresh if self.open.holds(each.op)]
        new = [each for each in alive if id(each.op) not in self._of]
        if new and len(self.asked) < NOTED:
            places = Places(self.loop.alive())
            rank = {op.key: n for n, op in enumerate(in_place_of(self._key, (each.op for each in new)))}
            for each in sorted(new, key=lambda each: rank[each.op.key])[:NOTED]:
                each.line = places.of(each.op)
        self.asked += new
        self._of.update((id(each.op), each) for each in new)
        for claim in (self._exact, self._moved, self._reclaimed):
            for each in alive:
                if each.index is None:
                    claim(each)

    def _exact(self, asked: Asked) -> None:
        for index in self._by_key.get(asked.op.key, ()):
            if index in self.unclaimed and matches(asked.op, self.unclaimed[index].entry):
                self._claim(asked, index, "exact")
                return

    def _moved(self, asked: Asked) -> None:
        places = self._by_identity.get(identity(asked.op), deque())
        while places and places[0] not in self.unclaimed:
            places.popleft()
        if places and not isinstance(self.unclaimed[places[0]].entry, StepStopped):
            self._claim(asked, places[0], "moved")

    def _reclaimed(self, asked: Asked) -> None:
        """What only stood in its place had its answer: that was an addition."""
        lent = self._lent.pop(identity(asked.op), None)
        if lent is None:
            return
        borrower, record = lent
        if borrower.index is not None and borrower.op is not asked.op:
            self.unclaimed[borrower.index] = record
            self._claim(asked, borrower.index, "exact" if record.entry.key == asked.op.key else "moved")
            borrower.index, borrower.how = None, "invented"

    def _claim(self, asked: Asked, index: int, how: How) -> None:
        asked.index, asked.how = index, how
        heapq.heappush(self._answers, (index, asked.op.key, self.unclaimed.pop(index)))

    def _answer(self) -> bool:
        while self._answers:
            _, key, record = heapq.heappop(self._answers)
            op = self.open.get(key)
            if isinstance(record.entry, CancelReceived):
                self._deliver_cancel(record.entry)
                return True
            if op is not None:
                self._give_now(op, record.entry)
                return True
        return False

    def _give_now(self, op: Op, entry: Entry) -> None:
        self._moment += 1
        self._of[id(op)].moment = self._moment
        self._give("diagnosis", op, entry)

    # --- when nothing recorded is asked for
    def _stand_in(self) -> bool:
        self._stand_ins += 1
        first = next(iter(self.unclaimed.values()), None)
        if first is None or self._stand_ins > STAND_INS:
            return False
        for index, record in islice(self.unclaimed.items(), LOOKED_AT):
            for asked in self._unanswered(record.entry.key):
                if (how := _likeness(asked.op, record.entry)) is not None:
                    asked.index, asked.how = index, how
                    self._lent[identity(record.entry)] = (asked, self.unclaimed.pop(index))
                    self._give_now(asked.op, record.entry)
                    return True
        for asked in self._unanswered(first.entry.key):
            if (end := self._invented(asked.op)) is not None:
                asked.how = "invented"
                self._give_now(asked.op, end)
                return True
        return False

    def _unanswered(self, key: str) -> list[Asked]:
        waiting = {each.op.key: each for each in self.asked if each.how is None and self._left_waiting(each.op)}
        return [waiting[op.key] for op in in_place_of(key, (each.op for each in waiting.values()))]

    def _left_waiting(self, op: Op) -> bool:
        return self.open.holds(op) and not self._aside(op)

    def _invented(self, op: Op) -> Entry | None:
        """An end that tells the flow code nothing that it could not know."""
        match op:
            case TimerOp(sleep=True):
                return TimerFired(op.key, max(self.now, op.due), "", op.name, True, op.asked, op.due)
            case StepOp(call=StepCall() as call) if call.definition.result.hint in (None, type(None)):
                return StepEnded(op.key, self.now, op.digest, op.name, op.args, "null", None, 1, None, self.now, "")
            case _:
                return None


def _origin(coro: object) -> str | None:
    """The user's own line that made a coroutine, if it was noted."""
    origin: tuple[tuple[str, int, str], ...] = getattr(coro, "cr_origin", None) or ()
    return next((f"{file}:{line}" for file, line, _ in origin if is_users(file)), None)


def _likeness(op: Op, entry: Entry) -> How | None:
    """Why a record may answer an operation that it is not of."""
    match op, entry:
        case StepOp(), StepEnded() if entry.error is not None or _reads(op, entry.value):
            if op.key == entry.key:
                return "arguments"
            return "renamed" if op.digest == entry.digest else None
        case ChildOp(), _ if entry.kind == ChildOp.kind:
            if op.key == entry.key:
                return "arguments"
            return "renamed" if op.digest == getattr(entry, "digest", None) else None
        case SignalOp(), SignalReceived() if op.accepts(entry.value):
            return "renamed"
        case _:
            return None


def _reads(op: StepOp, value: str | None) -> bool:
    """Whether a recorded value fits what this step gives."""
    if isinstance(op.call, StepCall):
        try:
            op.call.definition.decode_result(value or "")
        except CodecError:
            return False
    return True
