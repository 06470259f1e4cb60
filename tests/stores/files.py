"""SQLite stores in files, for the tests of this folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from tests.stores.harness import new

ROOT = Path(__file__).resolve().parents[2]
READ_ONLY = SQLiteOptions(read_only=True)


def using(store: SQLiteStore, work: Callable[[SQLiteStore], Awaitable[object]]) -> None:
    """Open a store, do something with it, close it."""

    async def run() -> None:
        await store.open()
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(run())


async def nothing(_: SQLiteStore) -> None:
    """Opening and closing is all."""


async def create_a(store: SQLiteStore) -> None:
    await store.create(new("a"))


def raw(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def locks_are_told(folder: Path) -> bool:
    """Whether the kernel tells who has a lock on a file in this folder. Not every sandbox and file system does."""
    file, table = os.open(folder / "told", os.O_CREAT | os.O_RDWR), Path("/proc/locks")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 120)
        found = os.fstat(file)
        told = f"{os.getpid()} {os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino} 120 120"
        return table.exists() and told in table.read_text()
    finally:
        os.close(file)
