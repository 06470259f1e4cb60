"""FlowMachine: one flow in memory, sans I/O. Entries in, requests out; no clock, no randomness of its own, no store.

Feed it a journal, call `begin`; it runs the flow code to where nothing recorded is left to deliver. Then read what the
flow asks for (`open`, `markers`), commit what happened, and give the committed entries back with `feed`. Rules:

L1  One completion a turn; the loop is drained to quiescence between two.
M2  At each quiescence: a requested key that is in the memo pool, then the next strict entry, then live work.
E6  An entry whose key was requested and then abandoned is skipped; one never requested, or requested with another kind,
    name or digest, is divergence; so are entries and markers left over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeAlias

from ergon_runtime.core import asyncio_fit as asyncio_fit  # flow code needs asyncio mended
from ergon_runtime.core.divergence import describe, divergence, matches
from ergon_runtime.core.entries import (
    AttemptFailed,
    CancelReceived,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Entry,
    Marker,
    Patched,
    Recorded,
    Started,
    StepBegun,
)
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.history import History, is_delivered
from ergon_runtime.core.loop import Evicted, FlowLoop, FlowTask, FlowTimer, Scope
from ergon_runtime.core.operations import ChildOp, Op, OpenOperations, StepOp, TimerOp
from ergon_runtime.core.places import in_place_of, standing_line
from ergon_runtime.errors import CodecError

ENGINE = 1
"""The version of this logic, recorded in each journal."""
SHOWN = 20
"""Operations asked for that a divergence names; of more, the first."""
FOREVER = 253_402_300_799_000
"""The last moment that timers know: the end of the year 9999."""

Mark: TypeAlias = StepBegun | ChildCreated | ChildCancelled | Patched
Main: TypeAlias = Callable[[str], Coroutine[Any, Any, Any]]
Observer: TypeAlias = Callable[[str, str, int], None]


def milliseconds(when: float) -> int:
    """Seconds rounded up to milliseconds; what floats add below a microsecond does not count."""
    return -int(-round(min(when * 1000, FOREVER), 3) // 1)


class ContinueAsNew(BaseException):
    """Raised by flow code to begin a new life with new arguments (a JSON text) and an empty journal."""

    def __init__(self, args: str) -> None:
        super().__init__()
        self.new_args = args


class FlowMachine:
    """One live flow. `main` starts the flow code from its arguments; `seed` and `args` are the flow's own.

    `ended` is true when the journal of an ended flow is replayed: nothing in it is live (E8). `observer`, if given, is
    told of each delivery (`pool`, `skip` or the entry's kind; key; flow time); `report` of errors nobody handled.
    """

    def __init__(
        self,
        flow_id: str,
        main: Main,
        history: History,
        *,
        seed: str,
        args: str,
        ended: bool = False,
        observer: Observer | None = None,
        report: Callable[[dict[str, Any]], None] = lambda context: None,
    ) -> None:
        self.id, self.seed, self.history, self.ended = flow_id, seed, history, ended
        self.args = history.args if history.args is not None else args
        self.life, self.attempt, self.epoch, self.begins = history.life, history.attempt, history.epoch, history.begins
        self.now = history.origin
        self.last_time, self.last_commit = history.last_time, history.last_commit
        self.loaded = len(history.strict)
        self.turn = 0
        self.open = OpenOperations(history.failures, () if history.empty else None)
        self.marks: dict[tuple[str, str], Mark] = dict(history.marks)
        self.markers: list[Marker] = []
        """Markers to commit, in order; their time is set when they are."""
        self.finished_children: set[str] = set()
        self.late_ends: dict[str, ChildEnded] = {}
        """Ends of children that nobody awaited just then: a later await gets them, their messages are consumed."""
        self.begun_now: set[str] = set()
        self.main: FlowTask[Any] | None = None
        self.done = False
        """The flow code has ended, with all it started."""
        self.cancelled_before = False
        self.was_cancelled = False
        self.patches: dict[str, bool] = {}
        """The patch ids asked for in this life, and whether the code behind them is taken."""
        self.fault: Fault | None = None
        self._main, self._observer, self._report = main, observer, report
        self._strict: list[Recorded] = list(history.strict)
        self._position = 0
        self._seen_commit = 0
        self._pool = dict(history.pool)
        self._remembered: list[tuple[int, str]] = []
        self._gone: dict[str, tuple[str, str]] = {}
        self._unseen = set(history.marks) | {(AttemptFailed.kind, key) for key in history.failures}
        self.loop = FlowLoop(self, f"{seed}/{self.life}", report)  # type: ignore[abstract]  # the rest refuses, by table

    # --- life
    @property
    def asked_at(self) -> int:
        """When what is asked for now was asked for, for people: flow time, but not before this life began."""
        return max(self.now, self.begins)

    @property
    def begun(self) -> bool:
        return self.main is not None

    @property
    def replaying(self) -> bool:
        """Whether what runs now was recorded in an earlier process."""
        return self._position < self.loaded or bool(self._remembered)

    def begin(self, started: Started) -> None:
        """Start the flow code and deliver what is recorded. `started` becomes entry 0 of an empty journal. Raises
        Fault."""
        first = self._strict[0].entry if self._strict else None
        if isinstance(first, CancelReceived) and first.before:
            self.cancelled_before = self.done = True
            return
        if self.history.empty:
            self.markers.append(started)
        try:
            flow_code = self._main(self.args)
        except CodecError as error:
            raise Fault(FaultKind.UNREADABLE, f"the stored arguments no longer fit the flow: {error}") from error
        self.main = self.loop.start_task(flow_code, Scope(""))
        self.advance()

    def feed(self, records: Sequence[Recorded]) -> None:
        """The runner has committed these entries; deliver them. Raises Fault."""
        taken = sum(not is_delivered(r.entry) and not isinstance(r.entry, AttemptFailed) for r in records)
        del self.markers[:taken]
        for record in records:
            entry = record.entry
            self.last_time = max(self.last_time, entry.at)
            if not isinstance(entry, Started):
                self.last_commit = record.commit
            if isinstance(entry, AttemptFailed):
                self.open.add_failure(entry)
            elif is_delivered(entry):
                self.open.heartbeats.drop(entry.key)  # a fault may come before its turn
                self._strict.append(record)
        if not self.done:
            self.advance()

    def advance(self) -> None:
        """Deliver the pool, then the strict entries, one a turn, until nothing recorded is left or the flow is over."""
        while not self.done:
            self.loop.drain()
            if self.fault is None:
                self.done = self.main is not None and self.main.done() and self.loop.wind_up(self.main)
            if self.fault is not None:
                raise self.fault
            if self.done or not self._deliver_next():
                break
        if self.done:
            self._check_leftovers()

    def evict(self) -> None:
        """Drop the flow from memory: end every coroutine of it at once. Idempotent (L6)."""
        self.loop.evict()
        if self.main is not None and self.main.done() and not self.main.cancelled():
            self.main.exception()  # looked at: a flow that was lost before its end was committed is not forgotten

    # --- what the runner reads
    def outcome_unknown(self, op: StepOp) -> bool:
        """An at-most-once step that was begun, here or in an earlier life, and whose end is not recorded (T5)."""
        if not op.at_most_once or op.key in self.begun_now:
            return False
        return ("begun", op.key) in self.marks or (op.key, op.digest) in self.history.open_starts

    def begin_step(self, op: StepOp) -> None:
        """Mark the start of an at-most-once step."""
        self.mark(StepBegun(op.key, 0, op.digest, op.name))
        self.begun_now.add(op.key)

    def where(self, key: str | None = None) -> str | None:
        """The line of flow code that runs now, else that waits: for this key, or for what is asked for in its place."""
        op = self.open.get(key) if key is not None else None
        if op is None and key is not None:
            op = next(iter(in_place_of(key, self.open)), None)
        return standing_line(self.loop, op)

    # --- what flow code asks for (through asking.py)
    def scope(self) -> Scope:
        if self.loop.evicted:
            raise Evicted
        scope = self.loop.here()
        if scope is None:
            raise self.stop(Fault(FaultKind.DIVERGED, "a durable operation was asked for outside any task of the flow"))
        return scope

    def ask(self, op: Op) -> None:
        """Register an operation. Raises Evicted if the flow is leaving memory or has a fault."""
        if self.loop.evicted:
            raise Evicted
        for begun in (self.marks.get((StepBegun.kind, op.key)), self.open.failures.get(op.key)):
            if isinstance(begun, StepBegun | AttemptFailed) and begun.digest != op.digest:
                message = f"{op.key} was begun with other arguments"
                raise self.stop(self._divergence(op.key, message, begun, (describe(op),)))
        self._unseen -= {(StepBegun.kind, op.key), (AttemptFailed.kind, op.key)}
        self._gone.pop(op.key, None)
        self.open.add(op)
        remembered = self._pool.get((op.key, op.digest))
        if remembered is not None and matches(op, remembered.entry):
            heapq.heappush(self._remembered, (remembered.seq, op.key))

    def abandon(self, op: Op) -> None:
        """The flow code no longer waits for it."""
        if self.open.holds(op) and not self.loop.evicted:
            self.open.remove(op)
            self._gone[op.key] = (op.kind, op.digest)

    def stop_step(self, op: StepOp) -> None:
        """The wait for a step was cancelled: it never starts (same turn), or is asked to stop (T3)."""
        if op.over or op.stopping:
            return
        if self.turn == op.turn:
            self.abandon(op)
        else:
            self.open.ask_stop(op)

    def mark(self, marker: Mark) -> None:
        """Record a marker in the next commit."""
        self.marks[marker.kind, marker.key] = marker
        self.markers.append(marker)

    def see(self, kind: str, key: str) -> Mark | None:
        """The marker recorded under this key, if any; the code has now asked for it."""
        self._unseen.discard((kind, key))
        return self.marks.get((kind, key))

    def pooled(self, key: str, kind: str, digest: str) -> bool:
        """Whether the memo pool holds a success for this key and digest."""
        record = self._pool.get((key, digest))
        return record is not None and record.entry.kind == kind

    def patched(self, patch: str) -> bool:
        """Whether the code behind this patch id is taken: the first call of an id decides for the life (E8)."""
        if self.loop.evicted:
            raise Evicted
        if patch not in self.patches:
            recorded = self.see(Patched.kind, patch) is not None
            live = self._seen_commit == self.last_commit and not self.ended
            self.patches[patch] = recorded or live
            if live and not recorded:
                self.mark(Patched(patch, 0))
        return self.patches[patch]

    def random(self) -> Random:
        """This scope's generator: always the same object, seeded by (seed, epoch, scope) (E5)."""
        scope = self.scope()
        if scope.rng is None:
            scope.rng = Random(f"{self.seed}/{self.epoch}/{scope.path}")  # noqa: S311  it must be repeatable
        return scope.rng

    def stop(self, fault: Fault) -> BaseException:
        """Keep an engine fault and let no more flow code ask for anything; raise what this returns (L3)."""
        self.fault = self.fault or fault
        self.loop.evicted = True
        return Evicted()

    # --- what the loop asks for (Host)
    def time(self) -> float:
        return self.now / 1000

    def request_alarm(self, when: float, handle: FlowTimer, *, sleep: bool) -> None:
        name = "sleep" if sleep else "timeout"
        key = handle.key = self.scope().key(name)
        self.ask(TimerOp(key, name, self.asked_at, self.due_at(when), sleep, self.turn, handle))

    def drop_alarm(self, handle: FlowTimer) -> None:
        op = self.open.get(handle.key)
        if isinstance(op, TimerOp) and op.handle is handle:
            self.abandon(op)

    def due_at(self, when: float) -> int:
        """When a timer set for `when` (seconds, flow time) falls due: rounded up to milliseconds, and later by what is
        left of a retry's delay (E4, M4)."""
        return min(FOREVER, milliseconds(when) + max(0, self.begins - self.now))

    # --- delivery
    def _deliver_next(self) -> bool:
        """Deliver one completion; False when nothing recorded is left."""
        while self._remembered:
            _, key = heapq.heappop(self._remembered)
            op = self.open.get(key)
            record = self._pool.get((key, op.digest)) if op is not None else None
            if op is not None and record is not None and matches(op, record.entry):
                del self._pool[key, op.digest]
                self._give("pool", op, record.entry)
                return True
        if self._position < len(self._strict):
            record = self._strict[self._position]
            self._position += 1
            self._deliver(record)
            return True
        if self._unseen:  # every marker was asked for in a turn replayed by now
            raise self._leftover_marker()
        return False

    def _deliver(self, record: Recorded) -> None:
        entry = record.entry
        self._seen_commit = record.commit
        if isinstance(entry, CancelReceived):
            self._deliver_cancel(entry)
            return
        op = self.open.get(entry.key)
        if op is None:
            if not self._skippable(entry):
                message = f"the code does not ask for {entry.key}"
                raise self._divergence(entry.key, message, entry, self._open_requests(entry.key))
            self._note("skip", entry.key)
            if isinstance(entry, ChildEnded):
                self.late_ends[entry.key] = entry
        elif matches(op, entry):
            self._give(entry.kind, op, entry)
        else:
            raise self._divergence(entry.key, f"the code asks for another {entry.key}", entry, (describe(op),))

    def _deliver_cancel(self, entry: CancelReceived) -> None:
        again, self.was_cancelled = self.was_cancelled, True
        self.now, self.turn = max(self.now, entry.at), self.turn + 1
        self._note("cancel", entry.key)
        if self.main is not None and not (again and self.main.cancelling()):  # a second leaves compensation alone
            self.main.cancel()

    def _give(self, how: str, op: Op, entry: Entry) -> None:
        self.now = max(self.now, entry.at)
        self._note(how, op.key)
        self.open.remove(op)
        op.over = True
        self.turn += 1
        if entry.kind == "stopped":  # a late result may still follow, and is skipped
            self._gone[op.key] = ("step", op.digest)
        if isinstance(op, TimerOp):
            self.loop.fire(op.handle)
            return
        if isinstance(op, ChildOp):
            self.finished_children.add(op.key)
        if isinstance(op, StepOp) and op.stopping:
            if op.ended is not None and not op.ended.done():
                op.ended.set_result(None)
        elif not op.future.done():
            op.future.set_result(entry)  # type: ignore[arg-type]  # `matches` has compared the kinds

    def _note(self, how: str, key: str) -> None:
        if self._observer is not None:
            self._observer(how, key, self.now)

    # --- the end
    def _check_leftovers(self) -> None:
        for op in self.open:  # outlived by the flow's end
            self.abandon(op)
        rest, self._position = self._strict[self._position :], len(self._strict)
        for record in rest:
            if not isinstance(record.entry, CancelReceived) and not self._skippable(record.entry):
                key = record.entry.key
                raise self._divergence(key, f"the flow ends, but the journal has {key}", record.entry, ("the end",))
        if self._unseen:
            raise self._leftover_marker()

    def _skippable(self, entry: Entry) -> bool:
        known = self._gone.get(entry.key)
        kind = "step" if entry.kind == "stopped" else entry.kind
        return known is not None and known == (kind, getattr(entry, "digest", ""))

    def _leftover_marker(self) -> Fault:
        kind, key = min(self._unseen)
        marker = self.marks.get((kind, key)) or self.open.failures[key]
        return self._divergence(key, f"the code does not ask for {describe(marker)}", marker, self._open_requests(key))

    def _open_requests(self, key: str) -> tuple[str, ...]:
        asked = [describe(op) for op in in_place_of(key, self.open)[:SHOWN]]
        if len(self.open) > SHOWN:
            asked.append(f"{len(self.open) - SHOWN:,} more")
        return tuple(asked) or ("the end" if self.done else "nothing",)

    def _divergence(self, key: str, message: str, recorded: Entry, current: tuple[str, ...]) -> Fault:
        return divergence(key, message, recorded, current, self.where(key))
