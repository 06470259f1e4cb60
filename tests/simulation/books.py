"""The stores of a simulation, run inline: their synchronous cores, and what only an auditor may read in them."""

from __future__ import annotations

import builtins
import sqlite3
import weakref
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
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind, Numbered, Place, Record
from ergon_runtime.stores.sqlite import schema
from ergon_runtime.stores.sqlite.operations import Operations
from ergon_runtime.stores.sqlite.transaction import transaction

T = TypeVar("T")
EVERYTHING = 1_000_000


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
    def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]: ...
    def restore(self, piece: Record | JournalPart) -> None: ...


class Books(Protocol):
    """A core, and what an auditor reads besides."""

    @property
    def core(self) -> Core: ...

    def token(self, flow: str) -> str | None:
        """The token of the flow's lease, now."""
        ...

    def close(self) -> None: ...


def kept(core: Core) -> list[tuple[str, str]]:
    """(channel, id) of every message that lies somewhere in a store, once per place."""
    found: list[Numbered] = []
    for piece in core.records(Kind.FLOWS, None, EVERYTHING):
        if isinstance(piece, FlowRecord):
            reserved = [wait.reserved for wait in piece.waits if wait.reserved is not None]
            found += [*piece.mail, *piece.aside, *reserved]
    found += [piece for piece in core.records(Kind.KEPT, None, EVERYTHING) if isinstance(piece, Numbered)]
    return [(each.message.channel, each.message.id) for each in found]


class MemoryBooks:
    """The memory store."""

    def __init__(self, clock: Callable[[], int], token: Callable[[], str]) -> None:
        self.core = MemoryState(clock, token)

    def token(self, flow: str) -> str | None:
        return self.core.flows[flow].token

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

    def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        return self._operations.records(kind, after, limit)

    def restore(self, piece: Record | JournalPart) -> None:
        self._write(lambda: self._operations.restore(piece))

    def _write(self, work: Callable[[], T]) -> T:
        with transaction(self._conn):
            return work()


class SQLiteBooks:
    """The SQLite store, on a connection in memory: the same statements without a disk."""

    def __init__(self, clock: Callable[[], int], token: Callable[[], str]) -> None:
        self._conn = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        weakref.finalize(self, self._conn.close)  # whoever throws a history away
        self._conn.execute("BEGIN IMMEDIATE")
        schema.migrate(self._conn, ":memory:")
        self._conn.execute("COMMIT")
        self.core: Core = _Transactions(self._conn, Operations(self._conn, clock, token))

    def token(self, flow: str) -> str | None:
        found: str | None = self._conn.execute("SELECT token FROM flow WHERE id = ?", (flow,)).fetchone()[0]
        return found

    def close(self) -> None:
        self._conn.close()


def _redis(clock: Callable[[], int], token: Callable[[], str]) -> Books:
    from tests.simulation.books_redis import RedisBooks  # starts a server, so only when it is asked for

    return RedisBooks(clock, token)


BOOKS: dict[str, Callable[[Callable[[], int], Callable[[], str]], Books]] = {
    "memory": MemoryBooks,
    "sqlite": SQLiteBooks,
    "redis": _redis,
}
"""The stores that a simulation can run on, by name."""
