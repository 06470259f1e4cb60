"""A small store, as pieces, in which all is well: what tests of the audit damage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ergon_runtime.core.entries import (
    AttemptFailed,
    ChildCreated,
    ChildEnded,
    Entry,
    Outcome,
    Retried,
    SignalReceived,
    Started,
    StepBegun,
    StepEnded,
    TimerFired,
    pack,
)
from ergon_runtime.core.flows import FlowRow, Message, Status
from ergon_runtime.stores.records import FlowRecord, JournalPart, NameRecord, Numbered, Record, WaitRecord

NOW = 1_000_000
LEASE = 1000
DONE = Outcome(Status.COMPLETED, "1").pack()


@dataclass
class World:
    """What a store holds, to be changed."""

    flows: dict[str, FlowRecord]
    journals: dict[str, list[Entry | bytes]]
    commits: dict[str, list[int]]
    kept: list[Numbered]
    names: list[NameRecord]

    def row(self, flow: str, **changes: Any) -> None:
        """Change the row of a flow."""
        self.record(flow, row=replace(self.flows[flow].row, **changes))

    def record(self, flow: str, **changes: Any) -> None:
        """Change what a flow has."""
        self.flows[flow] = replace(self.flows[flow], **changes)

    def entry(self, flow: str, place: int, **changes: Any) -> None:
        """Change an entry of a journal."""
        entry = self.journals[flow][place]
        assert not isinstance(entry, bytes)
        self.journals[flow][place] = replace(entry, **changes)

    def append(self, flow: str, *entries: Entry, length: bool = True) -> None:
        """Add entries to a journal, in a commit of their own; the row says so too if `length`."""
        self.journals[flow] += entries
        self.commits[flow] += [self.commits[flow][-1] + 1] * len(entries)
        if length:
            self.row(flow, length=len(self.journals[flow]))

    def pieces(self) -> list[Record | JournalPart]:
        """All of it."""
        parts = [
            JournalPart(
                flow, 0, tuple(e if isinstance(e, bytes) else pack(e, n) for e, n in zip(each, numbers, strict=True))
            )
            for flow, each in self.journals.items()
            if (numbers := self.commits[flow])
        ]
        return [*self.flows.values(), *self.kept, *self.names, *parts]


def numbered(number: int, channel: str, message_id: str) -> Numbered:
    """A message in the store."""
    return Numbered(number, Message(message_id, channel, b"1"))


def healthy() -> World:
    """A parent with a child that has ended, one that runs and one that is detached, and flows of other kinds."""
    world = World({}, {}, {}, [], [])
    _done(world)
    _waiter(world)
    _family(world)
    _retried(world)
    _add(world, "new", Status.PENDING, due=NOW - 1, head=None, started=None, lease=0)
    _add(world, "blocked", Status.BLOCKED, note=b'{"why":{"kind":"stuck"}}')
    world.kept.append(numbered(90, "signal:other", "k"))
    world.names += [NameRecord("signal:other", "k", 5), NameRecord("signal:go", "r", 6)]
    return world


def _done(world: World) -> None:
    started = Started("", 100, "seed", None, 1, "3.11")
    begun = StepBegun("once", 110, "d", "once")
    ended = StepEnded("once", 120, "d", "once", "{}", "1", None, 1, 110, 120, "w")
    timer = TimerFired("sleep", 200, "d", "sleep", True, 120, 190)
    failed = AttemptFailed("charge", 210, "d", "charge", "{}", 1, 220, "{}", 200, 210, "w")
    charged = StepEnded("charge", 230, "d", "charge", "{}", "1", None, 2, 220, 230, "w")
    entries = [started, begun, ended, timer, failed, charged]
    _add(world, "done", Status.COMPLETED, entries, result=DONE, ended=300)


def _waiter(world: World) -> None:
    received = SignalReceived("go", 150, "d", "go", "first", "1")
    reserved = WaitRecord("signal:go", 20, 160, numbered(21, "signal:go", "r"))
    free = WaitRecord("signal:stop", 22, 160, None)
    entries = [Started("", 100, "seed", None, 1, "3.11"), received]
    _add(
        world, "waiter", Status.WAITING, entries, due=NOW, waits=(reserved, free), mail=(numbered(23, "signal:x", "m"),)
    )
    world.record("waiter", sent=(("signal:go", "first"), ("signal:x", "m")))


def _family(world: World) -> None:
    made = [
        ChildCreated(key, 130, "d", f"parent/{key}", "T", None, "{}", key == "far") for key in ("one", "two", "far")
    ]
    heard = ChildEnded("one", 140, "d", "result parent/one", "parent/one", Status.COMPLETED, "1", None)
    entries = [Started("", 100, "seed", None, 1, "3.11"), *made, heard]
    waits = (WaitRecord("child:parent/two", 30, 130, None),)
    sent = (("child:parent/one", "result parent/one"),)
    _add(world, "parent", Status.WAITING, entries, waits=waits, sent=sent)
    first = [Started("", 131, "seed", None, 1, "3.11")]
    _add(world, "parent/one", Status.COMPLETED, first, parent="parent", result=DONE, ended=139)
    _add(world, "parent/two", Status.RUNNING, first, parent="parent", due=NOW + LEASE, owner="w")
    _add(world, "parent/far", Status.WAITING, first, parent="parent", due=NOW + 5000)


def _retried(world: World) -> None:
    """A flow whose first life failed, and with it its child was cancelled, which has not heard of it yet."""
    made = ChildCreated("c", 130, "d", "again/c", "T", None, "{}", False)
    retried = Retried("", 140, 2, 2, 1, True, NOW + 50)
    entries = [Started("", 100, "seed", None, 1, "3.11"), made, retried]
    _add(world, "again", Status.WAITING, entries, due=NOW + 50)
    first, cancel = [Started("", 131, "seed", None, 1, "3.11")], numbered(40, "cancel", "end of again life 1")
    _add(world, "again/c", Status.RUNNING, first, parent="again", due=NOW + LEASE, owner="w", mail=(cancel,))
    world.record("again/c", sent=(("cancel", "end of again life 1"),))


def _add(world: World, flow: str, status: Status, entries: list[Entry] | None = None, **more: Any) -> None:
    given = {name: more.pop(name) for name in ("waits", "mail", "sent") if name in more}
    ended, lease = more.pop("ended", None), more.pop("lease", LEASE)
    plain: dict[str, Any] = {
        "due": None,
        "owner": None,
        "head": f"c-{flow}",
        "started": 100,
        "result": None,
        "note": b"{}",
    }
    row = FlowRow(
        id=flow,
        type="T",
        version=None,
        lane="default:T:",
        priority=5,
        args=b"{}",
        seed="seed",
        parent=more.pop("parent", None),
        status=status,
        length=len(entries or ()),
        base=0,
        fingerprint=None,
        created=90,
        updated=ended or 150,
        recoveries=0,
        deaths=0,
        **(plain | more),
    )
    parts: dict[str, Any] = {"waits": (), "mail": (), "sent": ()}
    world.flows[flow] = FlowRecord(row, lease_length=lease, alone=False, ended=ended, aside=(), **(parts | given))
    world.journals[flow] = list(entries or ())
    world.commits[flow] = list(range(1, len(entries or ()) + 1))
