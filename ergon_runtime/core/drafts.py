"""Drafts: what a commit holds, before it has an identity. Whoever holds the flow's lease makes a commit of it."""

from __future__ import annotations

from dataclasses import dataclass

from ergon_runtime.core.entries import Entry, pack
from ergon_runtime.core.flows import Commit, Lease, NewFlow, Send, Status


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit without its identity. `results` of the situation's step entries are in it; `rebase` moves the flow's
    base to the last entry; `resident` says that the machine may be kept in memory after the release; `heartbeats`
    counts those that the note tells of."""

    entries: tuple[Entry, ...] = ()
    status: Status = Status.RUNNING
    due: int | None = None
    waits: frozenset[str] = frozenset()
    dropped: frozenset[str] | None = None
    consumed: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    creates: tuple[NewFlow, ...] = ()
    sends: tuple[Send, ...] = ()
    release: bool = False
    result: bytes | None = None
    note: bytes | None = None
    fingerprint: str | None = None
    results: int = 0
    rebase: bool = False
    resident: bool = False
    heartbeats: int = 0

    def commit(
        self, id_: str, lease: Lease, *, predecessor: str | None, start: int, number: int, lease_length: int
    ) -> Commit:
        """The commit of this draft to a flow whose head is `predecessor` and whose journal has `start` entries.
        `number` is that of this commit among those that hold entries; times are milliseconds."""
        return Commit(
            id=id_,
            lease=lease,
            predecessor=predecessor,
            start=start,
            lease_length=lease_length,
            status=self.status,
            entries=tuple(pack(entry, number) for entry in self.entries),
            due=self.due,
            waits=self.waits,
            dropped=self.dropped,
            consumed=self.consumed,
            aside=self.aside,
            creates=self.creates,
            sends=self.sends,
            release=self.release,
            result=self.result,
            base=start + len(self.entries) - 1 if self.rebase else None,
            note=self.note,
            fingerprint=self.fingerprint,
        )
