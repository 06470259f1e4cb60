"""SQLite stores in files, for the tests of this folder."""

from __future__ import annotations

import asyncio
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
