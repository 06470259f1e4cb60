"""What the audit looks at: one flow with its journal and its children, and what is found wrong with it. Pure data.

A check is a small function from a Case to what it finds, in words; it stands in a table with the rule that it watches,
a name of docs/protocol.md, and with what a person can do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ergon_runtime.core.entries import ChildCreated, Forked, LifeMarker, Recorded, unpack
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.core.history import History
from ergon_runtime.stores.records import FlowRecord


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a store breaks, by its name in docs/protocol.md, and the flow, if it is one flow's."""

    rule: str
    flow: str | None
    text: str
    """What is wrong, and what to do about it."""


@dataclass(frozen=True, slots=True)
class InLife:
    """An entry with the life and the epoch that it belongs to. A life marker belongs to the life that it begins."""

    life: int
    epoch: int
    record: Recorded


@dataclass(frozen=True, slots=True)
class Case:
    """A flow, as it is looked at."""

    record: FlowRecord
    journal: tuple[bytes, ...]
    """All that is there from sequence 0 on."""
    now: int
    """The store's clock."""
    entries: tuple[InLife, ...]
    """What can be read of the journal."""
    own: tuple[InLife, ...]
    """What the flow has recorded itself: the journal of a fork begins with another's."""
    unreadable: tuple[str, ...]
    history: History
    """The journal from the flow's base on, as a worker loads it."""
    children: Mapping[str, FlowRow]
    """The flows that name this one as their parent, by id."""
    cancelled: frozenset[str] = frozenset()
    """Those of its children that were sent a cancel."""

    @property
    def row(self) -> FlowRow:
        return self.record.row

    @property
    def life(self) -> int:
        """The present one."""
        return self.history.life

    @property
    def incomplete(self) -> bool:
        """Whether this is a fork or an import that is being written, or that was interrupted: nothing runs it."""
        return len(self.journal) < self.row.length and (self.record.lease_length == 0 or self._why == "paused")

    @property
    def imported(self) -> bool:
        """Whether it comes from another store (P8): its mail, and perhaps its children, are there."""
        paused = self.row.status is Status.BLOCKED and self._why == "paused"
        return paused or (self.record.lease_length == 0 and self.row.head is not None)

    @property
    def _why(self) -> object:
        """The kind of what it says it is blocked for, or was when it was cancelled."""
        match read_note(self.row.note).get("why"):
            case {"kind": kind}:
                return kind
            case _:
                return None

    def made(self) -> Iterator[tuple[int, ChildCreated]]:
        """The children that it has recorded to have made, and in which life."""
        for each in self.own:
            if isinstance(each.record.entry, ChildCreated):
                yield each.life, each.record.entry


Look: TypeAlias = Callable[[Case], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Check:
    """What watches a rule. `fix` is what a person can do when it is broken."""

    rule: str
    look: Look
    fix: str

    def violations(self, case: Case) -> Iterator[Violation]:
        """What it finds."""
        for found in self.look(case):
            yield Violation(self.rule, case.row.id, f"{found}; {self.fix}")


def make_case(
    record: FlowRecord,
    journal: Sequence[bytes],
    now: int,
    children: Mapping[str, FlowRow],
    cancelled: frozenset[str] = frozenset(),
) -> Case:
    """Read a flow's journal as far as it can be read."""
    entries: list[InLife] = []
    unreadable: list[str] = []
    life = epoch = 1
    first = 0
    for seq, packed in enumerate(journal):
        try:
            found = unpack(packed, seq)
        except ValueError as error:
            unreadable.append(str(error))
            continue
        if isinstance(found.entry, LifeMarker):
            life, epoch = found.entry.life, found.entry.epoch
        if isinstance(found.entry, Forked):
            first = len(entries)
        entries.append(InLife(life, epoch, found))
    everything = tuple(entries)
    row = record.row
    history = History((each.record for each in everything if each.record.seq >= row.base), row.origin)
    own = everything[first:]
    return Case(record, tuple(journal), now, everything, own, tuple(unreadable), history, children, cancelled)
