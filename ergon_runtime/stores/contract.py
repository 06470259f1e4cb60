"""The store contract: what every store does, and the rules it keeps.

A store applies commits and knows no flows: entries, arguments, results, bodies and notes are bytes to it. Every method
is one transaction (or one script). Rules, by name:

R1  `create` is idempotent: an equal (type, args, parent) changes nothing, anything else raises Conflict. Creating a
    child that has already ended sends its result to the parent's mailbox again (which drops it if it had it).
R2  Every claim draws a new random token; the flow is then `running` and due when its lease ends. A claim of a flow that
    was `running` counts a recovery, and a death if that owner had it alone. A release resets both, and so
    does a commit with entries: a flow that gets on is no crash loop.
R3  A wrong token or head: LeaseLost, nothing written. But a commit whose id is the head has been applied already:
    it is answered as before, and `held` tells whether its token is still the flow's (checked in this order: C1).
R4  Journals are dense and append-only: a commit's entries begin at its `start`, which is the journal's length.
R5  Ended flows are never claimed or changed, except by an operator's claim; a child's result still reaches their
    mailbox, any other message to them is refused.
R6  `send` is idempotent by (target, channel, message id); an id outlives the message's consumption, until prune.
R7  No lost wake-up (C5): a message on a channel that a waiting flow listens to makes it due at once; a release with
    such mail present makes it due at once. Other mail never does. Mail never makes a blocked flow due.
R8  Payloads are opaque bytes.
R9  A flow that waits holds no lease.
R10 What was acknowledged is there after a crash, to the durability that `identity()` states.
S1  A message to a flow goes to its mailbox. A message to a channel alone is reserved for the flow that has listened
    longest on it and has no reservation there, or kept under the channel's name until one listens. A flow sees its own
    mail before reserved mail; first in, first out. Consuming a message ends the wait: if the commit's `waits` still
    name the channel, that is a new wait, queued anew.
S2  A commit that drops a wait, or ends the flow, gives an unconsumed reserved message back to its old place, from where
    it goes to the next flow that listens, all in that transaction.
C3  A commit states all waits or, with `dropped`, a change to those that its predecessor left: `rules.wait_changes`. To
    begin a wait that stands, or end one that does not, changes nothing. A commit costs what it says, however many waits
    stand: a flow may wait for many thousand children.
C4  An answer brings the first of the flow's mail, and every cancel: `rules.first_mail`. What it consumes makes room.
R17 `restore` keeps every order there is: numbers of messages and waits come along, and later ones are higher. What is
    there it does not change.
P2  A claim returns head and length, no journal.
P6  Claims state the store's time. A lease that ends more than two of its lengths ahead counts as expired.

This file imports core and `records` only.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ergon_runtime.core.flows import (
    Beat,
    ClaimRequest,
    Claims,
    Commit,
    CommitReply,
    FlowQuery,
    FlowRow,
    Lease,
    Message,
    NewFlow,
    Send,
    WorkerRow,
)
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Which store this is. `hash_seed` is the PYTHONHASHSEED that workers and replays of this store run under (L8)."""

    id: str
    url: str
    """Its address, without secrets."""
    hash_seed: str
    durability: str
    """The durability in force, in a few words for people."""
    copy_of: str | None = None
    """The id and address of the store that this one is an unfinished copy of."""
    key_checks: tuple[tuple[str, str], ...] = ()
    """The ids of the keys that its payloads are encrypted with, sorted, each with its check. None: they are not."""
    keys: tuple[str, ...] = ()
    """The ids of the keys that this handle has."""

    @property
    def source(self) -> str:
        """Its id and address, as the copy of it keeps them."""
        return f"{self.id} {self.url}"


class Store(Protocol):
    """A store, opened. Methods raise StoreError and its subclasses only."""

    async def open(self) -> None:
        """Make the store ready for use, creating it if its kind allows that. Raises StoreUnavailable, StoreCorrupt,
        SchemaMismatch."""
        ...

    async def close(self) -> None:
        """Give up all resources; idempotent."""
        ...

    def clone(self) -> Store:
        """Another, unopened handle on the same store, for use in another thread and event loop."""
        ...

    async def identity(self) -> StoreIdentity: ...

    async def create(self, flow: NewFlow) -> bool:
        """Create a flow; False if it was there already (R1). Raises Conflict."""
        ...

    async def claim(self, request: ClaimRequest) -> Claims:
        """Hand flows that are due to a worker, ordered by priority (0 first), due time and id."""
        ...

    async def commit(self, commit: Commit) -> CommitReply:
        """Apply one commit atomically. Raises LeaseLost, and Conflict for a child's id; then nothing is written."""
        ...

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        """Renew leases by `length` milliseconds from now; answers each flow's waiting mail. A lost lease is absent."""
        ...

    async def send(self, send: Send) -> bool:
        """Deliver a message (S1, R6). False if it was not taken: its flow does not exist or has ended."""
        ...

    async def get(self, flow_id: str) -> FlowRow | None: ...

    async def journal(self, flow_id: str, start: int, limit: int) -> list[bytes]:
        """Entries from sequence `start`, at most `limit`, in order."""
        ...

    async def list(self, query: FlowQuery) -> list[FlowRow]:
        """Flows that match, newest created first."""
        ...

    async def workers(self) -> builtins.list[WorkerRow]:
        """Workers that are live by the store's clock."""
        ...

    async def now(self) -> int:
        """The store's clock."""
        ...

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        """Return when something may have changed, or after `timeout` seconds; names flows leased by `worker` that got
        mail since this handle last said so. Only a hint: nothing may depend on it but speed."""
        ...

    async def prune(self, before: int) -> int:
        """Delete flows that ended before this time, with their journals, mail and message ids; how many went."""
        ...

    async def count(self, kind: Kind) -> int:
        """How many pieces of a kind the store has."""
        ...

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        """The pieces of a kind after a place, or from the first, in order, at most `limit`. Read while the store is in
        use they may not fit together."""
        ...

    async def restore(self, piece: Record | JournalPart) -> None:
        """Write a piece of another store, unless it is there. A flow comes before its journal, whose parts come in
        order. Nothing is woken or matched: the store is being copied and no worker uses it, or the flow is one that no
        worker runs, since it has ended, or is blocked and not due. Raises FlowNotFound if a journal's flow has gone.
        """
        ...

    async def begin_copy(self, source: StoreIdentity) -> None:
        """Begin, or go on, to be a copy of that store, whose hash seed this one takes over. Until `end_copy` its
        identity says so. Raises CopyRefused if it is not empty, or a copy of another."""
        ...

    async def end_copy(self) -> None:
        """All is copied: it is a store like any other."""
        ...

    async def verify(self) -> builtins.list[str]:
        """What is damaged in how this kind of store keeps its pieces, in words, at most `rules.DAMAGE` of it: files,
        indexes, side tables. It only reads, in small steps; a store in use gives no false alarm. What the pieces say
        is no matter here. Raises StoreCorrupt for what is past reading."""
        ...

    async def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        """Note that payloads are encrypted with the key of this id, unless that is known; its identity says so. False
        if the store has something that is not encrypted, since none of its payloads are, unless `mixed`."""
        ...
