"""What a claimed flow's next commit holds. Pure: a machine and a Situation in, a Decision out.

C3  Waits are committed when they are asked for or dropped, and a commit carries at most 100 entries or 1 MiB. The lease
    is released when no step runs and nothing is left to do.
E3  Entry times never run backwards, nor fall before the timer they fire.
E7  A signal is only ever the first completion of its commit, so it always meets a pending wait.
K4  The commit that ends a life cancels the children that the life leaves behind.
L9  A flow that waits for nothing at all is stuck.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.entries import (
    AttemptFailed,
    CancelReceived,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Outcome,
    Retried,
    SignalReceived,
    StepEnded,
    StepStopped,
    TimerFired,
    payload_size,
    timed,
)
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import CANCEL, Message, NewFlow, Send, Status, lane
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.notes import blocked_note, blocked_times, ended_note, running_note, waiting_note
from ergon_runtime.core.operations import ChildOp, SignalOp
from ergon_runtime.core.payloads import reason_against

MAX_ENTRIES = 100
MAX_BYTES = 1024 * 1024
BACKOFF = (1_000, 900_000)
"""The shortest and longest time, in milliseconds, before other code tries a blocked flow."""

StepEntry: TypeAlias = StepEnded | StepStopped | AttemptFailed


@dataclass(frozen=True, slots=True)
class Situation:
    """What the runner knows besides the machine. `results` are step entries not committed yet, in order of arrival;
    `busy` tells that a step body runs or is about to; `full` that the journal takes only what running steps bring, and
    cancels; `beat` that heartbeats are to be committed, even alone."""

    clock: int
    mail: tuple[Message, ...] = ()
    results: Sequence[StepEntry] = ()
    busy: bool = False
    draining: bool = False
    full: bool = False
    limit: int = MAX_ENTRIES
    beat: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """Load the journal's last entries into the flow code: call the machine's `begin`."""


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing to do before `until` (milliseconds; None: before something happens)."""

    until: int | None


@dataclass(frozen=True, slots=True)
class End:
    """The flow code has ended: call `finish` with how."""


Decision: TypeAlias = Draft | Begin | Park | End


@dataclass(frozen=True, slots=True)
class RetryFlow:
    """The life failed, and another follows after `delay` milliseconds."""

    error: str
    delay: int
    keep: bool


@dataclass(frozen=True, slots=True)
class ContinueFlow:
    """The life ended by continuing as new."""

    args: str


Ending: TypeAlias = Outcome | RetryFlow | ContinueFlow


def decide(machine: FlowMachine, s: Situation) -> Decision:
    """The next thing to do with a claimed flow. Raises Fault when its mail cannot be read."""
    if not machine.begun and not machine.done:
        return _before_life(machine, s)
    chosen = _choose(machine, s)
    if machine.done and len(chosen.entries) == len(machine.markers):
        return End()
    quiet = not s.busy and not s.results and not machine.done
    hand_back = s.draining and machine.open.unstarted
    nothing = not chosen.completions and not chosen.aside and not chosen.full
    idle = quiet and nothing and len(chosen.entries) == len(machine.markers)
    if idle and not hand_back:
        return _suspend(machine, chosen)
    if s.draining and quiet:
        return chosen.draft(machine, status=Status.PENDING, due=s.clock, release=True)
    if chosen.entries or chosen.aside or chosen.rewaits or s.beat:
        return chosen.draft(machine)
    return Park(None if s.full else machine.open.due(retries=not s.draining))


def finish(machine: FlowMachine, s: Situation, ending: Ending) -> Draft:
    """The commit that ends a life. Markers not committed yet are in it."""
    chosen = _choose(machine, s)
    at = _time(machine, s)
    orphans = tuple(
        _cancel(mark.child, f"end of {machine.id} life {machine.life}")
        for mark in machine.marks.values()
        if isinstance(mark, ChildCreated) and not mark.detached and mark.key not in machine.finished_children
    )
    draft = replace(chosen.draft(machine), waits=frozenset(), dropped=None, release=True)
    sends = (*draft.sends, *orphans)
    match ending:
        case Outcome():
            return replace(draft, status=ending.status, result=ending.pack(), sends=sends, note=ended_note(machine))
        case RetryFlow():
            epoch, due = machine.epoch + (not ending.keep), at + ending.delay
            marker = Retried("", at, machine.life + 1, machine.attempt + 1, epoch, ending.keep, due, ending.error)
            note = ended_note(machine, [{"kind": "retry", "key": None, "due": due, "attempt": machine.attempt}])
            entries = (*draft.entries, marker)
            return replace(draft, status=Status.WAITING, due=due, sends=sends, entries=entries, note=note)
        case ContinueFlow():
            begin = Continued("", at, machine.life + 1, machine.epoch + 1, ending.args)
            entries = (*draft.entries, begin)
            return replace(draft, status=Status.PENDING, due=s.clock, sends=sends, entries=entries, rebase=True)
        case _:
            assert_never(ending)


