"""SQLiteStore: the contract over one SQLite file. It owns two connections, the writer and the watch; it decides
nothing.

Writes go through the writer's queue, reads run on a connection of their own, each as one callable on its thread.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

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
from ergon_runtime.errors import StoreError, StoreUnavailable
from ergon_runtime.stores import rules
from ergon_runtime.stores.bell import Told
from ergon_runtime.stores.contract import StoreIdentity
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record
from ergon_runtime.stores.sqlite import places, schema, verifying
from ergon_runtime.stores.sqlite.connection import Connection, Synchronous, open_reader, open_writer, prepare
from ergon_runtime.stores.sqlite.operations import Operations
from ergon_runtime.stores.sqlite.transaction import snapshot
from ergon_runtime.stores.sqlite.watch import Watch
from ergon_runtime.stores.sqlite.writer import Writer

T = TypeVar("T")
_DURABILITY: dict[Synchronous, str] = {
    "full": "full: what was acknowledged survives a power cut",
    "normal": "normal: what was acknowledged survives a crash of the process, but perhaps not a power cut",
}


@dataclass(frozen=True, slots=True)
class SQLiteOptions:
    """How to open a file. `create`: make it if it is not there. `read_only`: create, migrate and write nothing.
    `patience`: seconds to wait for another process's lock. `network`: take a file on a network file system too.
    `run_backup`: write to a backup though the store that it was made of is still there."""

    create: bool = True
    read_only: bool = False
    synchronous: Synchronous = "full"
    patience: float = 10.0
    network: bool = False
    run_backup: bool = False


class SQLiteStore:
    """A store in a SQLite file on a local disk, shared by any number of processes."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        options: SQLiteOptions | None = None,
        clock: rules.Clock = rules.utc_now,
        token: rules.TokenSource = rules.new_token,
    ) -> None:
        self._path = os.path.realpath(path)
        self._options = options or SQLiteOptions()
        self._clock = clock
        self._token = token
        self._told = Told()
        self._opened: _Opened | None = None

    async def open(self) -> None:
        """Open the file; idempotent. Raises StoreUnavailable, StoreCorrupt, SchemaMismatch."""
        if self._opened is None:
            self._opened = await self._open()

    async def close(self) -> None:
        """Finish what is queued and let go of the file; idempotent."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        await opened.watch.close()
        if opened.writer is not None:
            await opened.writer.close()
        for connection in opened.connections:
            await connection.close()

    def clone(self) -> SQLiteStore:
        return SQLiteStore(self._path, self._options, self._clock, self._token)

    async def identity(self) -> StoreIdentity:
        def facts(conn: sqlite3.Connection) -> StoreIdentity:
            return StoreIdentity(
                id=schema.meta(conn, "store_id"),
                url=f"sqlite:///{self._path}",
                hash_seed=schema.meta(conn, "hash_seed"),
                durability=_DURABILITY[self._options.synchronous],
                copy_of=schema.copy_of(conn),
                key_checks=schema.key_checks(conn),
            )

        return await self._now_open.connections[0].run(facts)

    async def create(self, flow: NewFlow) -> bool:
        return await self._write(lambda do: do.create(flow))

    async def claim(self, request: ClaimRequest) -> Claims:
        """A look first: an idle worker takes no lock."""
        nothing = await self._read(lambda do: do.peek(request))
        return nothing if nothing is not None else await self._write(lambda do: do.claim(request))

    async def commit(self, commit: Commit) -> CommitReply:
        return await self._write(lambda do: do.commit(commit))

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return await self._write(lambda do: do.extend(leases, length, beat))

    async def send(self, send: Send) -> bool:
        return await self._write(lambda do: do.send(send))

    async def get(self, flow_id: str) -> FlowRow | None:
        return await self._read(lambda do: do.get(flow_id))

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return await self._read(lambda do: do.journal(flow_id, start, limit))

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return await self._read(lambda do: do.list(query))

    async def workers(self) -> builtins.list[WorkerRow]:
        return await self._read(lambda do: do.workers())

    async def now(self) -> int:
        return self._clock()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        """The first wait returns at once: what changed before it is not known to have been seen."""
        watch = self._now_open.watch
        strokes, heard = self._told.get(worker)
        await watch.wait(strokes, timeout)
        strokes = watch.bell.strokes
        since = heard
        news, heard = await self._read(lambda do: do.heard(worker, since))
        self._told.note(worker, strokes, heard)
        return news

    async def prune(self, before: int) -> int:
        return await self._write(lambda do: do.prune(before))

    async def count(self, kind: Kind) -> int:
        return await self._read(lambda do: do.count(kind))

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        return await self._read(lambda do: do.records(kind, after, limit))

    async def restore(self, piece: Record | JournalPart) -> None:
        await self._write(lambda do: do.restore(piece))

    async def begin_copy(self, source: StoreIdentity) -> None:
        await self._write(lambda do: do.begin_copy(source, self._path))

    async def end_copy(self) -> None:
        await self._write(lambda do: do.end_copy())

    async def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        return await self._write(lambda do: do.add_key_check(key, check, mixed=mixed))

    async def verify(self) -> builtins.list[str]:
        """Question by question: a look at the whole of a large file would hold up its log."""
        found: builtins.list[str] = []
        for number in range(verifying.questions()):
            found += await self._read(partial(Operations.verify_part, number=number))
        return found[: rules.DAMAGE]

    @property
    def _now_open(self) -> _Opened:
        if self._opened is None:
            # No outage, which callers would sit out.
            raise StoreError(f"store {self._path} is not open; use it in its block, and shut its workers down in there")
        return self._opened

    async def _open(self) -> _Opened:
        if not self._options.network:
            places.check(self._path)
        if self._options.read_only:
            reader = await open_reader(self._path)
            return _Opened((reader,), self._operations(reader), None, None, Watch(self._path, reader))
        options = self._options
        gate = prepare(self._path, create=options.create)
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(gate.close)
            first = await open_writer(
                self._path,
                gate,
                create=options.create,
                synchronous=options.synchronous,
                patience=options.patience,
                run_backup=options.run_backup,
            )
            undo.push_async_callback(first.close)
            reader = await open_reader(self._path)
            undo.pop_all()
        writing, watch = self._operations(first), Watch(self._path, first)
        writer = Writer(first, gate, self._path, options.patience, _after(writing, watch))
        return _Opened((reader, first), self._operations(reader), writing, writer, watch)

    def _operations(self, connection: Connection) -> Operations:
        return Operations(connection.raw, self._clock, self._token)

    async def _write(self, work: Callable[[Operations], T]) -> T:
        opened = self._now_open
        if opened.writer is None or opened.writing is None:
            raise StoreUnavailable(f"store {self._path} is open for reading only")
        operations = opened.writing
        return await opened.writer.write(lambda: work(operations))

    async def _read(self, work: Callable[[Operations], T]) -> T:
        operations = self._now_open.reading

        def read(conn: sqlite3.Connection) -> T:
            with snapshot(conn):
                return work(operations)

        return await self._now_open.connections[0].run(read)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What an open store holds; the first connection is the one for reading. A store to be read has no writer."""

    connections: tuple[Connection, ...]
    reading: Operations
    writing: Operations | None
    writer: Writer | None
    watch: Watch


def _after(operations: Operations, watch: Watch) -> Callable[[], None]:
    """Ring after a group that changed what somebody may wait for."""
    stirred = operations.stirred

    def ring() -> None:
        nonlocal stirred
        if operations.stirred > stirred:
            stirred = operations.stirred
            watch.ring()

    return ring
