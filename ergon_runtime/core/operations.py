"""Operations: what flow code has asked for and not got yet, one object per key, and the indexed set of those open.

The indexes (channels, timers, retries, steps to look at) keep every question cheap in wide flows; rows of a heap whose
operation is no longer open are passed over when they come up. Of the channels waited on, only those that changed since
the last commit are looked at: a flow may wait for many thousand children, and be woken by each.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from typing import ClassVar, TypeAlias

from ergon_runtime.core.entries import AttemptFailed, ChildEnded, SignalReceived, StepEnded
from ergon_runtime.core.heartbeats import Heartbeats
from ergon_runtime.core.loop import FlowTimer


class StepOp:
    """A step to run. `call` is what the runner runs; the core does not look into it."""

    __slots__ = (
        "args",
        "at_most_once",
        "call",
        "digest",
        "ended",
        "future",
        "key",
        "name",
        "over",
        "stopping",
        "turn",
    )
    kind: ClassVar[str] = "step"

    def __init__(
        self,
        key: str,
        name: str,
        digest: str,
        args: str,
        call: object,
        at_most_once: bool,
        turn: int,
        future: asyncio.Future[StepEnded],
    ) -> None:
        self.key, self.name, self.digest, self.args = key, name, digest, args
        self.call, self.at_most_once, self.turn, self.future = call, at_most_once, turn, future
        self.over = self.stopping = False
        self.ended: asyncio.Future[None] | None = None


class TimerOp:
    """A durable timer: a sleep, or the alarm of a timeout."""

    __slots__ = ("asked", "digest", "due", "handle", "key", "name", "over", "sleep", "turn")
    kind: ClassVar[str] = "timer"

    def __init__(self, key: str, name: str, asked: int, due: int, sleep: bool, turn: int, handle: FlowTimer) -> None:
        self.key, self.name, self.digest = key, name, ""
        self.asked, self.due, self.sleep, self.turn, self.handle = asked, due, sleep, turn, handle
        self.over = False


class SignalOp:
    """A wait for a signal. `accepts` tells whether a payload fits the type that the code waits for (S4)."""

    __slots__ = ("accepts", "channel", "digest", "future", "key", "name", "over", "since", "turn")
    kind: ClassVar[str] = "signal"

    def __init__(
        self,
        key: str,
        name: str,
        accepts: Callable[[str], bool],
        since: int,
        turn: int,
        future: asyncio.Future[SignalReceived],
    ) -> None:
        self.key, self.name, self.digest, self.channel = key, name, "", f"signal:{name}"
        self.accepts, self.since, self.turn, self.future = accepts, since, turn, future
        self.over = False


class ChildOp:
    """A wait for a child's end."""

    __slots__ = ("channel", "child", "digest", "future", "key", "name", "over", "since", "turn")
    kind: ClassVar[str] = "child"

    def __init__(
        self, key: str, name: str, digest: str, child: str, since: int, turn: int, future: asyncio.Future[ChildEnded]
    ) -> None:
        self.key, self.name, self.digest, self.child, self.channel = key, name, digest, child, f"child:{child}"
        self.since, self.turn, self.future = since, turn, future
        self.over = False


Op: TypeAlias = StepOp | TimerOp | SignalOp | ChildOp
_NONE: frozenset[str] = frozenset()
URGENCY = (SignalOp.kind, ChildOp.kind, StepOp.kind, TimerOp.kind)
"""What a person can do most about comes first."""