def block(machine: FlowMachine | None, clock: int, fault: Fault, fingerprint: str, before: bytes | None) -> Draft:
    """Block the flow. Unless it crashes its workers other code may try again: soon at first, then more rarely (P4).

    `before` is the note the flow had when it was claimed: it tells how often in a row the flow was blocked.
    """
    times = blocked_times(before) + 1
    note = blocked_note(machine, fault, clock, times, before)
    if fault.kind is FaultKind.CRASH_LOOP:
        return Draft(status=Status.BLOCKED, release=True, note=note)
    due = clock + min(BACKOFF[0] * 2 ** min(times - 1, 20), BACKOFF[1])
    return Draft(status=Status.BLOCKED, due=due, release=True, note=note, fingerprint=fingerprint)


def child_seed(seed: str, child: str) -> str:
    """A child's seed: a pure function of its parent's seed and its own id."""
    return hashlib.blake2b(f"{seed}/{child}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class _Chosen:
    entries: tuple[Entry, ...]
    completions: int
    consumed: tuple[str, ...]
    aside: tuple[str, ...]
    results: int
    waits: frozenset[str]
    dropped: frozenset[str] | None
    full: bool
    """Whether more was there than fits."""

    @property
    def rewaits(self) -> bool:
        """Whether the store is to learn of other waits."""
        return bool(self.waits or self.dropped) or self.dropped is None

    def draft(
        self,
        machine: FlowMachine,
        *,
        status: Status = Status.RUNNING,
        due: int | None = None,
        release: bool = False,
    ) -> Draft:
        return Draft(
            entries=self.entries,
            status=status,
            due=due,
            release=release,
            waits=self.waits,
            dropped=self.dropped,
            consumed=self.consumed,
            aside=self.aside,
            creates=tuple(_creates(machine, self.entries)),
            sends=tuple(_cancel(e.child, f"cancel {e.child}") for e in self.entries if isinstance(e, ChildCancelled)),
            results=self.results,
            note=running_note(machine, self.entries),
            heartbeats=machine.open.heartbeats.count,
        )


_NOTHING = _Chosen((), 0, (), (), 0, frozenset(), frozenset(), full=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """A completion that could be in the commit."""

    entry: Entry
    message: str | None = None
    served: SignalOp | ChildOp | None = None
    result: bool = False


def _before_life(machine: FlowMachine, s: Situation) -> Decision:
    """Before a life begins a cancel ends the flow without running its code (P3); a retry's delay is waited out."""
    history = machine.history
    asleep = history.delayed and s.clock < machine.begins  # a life that has begun goes on, if the clock was set back
    cancel = next((m for m in s.mail if m.channel == CANCEL), None)
    if cancel is not None and (history.empty or asleep):
        return cancel_before(machine.last_time, s.clock, cancel)
    if asleep:
        return Draft(status=Status.WAITING, due=machine.begins, release=True)
    return Begin()


def cancel_before(last_time: int, clock: int, message: Message | None) -> Draft:
    """End a flow whose life has not begun; also an operator's cancel of a blocked one, which has no message."""
    name = message.id if message else f"operator {clock}"
    entry = CancelReceived(f"cancel {name}", max(clock, last_time), name, before=True)
    return Draft(
        entries=(entry,),
        status=Status.CANCELLED,
        consumed=(message.id,) if message else (),
        result=Outcome(Status.CANCELLED).pack(),
        release=True,
    )


def _suspend(machine: FlowMachine, chosen: _Chosen) -> Draft:
    due = machine.open.due()
    if due is None and not len(machine.open):
        if chosen.entries:  # the children that it has asked for are not to be lost
            return chosen.draft(machine)
        raise Fault(FaultKind.STUCK, "the flow waits for something that can never come", where=machine.where())
    draft = chosen.draft(machine, status=Status.WAITING, due=due, release=True)
    return replace(draft, note=waiting_note(machine), resident=True)


def _choose(machine: FlowMachine, s: Situation) -> _Chosen:
    """Markers first, then at most one signal, then the other completions, up to the commit's limits."""
    if not (machine.markers or s.mail or s.results or machine.open.has_news):
        return _NOTHING
    at = _time(machine, s)
    entries: list[Entry] = []
    consumed: list[str] = []
    aside: list[str] = []
    served: set[str] = set()
    size = results = 0
    full = False
    for marker in machine.markers[: s.limit]:
        size += payload_size(marker)
        if size > MAX_BYTES and entries:
            break
        entries.append(timed(marker, at))
    markers = len(entries)
    if markers == len(machine.markers) and not machine.done:
        for found in _completions(machine, s, at, aside):
            size += payload_size(found.entry)
            if len(entries) >= s.limit or (size > MAX_BYTES and entries):
                full = True
                break
            entries.append(found.entry)
            results += found.result
            if found.message is not None:
                consumed.append(found.message)
            if found.served is not None:
                served.add(found.served.channel)
    waits, dropped = machine.open.waits(served)
    return _Chosen(tuple(entries), len(entries) - markers, tuple(consumed), tuple(aside), results, waits, dropped, full)


def _completions(machine: FlowMachine, s: Situation, at: int, aside: list[str]) -> Iterator[_Found]:
    """What could be delivered now, in the order of delivery. Messages that fit no wait are added to `aside`."""
    first_signal = None if s.full else _signal(machine, s, at, aside)
    if first_signal is not None:
        yield first_signal
    children: set[str] = set()
    cancelled = False
    for message in s.mail:
        if message.channel == CANCEL and not cancelled:
            cancelled = True
            _check(message, None)
            yield _Found(CancelReceived(f"cancel {message.id}", at, message.id), message.id)
        for op in () if s.full else machine.open.listeners(message.channel)[:1]:
            if isinstance(op, ChildOp) and op.key not in children:
                children.add(op.key)
                yield _Found(_child_end(op, message, at), message.id, op)
    for result in s.results:
        yield _Found(timed(result, at), result=True)
    for timer in () if s.full else machine.open.timers_due(s.clock, s.limit):
        entry = TimerFired(timer.key, at, timer.digest, timer.name, timer.sleep, timer.asked, timer.due)
        yield _Found(entry)


def _signal(machine: FlowMachine, s: Situation, at: int, aside: list[str]) -> _Found | None:
    """The first message that fits a wait for it; those before it that do not fit are set aside (S4)."""
    for message in s.mail:
        for op in machine.open.listeners(message.channel):
            if not isinstance(op, SignalOp):
                continue
            _check(message, op.key)
            value = _text(message.body)
            if value is not None and op.accepts(value):
                entry = SignalReceived(op.key, at, op.digest, op.name, message.id, value, op.since)
                return _Found(entry, message.id, op)
            aside.append(message.id)
            break
    return None


def _check(message: Message, key: str | None) -> None:
    """Raises Fault for a message that cannot be read: it is neither believed nor put away."""
    if (reason := reason_against(message.body)) is not None:
        said = f"message {message.id!r} on {message.channel!r} cannot be read: {reason}"
        raise Fault(FaultKind.UNREADABLE, said, key=key)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None  # no payload of ours


def _child_end(op: ChildOp, message: Message, at: int) -> ChildEnded:
    try:
        outcome = Outcome.unpack(message.body)
    except ValueError as error:
        raise Fault(
            FaultKind.UNREADABLE, f"the result of child {op.child} cannot be read: {error}", key=op.key
        ) from error
    return ChildEnded(op.key, at, op.digest, message.id, op.child, outcome.status, outcome.value, outcome.error)


def _creates(machine: FlowMachine, entries: Sequence[Entry]) -> Iterator[NewFlow]:
    for entry in entries:
        if isinstance(entry, ChildCreated):
            yield NewFlow(
                id=entry.child,
                type=entry.type,
                version=entry.version,
                lane=lane(entry.type, entry.version),
                args=entry.args.encode(),
                seed=child_seed(machine.seed, entry.child),
                parent=machine.id,
            )


def _cancel(flow: str, message_id: str) -> Send:
    return Send(flow, Message(message_id, CANCEL, b"null"))


def _time(machine: FlowMachine, s: Situation) -> int:
    return max(s.clock, machine.last_time, machine.begins)
