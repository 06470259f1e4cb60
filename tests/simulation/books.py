"""The stores of a simulation, run inline: their synchronous cores, and what only an auditor may read in them."""

from __future__ import annotations

import builtins
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

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
from ergon_runtime.stores.memory import MemoryState
from ergon_runtime.stores.records import JournalPart, Record
from ergon_runtime.stores.sqlite import schema
from ergon_runtime.stores.sqlite.operations import Operations
from ergon_runtime.stores.sqlite.transaction import transaction

T = TypeVar("T")


class Core(Protocol):
    """A store's operations, synchronous: one call is one transaction."""

    @property
    def stirred(self) -> int: ...
    def create(self, flow: NewFlow) -> bool: ...
    def claim(self, request: ClaimRequest) -> Claims: ...
    def commit(self, commit: Commit) -> CommitReply: ...
    def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]: ...
    def send(self, send: Send) -> bool: ...
    def get(self, flow_id: str) -> FlowRow | None: ...
    def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]: ...
    def list(self, query: FlowQuery) -> builtins.list[FlowRow]: ...
    def workers(self) -> builtins.list[WorkerRow]: ...
    def heard(self, worker: str, since: int) -> tuple[frozenset[str], int]: ...
    def prune(self, before: int) -> int: ...
    def restore(self, piece: Record | JournalPart) -> None: ...


class Books(Protocol):
    """A core, and what an auditor reads besides."""

    @property
    def core(self) -> Core: ...

    def token(self, flow: str) -> str | None:
        """The token of the flow's lease, now."""
        ...

    def kept(self) -> list[tuple[str, str]]:
        """(channel, id) of every message that lies somewhere in the store, once per place."""
        ...

    def reservations(self, flow: str) -> list[str]:
        """The channels on which a message is reserved for the flow."""
        ...

    def close(self) -> None: ...


class MemoryBooks:
    """The memory store."""

    def __init__(self, clock: Callable[[], int], token: Callable[[], str]) -> None:
        self.core = MemoryState(clock, token)

    def token(self, flow: str) -> str | None:
        return self.core.flows[flow].token

    def kept(self) -> list[tuple[str, str]]:
        found = [mail for box in self.core.mailboxes.kept.values() for mail in box]
        for row in self.core.flows.values():
            found += [*(mail for box in row.mail.values() for mail in box), *row.reserved.values(), *row.aside]
        return [(mail.message.channel, mail.message.id) for mail in found]

    def reservations(self, flow: str) -> list[str]:
        return list(self.core.flows[flow].reserved)

    def close(self) -> None:
        """Nothing to do."""


class _Transactions:
    """SQLite's operations, each in a transaction of its own."""

    def __init__(self, conn: sqlite3.Connection, operations: Operations) -> None:
        self._conn, self._operations = conn, operations

    @property
    def stirred(self) -> int:
        return self._operations.stirred

    def create(self, flow: NewFlow) -> bool:
        return self._write(lambda: self._operations.create(flow))

    def claim(self, request: ClaimRequest) -> Claims:
        return self._operations.peek(request) or self._write(lambda: self._operations.claim(request))

    def commit(self, commit: Commit) -> CommitReply:
        return self._write(lambda: self._operations.commit(commit))

    def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return self._write(lambda: self._operations.extend(leases, length, beat))

    def send(self, send: Send) -> bool:
        return self._write(lambda: self._operations.send(send))

    def get(self, flow_id: str) -> FlowRow | None:
        return self._operations.get(flow_id)

    def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return self._operations.journal(flow_id, start, limit)

    def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return self._operations.list(query)

    def workers(self) -> builtins.list[WorkerRow]:
        return self._operations.workers()

    def heard(self, worker: str, since: int) -> tuple[frozenset[str], int]:
        return self._operations.heard(worker, since)

    def prune(self, before: int) -> int:
        return self._write(lambda: self._operations.prune(before))

    def restore(self, piece: Record | JournalPart) -> None:
        self._write(lambda: self._operations.restore(piece))

    def _write(self, work: Callable[[], T]) -> T:
        with transaction(self._conn):
            return work()


class SQLiteBooks:
    """The SQLite store, on a connection in memory: the same statements without a disk."""

    def __init__(self, clock: Callable[[], int], token: Callable[[], str]) -> None:
        self._conn = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self._conn.execute("BEGIN IMMEDIATE")
        schema.migrate(self._conn, ":memory:")
        self._conn.execute("COMMIT")
        self.core: Core = _Transactions(self._conn, Operations(self._conn, clock, token))

    def token(self, flow: str) -> str | None:
        found: str | None = self._conn.execute("SELECT token FROM flow WHERE id = ?", (flow,)).fetchone()[0]
        return found

    def kept(self) -> list[tuple[str, str]]:
        return self._conn.execute("SELECT channel, id FROM message").fetchall()

    def reservations(self, flow: str) -> list[str]:
        rows = self._conn.execute("SELECT channel FROM message WHERE flow = ? AND place = 'reserved'", (flow,))
        return [row[0] for row in rows]

    def close(self) -> None:
        self._conn.close()


BOOKS: dict[str, Callable[[Callable[[], int], Callable[[], str]], Books]] = {
    "memory": MemoryBooks,
    "sqlite": SQLiteBooks,
}
"""The stores that a simulation can run on, by name."""