class OpenOperations:
    """The operations a flow has open, by key. `told` are the channels that the store knows of; None: not known here."""

    def __init__(self, failures: Mapping[str, AttemptFailed], told: Iterable[str] | None = ()) -> None:
        self.failures: dict[str, AttemptFailed] = dict(failures)
        """The last failed try of each step that has one."""
        self.heartbeats = Heartbeats()
        self._by_key: dict[str, Op] = {}
        self._by_kind: dict[str, dict[str, Op]] = {kind: {} for kind in URGENCY}
        self._listeners: dict[str, list[SignalOp | ChildOp]] = {}
        self._told: set[str] | None = None if told is None else set(told)
        self._changed: set[str] = set()
        self._timers: list[tuple[int, int, TimerOp]] = []
        self._timers_asked = 0
        self._retries: list[tuple[int, str]] = [(failure.due, key) for key, failure in self.failures.items()]
        heapq.heapify(self._retries)
        self._asked: list[StepOp] = []
        self._stops: list[StepOp] = []

    def __iter__(self) -> Iterator[Op]:
        return iter(list(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> Op | None:
        return self._by_key.get(key)

    def holds(self, op: Op) -> bool:
        return self._by_key.get(op.key) is op

    def most_urgent(self, limit: int) -> list[Op]:
        """The first operations by kind, as people want to see them: signals, children, steps, timers."""
        return list(islice(chain.from_iterable(ops.values() for ops in self._by_kind.values()), limit))

    def add(self, op: Op) -> None:
        self._by_key[op.key] = self._by_kind[op.kind][op.key] = op
        match op:
            case StepOp():
                self._asked.append(op)
            case TimerOp():
                self._timers_asked += 1
                heapq.heappush(self._timers, (op.due, self._timers_asked, op))
            case SignalOp() | ChildOp():
                self._listeners.setdefault(op.channel, []).append(op)
                self._changed.add(op.channel)

    def remove(self, op: Op) -> None:
        del self._by_key[op.key], self._by_kind[op.kind][op.key]
        self.heartbeats.drop(op.key)
        if self._asked and self._asked[-1] is op:
            self._asked.pop()  # it was answered by the journal: a replay asks for many, and nobody takes them
        if isinstance(op, SignalOp | ChildOp):
            listeners = self._listeners[op.channel]
            listeners.remove(op)
            if not listeners:
                del self._listeners[op.channel]
            self._changed.add(op.channel)

    def add_failure(self, failure: AttemptFailed) -> None:
        """A try failed; the next is due later."""
        self.failures[failure.key] = failure
        heapq.heappush(self._retries, (failure.due, failure.key))

    def ask_stop(self, op: StepOp) -> None:
        op.stopping = True
        self._stops.append(op)

    def take_asked(self) -> list[StepOp]:
        """Steps asked for since the last call and still open."""
        if not self._asked:
            return self._asked
        asked, self._asked = self._asked, []
        return [op for op in asked if self.holds(op)]

    @property
    def unstarted(self) -> bool:
        """Whether steps were asked for that nobody has taken yet: a worker that drains takes none."""
        return any(self.holds(op) for op in self._asked)

    def take_stops(self) -> list[StepOp]:
        """Steps asked to stop since the last call and still open."""
        if not self._stops:
            return self._stops
        stops, self._stops = self._stops, []
        return [op for op in stops if self.holds(op)]

    def take_retries(self, clock: int) -> list[StepOp]:
        """Steps whose next try is due by now."""
        ready: list[StepOp] = []
        while self._retries and self._retries[0][0] <= clock:
            due, key = heapq.heappop(self._retries)
            op = self._by_key.get(key)
            if isinstance(op, StepOp) and self._retry_pending(due, key):
                ready.append(op)
        return ready

    def listeners(self, channel: str) -> list[SignalOp | ChildOp]:
        """Who waits on a channel, first come first."""
        return self._listeners.get(channel, [])

    def waits(self, served: AbstractSet[str] = frozenset()) -> tuple[frozenset[str], frozenset[str] | None]:
        """What the next commit says of channels: those that it begins to wait on and those that it no longer does; or
        all, and None, if it is not known what the store was told. It serves one listener of each channel in `served`,
        which ends the store's wait there."""
        if self._told is None:
            return frozenset(c for c in self._listeners if self._listens(c, served)), None
        if not self._changed and not served:
            return _NONE, _NONE
        changed = self._changed | served
        begun = (c for c in changed if self._listens(c, served) and (c in served or c not in self._told))
        ended = (c for c in changed & self._told if not self._listens(c, served))
        return frozenset(begun), frozenset(ended)

    @property
    def has_news(self) -> bool:
        """Whether the next commit may have to say something of waits or timers."""
        return self._told is None or bool(self._changed or self._timers)

    def tell(self, waits: AbstractSet[str], dropped: AbstractSet[str] | None) -> None:
        """The store was told so, by a commit that has been applied."""
        if self._told is not None and dropped is not None and not (self._changed or waits or dropped):
            return
        if self._told is None or dropped is None:
            self._told = set[str]()
        self._told.difference_update(dropped or ())
        self._told.update(waits)
        self._changed.clear()

    def _listens(self, channel: str, served: AbstractSet[str]) -> bool:
        return len(self._listeners.get(channel, ())) > (channel in served)

    def due(self, *, retries: bool = True) -> int | None:
        """When the next timer or retry falls due; without `retries`, which a worker that drains does not make, the next
        timer."""
        while self._timers and not self.holds(self._timers[0][2]):
            heapq.heappop(self._timers)
        while self._retries and not self._retry_pending(*self._retries[0]):
            heapq.heappop(self._retries)
        heads = [heap[0][0] for heap in (self._timers, self._retries if retries else []) if heap]
        return min(heads, default=None)

    def timers_due(self, clock: int, limit: int) -> list[TimerOp]:
        """At most `limit` timers due by now, earliest first; ties in the order asked for. They stay open."""
        rows: list[tuple[int, int, TimerOp]] = []
        while self._timers and self._timers[0][0] <= clock and len(rows) < limit:
            row = heapq.heappop(self._timers)
            if self.holds(row[2]):
                rows.append(row)
        for row in rows:
            heapq.heappush(self._timers, row)
        return [op for _, _, op in rows]

    def _retry_pending(self, due: int, key: str) -> bool:
        failure = self.failures.get(key)
        return failure is not None and failure.due == due and key in self._by_key
