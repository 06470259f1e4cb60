"""One SQLite connection on a thread of its own, and how the two kinds are opened: for writing, and for reading alone.

Everything runs as whole callables on that thread, never statement by statement: a cancelled caller would otherwise
leave a transaction open, and with it the write lock.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar, cast

import aiosqlite

from ergon_runtime.errors import StoreMissing, StoreUnavailable
from ergon_runtime.stores.sqlite import faults, origin, schema
from ergon_runtime.stores.sqlite.gate import SETTINGS, Gate
from ergon_runtime.stores.sqlite.transaction import begin, insist, snapshot

T = TypeVar("T")
Synchronous = Literal["full", "normal"]
_BUSY = 5.0
"""Seconds for which SQLite itself waits for a lock."""
_COMMON = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
)


class Connection(aiosqlite.Connection):
    """A connection whose thread runs whole callables."""

    def __init__(self, path: str, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True  # a store that somebody forgot to close must not keep the process alive
        self._path = path

    async def start(self) -> Connection:
        """Begin the thread and connect. Raises StoreError."""
        try:
            with faults.explained(self._path):
                await self
        except BaseException:
            # The thread has been told to stop; it must not be left to answer a loop that is closed by then.
            self._thread.join()
            raise
        return self

    @property
    def raw(self) -> sqlite3.Connection:
        """The connection itself, for objects whose methods only ever run within `run`."""
        return self._conn

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a callable on the connection's thread. It runs to its end even if the caller is cancelled. Raises
        StoreError."""
        if self._connection is None or not self._running:
            raise StoreUnavailable(f"store {self._path} is closed")
        execute = cast("Callable[..., Awaitable[T]]", self._execute)  # pyright: ignore[reportUnknownMemberType]  # untyped there
        with faults.explained(self._path):
            return await execute(work, self._connection)


async def open_writer(
    path: str, gate: Gate, *, create: bool, synchronous: Synchronous, patience: float, run_backup: bool
) -> Connection:
    """Open a store for writing, whose file `prepare` has seen to. Raises StoreError."""
    connection = await Connection(path, lambda: _dial(path, patience)).start()

    def set_up(conn: sqlite3.Connection) -> None:
        with snapshot(conn):
            empty = schema.recognise(conn, path) == 0
            if not (empty or run_backup):
                origin.check(conn, path)
        if empty and not create:
            raise StoreUnavailable(f"no store at {path}: the file is empty")
        with gate.writing(patience):
            _use_wal(conn, path, patience)
            for pragma in (*_COMMON, *SETTINGS, f"PRAGMA synchronous = {synchronous}"):
                conn.execute(pragma)
            begin(conn, patience)
            try:
                schema.migrate(conn, path)
                conn.execute("UPDATE counter SET n = n WHERE false")  # a file that SQLite opened read-only fails here
                conn.execute("COMMIT")
            finally:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")

    return await _set_up(connection, set_up)


async def open_reader(path: str) -> Connection:
    """Open a store that is there for reading alone; nothing is created or migrated. Raises StoreError."""
    _find(path)
    uri = Path(path).as_uri()

    def set_up(conn: sqlite3.Connection) -> None:
        with snapshot(conn):
            schema.require(conn, path)
        for pragma in (*_COMMON, "PRAGMA query_only = ON"):
            conn.execute(pragma)

    try:
        return await _set_up(await Connection(path, lambda: _dial(f"{uri}?mode=ro", _BUSY)).start(), set_up)
    except StoreUnavailable as error:
        if not (isinstance(error.__cause__, sqlite3.Error) and _at_rest(path)) or faults.busy(error.__cause__):
            raise
        # In a folder where SQLite cannot put its index of the log. Without a log it needs none.
        connection = Connection(path, lambda: _dial(f"{uri}?mode=ro&immutable=1", _BUSY))
        return await _set_up(await connection.start(), set_up)


def _find(path: str) -> None:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise StoreUnavailable(f"no folder {folder} for the store {path}; create it, or name another place")
    if os.path.isdir(path):
        raise StoreUnavailable(f"{path} is a folder; name a file in it, as in sqlite:///{path}/ergon.db")
    if not os.path.exists(path):
        raise StoreMissing(f"no store at {path}; start a worker or schedule a flow to create it")


def _at_rest(path: str) -> bool:
    """Whether all of the store is in its one file."""
    log = f"{path}-wal"
    return not os.path.exists(log) or os.path.getsize(log) == 0


def prepare(path: str, *, create: bool) -> Gate:
    """Create the file for its owner only, if it is not there and `create`: SQLite would let the world read it. Raises
    StoreUnavailable."""
    if not create or os.path.exists(path) or not os.path.isdir(os.path.dirname(path)):
        _find(path)
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return Gate(path)
    except OSError as error:
        raise StoreUnavailable(f"store {path} cannot be opened for writing: {error.strerror}") from error


def _dial(target: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        timeout=min(_BUSY, patience),
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        uri=target.startswith("file:"),
    )


async def _set_up(connection: Connection, work: Callable[[sqlite3.Connection], None]) -> Connection:
    try:
        await connection.run(work)
    except BaseException:
        await connection.close()
        raise
    return connection


def _use_wal(conn: sqlite3.Connection, path: str, patience: float) -> None:
    mode = insist(conn, "PRAGMA journal_mode = WAL", patience).fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(f"the place of store {path} does not support SQLite's WAL mode; use a local disk")
