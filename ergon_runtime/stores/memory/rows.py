"""What the memory store keeps of a flow, and the agenda: which flows fall due, in the order of their claims."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ergon_runtime.core.flows import Claim, FlowRow, Lease, Message, NewFlow, Status, Wait
from ergon_runtime.stores import rules


@dataclass(frozen=True, slots=True)
class Mail:
    """A message in the store; `seq` is its place among all messages ever sent."""

    seq: int
    message: Message


def seq_of(mail: Mail) -> int:
    """The order of mail."""
    return mail.seq


@dataclass(slots=True)
class Listening:
    """A wait; `order` is its place among all waits ever begun."""

    since: int
    order: int


@dataclass(slots=True)
class Row:
    """A flow. `token`, `owner` and `length` are those of its lease; `alone` tells that the owner claimed it alone."""

    flow: NewFlow
    created: int
    status: Status
    due: int | None
    updated: int
    token: str | None = None
    owner: str | None = None
    length: int = 0
    alone: bool = False
    head: str | None = None
    journal: list[bytes] = field(default_factory=list[bytes])
    entries: int = 0
    """How many `journal` has or, while it is being restored, is to have."""
    base: int = 0
    result: bytes | None = None
    note: bytes | None = None
    fingerprint: str | None = None
    started: int | None = None
    ended: int | None = None
    recoveries: int = 0
    deaths: int = 0
    waits: dict[str, Listening] = field(default_factory=dict[str, Listening])
    names: set[str] = field(default_factory=set[str])
    """Those of `waits` that may be sent to by name."""
    reserved: dict[str, Mail] = field(default_factory=dict[str, Mail])
    mail: dict[str, list[Mail]] = field(default_factory=dict[str, list[Mail]])
    boxes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By message id, the channels on which `mail` has it."""
    aside: list[Mail] = field(default_factory=list[Mail])
    heard: int = 0
    """When it last got mail that it listens to, on the store's counter."""

    def view(self) -> FlowRow:
        """The flow as readers see it."""
        flow = self.flow
        return FlowRow(
            id=flow.id,
            type=flow.type,
            version=flow.version,
            lane=flow.lane,
            priority=flow.priority,
            args=flow.args,
            seed=flow.seed,
            parent=flow.parent,
            status=self.status,
            due=self.due,
            owner=self.owner,
            head=self.head,
            length=self.entries,
            base=self.base,
            result=self.result,
            note=self.note,
            fingerprint=self.fingerprint,
            created=self.created,
            updated=self.updated,
            started=self.started,
            recoveries=self.recoveries,
            deaths=self.deaths,
            waits=tuple(Wait(c, self.waits[c].since, c in self.reserved) for c in self._shown_waits()),
            aside=tuple(mail.message for mail in sorted(self.aside, key=seq_of)),
        )

    def _shown_waits(self) -> list[str]:
        """The waits that readers see; of thousands, only those are looked at."""
        if len(self.waits) <= rules.WAITS:
            return sorted(self.waits)
        names = sorted(self.names)[: rules.WAITS]
        others = (channel for channel in self.waits if channel not in self.names)
        return sorted([*names, *islice(others, rules.WAITS - len(names))])

    def claimed(self, now: int, before: Status, due: int | None, mail: tuple[Message, ...]) -> Claim:
        """The flow as its new owner sees it; `before` and `due` are its status and due time before the claim."""
        assert self.token is not None
        assert self.started is not None
        flow = self.flow
        return Claim(
            lease=Lease(flow.id, self.token),
            type=flow.type,
            version=flow.version,
            args=flow.args,
            seed=flow.seed,
            parent=flow.parent,
            status=before,
            head=self.head,
            length=self.entries,
            base=self.base,
            started=self.started,
            now=now,
            due=due,
            recoveries=self.recoveries,
            deaths=self.deaths,
            mail=mail,
            note=self.note,
        )


class Agenda:
    """The flows without a lease that have a due time, per lane and priority by (due, id); and the leased flows."""

    def __init__(self) -> None:
        self._queues: dict[str, dict[int, list[tuple[int, str]]]] = {}
        self._leased: dict[str, set[str]] = {}

    def add(self, row: Row) -> None:
        """Note a flow, as it stands now."""
        flow = row.flow
        if row.token is not None:
            self._leased.setdefault(flow.lane, set()).add(flow.id)
        elif row.due is not None:
            insort(self._queues.setdefault(flow.lane, {}).setdefault(flow.priority, []), (row.due, flow.id))

    def remove(self, row: Row) -> None:
        """Forget a flow, which must stand as it did when it was added."""
        flow = row.flow
        if row.token is not None:
            self._leased[flow.lane].discard(flow.id)
        elif row.due is not None:
            queue = self._queues[flow.lane][flow.priority]
            queue.pop(bisect_left(queue, (row.due, flow.id)))

    def due(self, lane: str, now: int) -> Iterator[str]:
        """The flows of a lane that are due and have no owner, in order of their claims."""
        for _, queue in sorted(self._queues.get(lane, {}).items()):
            yield from (queue[place][1] for place in range(_end(queue, now)))

    def later(self, lane: str, now: int) -> Iterator[Iterator[tuple[int, str]]]:
        """Per priority, the flows of a lane that fall due after `now`, in order."""
        for queue in self._queues.get(lane, {}).values():
            yield (queue[place] for place in range(_end(queue, now), len(queue)))

    def leased(self, lane: str) -> list[str]:
        """The flows of a lane that have an owner."""
        return list(self._leased.get(lane, ()))

    def content(self) -> set[tuple[str, int | None, int | None, str]]:
        """All of it: lane, priority, due time and flow; of a leased flow lane and flow."""
        found: set[tuple[str, int | None, int | None, str]] = set()
        for lane, queues in self._queues.items():
            for priority, queue in queues.items():
                found.update((lane, priority, due, flow) for due, flow in queue)
        for lane, flows in self._leased.items():
            found.update((lane, None, None, flow) for flow in flows)
        return found

    def all_leased(self) -> Iterator[str]:
        """The flows of all lanes that have an owner."""
        for flows in self._leased.values():
            yield from flows


def _end(queue: list[tuple[int, str]], now: int) -> int:
    return bisect_right(queue, now, key=lambda item: item[0])
