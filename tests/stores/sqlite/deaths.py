"""Processes that are killed within a system call of SQLite, or within a migration: the file is sound, and nothing
acknowledged is lost.

A process of its own lives the life of `broken_calls.py` and kills itself (SIGKILL) before or after the call that it is
told; what it was told has happened it writes to a pipe. Or it brings a file to the newest schema, and kills itself
before a statement of that.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore, schema
from tests.stores.sqlite.broken_calls import Disk, Life, count_calls
from tests.stores.sqlite.sound import Unsound, check_file
from tests.stores.sqlite.syscalls import faulty


def die_in(work: Callable[[int], None]) -> bytes:
    """Do it in another process, which gets the end of a pipe; what it wrote until it was killed. Raises Unsound."""
    reading, writing = os.pipe()
    child = os.fork()  # of a process with one thread, in which no store is open
    if child == 0:
        os.close(reading)
        try:
            work(writing)
        finally:
            os._exit(3)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise Unsound(f"it was to be killed, and ended with {status}: {told[-500:].decode()}")
    return told


class Told(Life):
    """A life that writes down what it was told has happened, at once."""

    def __init__(self, path: Path, disk: Disk, pipe: int) -> None:
        super().__init__(path, disk)
        self.pipe = pipe

    def note(self) -> None:
        facts = {"created": sorted(self.created), "entries": self.entries, "ended": sorted(self.ended)}
        os.write(self.pipe, json.dumps(facts).encode() + b"\n")


def _die_at(path: Path, number: int, synchronous: str) -> Callable[[int], None]:
    def live(pipe: int) -> None:
        def kill(call: int, name: str) -> int:
            if call == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        with faulty(kill):
            asyncio.run(Told(path, Disk(0, "none"), pipe).live(synchronous))

    return live


def deaths(step: int, first: int = 1) -> int:
    """A death at each `step`th call, under each durability; how many. Raises Unsound."""
    died, calls = 0, count_calls()
    for number in range(first, calls * 9 // 10, step):  # a life may make some calls less than another
        for synchronous in ("full", "normal", "off"):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "s.db"
                life = Life(path, Disk(0, "none"))
                life.disk.well = True
                try:
                    lines = die_in(_die_at(path, number, synchronous)).splitlines()
                    if lines:
                        facts = json.loads(lines[-1])
                        life.created, life.ended = set(facts["created"]), set(facts["ended"])
                        life.entries = facts["entries"]
                    asyncio.run(life.check())
                except Exception as error:
                    again = f"python -m tests.stores.sqlite_rig deaths {step} --first {number}"
                    raise Unsound(f"killed at call {number}, {synchronous}; again: {again}") from error
            died += 1
    return died


# Migrations


def _migrate_until(path: Path, number: int) -> Callable[[int], None]:
    def migrate(pipe: int) -> None:
        conn, done = sqlite3.connect(path, isolation_level=None), 0

        def kill(statement: str) -> None:
            nonlocal done
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

        conn.execute("PRAGMA journal_mode = WAL")
        conn.set_trace_callback(kill)
        conn.execute("BEGIN IMMEDIATE")
        schema.migrate(conn, str(path))
        conn.execute("COMMIT")
        conn.set_trace_callback(None)
        os.write(pipe, b"done")
        os.kill(os.getpid(), signal.SIGKILL)

    return migrate


def make_old(path: Path, version: int) -> None:
    """A store as an Ergon of an older schema has made it; of none, an empty file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        if version:
            migrations, newest = schema.MIGRATIONS, schema.VERSION
            schema.MIGRATIONS, schema.VERSION = migrations[:version], version
            try:
                conn.execute("BEGIN")
                schema.migrate(conn, str(path))
                conn.execute("COMMIT")
            finally:
                schema.MIGRATIONS, schema.VERSION = migrations, newest


def dying_migrations(step: int = 1) -> int:
    """From each older schema, a death before each `step`th statement; how many. Raises Unsound."""
    died = 0
    for version in range(schema.VERSION):
        number, whole = 1, False
        while not whole:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "s.db"
                make_old(path, version)
                whole = die_in(_migrate_until(path, number)) == b"done"
                _check_migrated(path, schema.VERSION if whole else version)
            died += 1
            number += step
    return died


def _check_migrated(path: Path, version: int) -> None:
    """It is of one schema or the other, never between, and the next to open it brings it to the newest."""
    check_file(path)
    with closing(sqlite3.connect(path)) as conn:
        found = conn.execute("PRAGMA user_version").fetchone()[0]
        tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if found != version or ("doing" in tables) != (version > 1) or bool(tables) != bool(version):
        raise Unsound(f"a migration that died left version {found} with tables {sorted(tables)}")

    async def open_it() -> None:
        store = SQLiteStore(path, SQLiteOptions(synchronous="normal"))
        await store.open()
        await store.identity()
        await store.close()

    asyncio.run(open_it())
    with closing(sqlite3.connect(path)) as conn:
        if conn.execute("PRAGMA user_version").fetchone()[0] != schema.VERSION:
            raise Unsound("the next to open the store has not brought it to the newest schema")
