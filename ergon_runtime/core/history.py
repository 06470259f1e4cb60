"""What a journal says when a flow is loaded: its present life, and what earlier lives left for it.

A life runs between two life markers. What lies before the last marker forms the memo pool: the latest success per key
and arguments (rules M1 to M3); what comes after it is strict and is replayed in order. An epoch is the lives that share
idempotency keys: a new one begins at `Continued`, and at a retry that keeps nothing (M5). The fork of a flow has an id,
and so idempotency keys, of its own; its journal begins with a copy of the other's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeGuard, assert_never

from ergon_runtime.core.entries import (
    Adopted,
    AttemptFailed,
    CancelReceived,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Continued,
    Delivered,
    Entry,
    Forked,
    LifeMarker,
    Patched,
    Recorded,
    Retried,
    SignalReceived,
    Started,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.flows import Status

Mark: TypeAlias = tuple[str, str]
"""A marker's identity within a life: its kind and key."""
MemoKey: TypeAlias = tuple[str, str]
"""What a success is remembered under: its key and argument digest."""


def idempotency_key(flow: str, epoch: int, key: str) -> str:
    """What the body of a step tells the outer world, so that a call that comes twice counts once there."""
    return f"{flow}:{epoch}:{key}"


def shown_key(key: str, life: int) -> str:
    """A key as people see it: with its life, from the second on."""
    return key if life == 1 else f"{key}~{life}"


class History:
    """A loaded journal, sorted out. Build it with the entries from the flow's base on."""

    def __init__(self, records: Iterable[Recorded], started: int) -> None:
        self.life = self.attempt = self.epoch = 1
        self.started = started
        self.begins = started
        """When this life may begin: after a retry, when its delay is over."""
        self.origin = started
        """Where flow time begins: the start of the epoch (M4)."""
        self.args: str | None = None
        """The arguments this epoch was continued with, if it was."""
        self.pool: dict[MemoKey, Recorded] = {}
        """Successes by key and argument digest, the latest of each: a key may have run with other arguments since."""
        self.attached: dict[MemoKey, ChildCreated] = {}
        """Detached children of earlier lives that have not failed."""
        self.open_starts: set[tuple[str, str]] = set()
        """(key, digest) of at-most-once steps begun in earlier lives and never ended (T5)."""
        self.strict: list[Recorded] = []
        self.marks: dict[Mark, StepBegun | ChildCreated | ChildCancelled | Patched] = {}
        self.failures: dict[str, AttemptFailed] = {}
        self.last_time = started
        self.last_commit = 0
        """The last commit of this life that holds more than `Started` (E8)."""
        self.commits = 0
        self.length = 0
        self._life: list[Recorded] = []
        self._past: list[Recorded] = []
        self._delayed = False
        for record in records:
            self._take(record)
        for record in self._life:
            self._place(record)

    @property
    def empty(self) -> bool:
        return self.length == 0

    @property
    def delayed(self) -> bool:
        """Whether a retry's delay lies before this life, of which nothing is recorded yet."""
        return self._delayed and not self._life

    def _take(self, record: Recorded) -> None:
        entry = record.entry
        self.length += 1
        self.last_time = max(self.last_time, entry.at)
        self.commits = max(self.commits, record.commit)
        if isinstance(entry, LifeMarker):
            self._begin_life(entry)
        else:
            self._life.append(record)

    def _begin_life(self, marker: LifeMarker) -> None:
        for record in self._life:
            self._remember(record)
        self._life = []
        self.life, self._delayed = marker.life, isinstance(marker, Retried)
        match marker:
            case Retried():
                if not marker.keep:
                    self._forget()
                if marker.cut is not None:
                    self._cut(marker.cut)
                if marker.epoch != self.epoch:
                    self.origin = marker.due
                self.attempt, self.begins = marker.attempt, marker.due
            case Continued():
                self._forget()
                self.attempt, self.begins, self.origin, self.args = 1, marker.at, marker.at, marker.args
            case Adopted():
                self.attempt, self.begins = marker.attempt, marker.at
            case Forked():  # what the other has begun is the other's, and so are its arguments
                self._past = [one for one in self._past if not self._runs_on(one.entry)]
                self.attached, self.open_starts, self.args = {}, set(), None
                self.attempt, self.begins = 1, marker.at
            case _:
                assert_never(marker)
        self.epoch = marker.epoch

    def _forget(self) -> None:
        self.pool, self.attached, self.open_starts, self._past = {}, {}, set(), []

    def _runs_on(self, entry: Entry) -> bool:
        """Whether this made a child that is not remembered as completed."""
        return isinstance(entry, ChildCreated) and (entry.key, entry.digest) not in self.pool

    def _cut(self, end: int) -> None:
        """Remember only what was recorded before this sequence, and how the detached children made before it have
        ended: that comes only once. Starts stay open wherever they are (T5)."""
        past, starts = self._past, self.open_starts
        made = {one.entry.child for one in past if one.seq < end and _is_detached(one.entry)}
        self._forget()
        for one in past:
            if one.seq < end or (isinstance(one.entry, ChildEnded) and one.entry.child in made):
                self._remember(one)
        self.open_starts = starts

    def _remember(self, record: Recorded) -> None:
        """Put what an ended life leaves into the pool: successes, never failures nor timeouts (M3)."""
        self._past.append(record)
        match record.entry:
            case StepBegun() as begun:
                self.open_starts.add((begun.key, begun.digest))
            case StepEnded() as step:
                if not step.unknown:
                    self.open_starts.discard((step.key, step.digest))
                if step.error is None:
                    self.pool[step.key, step.digest] = record
            case ChildCreated() as child:
                if child.detached:
                    self.attached[child.key, child.digest] = child
            case ChildEnded() as child:
                if child.status is Status.COMPLETED:
                    self.pool[child.key, child.digest] = record
                else:
                    self.attached.pop((child.key, child.digest), None)
            case SignalReceived() as signal:
                self.pool[signal.key, signal.digest] = record
            case TimerFired() as timer:
                if timer.sleep:
                    self.pool[timer.key, timer.digest] = record
            case _:
                pass

    def _place(self, record: Recorded) -> None:
        entry = record.entry
        if not isinstance(entry, Started):
            self.last_commit = max(self.last_commit, record.commit)
        match entry:
            case StepEnded() | StepStopped() | TimerFired() | SignalReceived() | ChildEnded() | CancelReceived():
                self.strict.append(record)
            case AttemptFailed():
                self.failures[entry.key] = entry
            case StepBegun() | ChildCreated() | ChildCancelled() | Patched():
                self.marks[entry.kind, entry.key] = entry
            case Started() | Retried() | Continued() | Adopted() | Forked():
                pass
            case _:
                assert_never(entry)


def _is_detached(entry: Entry) -> TypeGuard[ChildCreated]:
    return isinstance(entry, ChildCreated) and entry.detached


def is_delivered(entry: Entry) -> bool:
    """Whether an entry is a completion that runs the flow (E2)."""
    return isinstance(entry, Delivered)
