"""What a store holds, piece by piece, in a form that belongs to no kind of store: for copies from one to another.

A piece has a place in the order of its kind, the same in every store. `number`s are places in the one order of all
messages and waits of a store; a copy keeps them, and with them every order there is (S1, S2). A lease is copied
without its token: nobody holds it any more, and the flow is taken over when its time is up.

This file imports core only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from ergon_runtime.core.flows import FlowRow, Message

VOID = "void"
"""The token of a lease that was copied: no claim ever draws it."""
Place: TypeAlias = tuple[int, str]
"""Where a piece stands among those of its kind."""


class Kind(StrEnum):
    """What `records` lists. Journals are read by `journal`."""

    FLOWS = "flows"
    """FlowRecords, by time created and id."""
    NAMES = "names"
    """NameRecords, by time sent, then by `place`."""
    KEPT = "kept"
    """The messages that are kept under a name, by number."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message, and its number."""

    number: int
    message: Message

    @property
    def place(self) -> Place:
        return self.number, ""


@dataclass(frozen=True, slots=True)
class WaitRecord:
    """A channel that a flow listens to, since when, and the message that is reserved for it."""

    channel: str
    number: int
    since: int
    reserved: Numbered | None


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """A flow with all that is its own, but for its journal."""

    row: FlowRow
    """Its `waits` and `aside` are empty: they are below, whole."""
    lease_length: int
    alone: bool
    ended: int | None
    waits: tuple[WaitRecord, ...]
    """By channel."""
    mail: tuple[Numbered, ...]
    """By number; without what is reserved."""
    aside: tuple[Numbered, ...]
    sent: tuple[tuple[str, str], ...]
    """(channel, message id) of all that it was ever sent, sorted. They last as long as the flow."""

    @property
    def place(self) -> Place:
        return self.row.created, self.row.id


@dataclass(frozen=True, slots=True)
class NameRecord:
    """A message id that was sent to a name, and when (S3)."""

    channel: str
    id: str
    at: int

    @property
    def place(self) -> Place:
        return self.at, f"{len(self.channel.encode())}:{self.channel}:{self.id}"


@dataclass(frozen=True, slots=True)
class JournalPart:
    """Entries of a flow's journal, from sequence `start` on."""

    flow: str
    start: int
    entries: tuple[bytes, ...]


Record: TypeAlias = FlowRecord | NameRecord | Numbered
