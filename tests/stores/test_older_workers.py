"""Workers of an older Ergon at a store, which do not tell what they do; and what is left of workers that are gone."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from pathlib import Path

import pytest
from redis import Redis

from ergon_runtime import SchemaMismatch, Worker, flow
from ergon_runtime.core.flows import Beat, WorkerRow
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.store import RedisStore
from ergon_runtime.stores.rules import utc_now
from ergon_runtime.stores.sqlite import Operations, SQLiteOptions, SQLiteStore, schema
from tests.redis_server import shared_server
from tests.stores.files import READ_ONLY, raw, using
from tests.stores.harness import new

OLD_BEAT = "INSERT OR REPLACE INTO worker VALUES (?, ?, ?, ?, ?, ?, ?)"
"""How schema 1 writes a sign of life."""


def old_beat(conn: sqlite3.Connection) -> None:
    now = utc_now()
    conn.execute(OLD_BEAT, ("w", '["lane"]', "host", 7, 3, now, now + 60_000))


async def read(store: Store) -> None:
    """The worker is there, and tells nothing of what it does."""
    (row,) = await store.workers()
    assert (row.worker, row.lanes, row.concurrency, row.busy, row.doing) == ("w", ("lane",), 3, 0, b"")


async def beat_and_sign_off(store: Store) -> list[WorkerRow]:
    for worker in ("gone", "silent", "w"):
        await store.extend([], 1000, Beat(worker, ("lane",), 60_000, busy=2, doing=b"x"))
    await store.extend([], 1000, Beat("gone", (), 0))
    await store.extend([], 1000, Beat("silent", (), 1))
    return await store.workers()


@pytest.mark.parametrize("options", [SQLiteOptions(), READ_ONLY], ids=["write", "read"])
def test_sqlite_file_of_schema_1_is_read_and_migrated(tmp_path: Path, options: SQLiteOptions) -> None:
    path = tmp_path / "s.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        patch.setattr(schema, "VERSION", 1)
        conn = raw(path)
        conn.execute("PRAGMA journal_mode = wal")
        conn.execute("BEGIN")
        schema.migrate(conn, "")
        old_beat(conn)
        conn.execute("COMMIT")
        conn.close()
    using(SQLiteStore(path, options), read)
    conn = raw(path)
    assert conn.execute("PRAGMA user_version").fetchone()[0] == (1 if options is READ_ONLY else 2)
    conn.close()


@flow(name="older_worker")
async def taken_over() -> None: ...


def test_sqlite_worker_ends_when_a_newer_ergon_takes_its_store_over(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario(store: SQLiteStore) -> None:
        running = await Worker(store).register(taken_over).start()
        conn = raw(path)
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
        Operations(conn).create(new("a", lane=running.lanes[0]))
        conn.execute("COMMIT")
        with pytest.raises(SchemaMismatch, match="needs an Ergon that writes schema 99"):
            await asyncio.wait_for(running.join(), 30)
        await running.shutdown()
        assert conn.execute("SELECT status, recoveries FROM flow").fetchall() == [("pending", 0)]
        conn.close()

    using(SQLiteStore(path), scenario)


def test_sqlite_sign_of_life_of_an_older_worker_hides_what_a_newer_of_that_name_did(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario(store: SQLiteStore) -> None:
        assert [row.busy for row in await beat_and_sign_off(store)][-1] == 2
        conn = raw(path)
        conn.execute("DELETE FROM worker")
        old_beat(conn)
        conn.execute("UPDATE worker SET seen = seen + 1")  # never the very millisecond
        conn.close()
        await read(store)

    using(SQLiteStore(path), scenario)


def test_sqlite_forgets_what_workers_did_that_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def scenario(store: SQLiteStore) -> None:
        await beat_and_sign_off(store)
        conn = raw(path)
        assert conn.execute("SELECT worker FROM doing").fetchall() == [("silent",), ("w",)]
        await store.prune(utc_now() + 1000)
        assert conn.execute("SELECT worker FROM doing").fetchall() == [("w",)]
        conn.close()

    using(SQLiteStore(path), scenario)


def test_redis_sign_of_life_of_an_older_worker_tells_nothing_and_what_workers_did_goes_with_them() -> None:
    space = secrets.token_hex(8)
    store = RedisStore(parse_redis(f"{shared_server().url}?namespace={space}"))
    server = Redis.from_url(shared_server().url)

    async def scenario() -> None:
        await store.open()
        try:
            assert [row.busy for row in await beat_and_sign_off(store)][-1] == 2
            assert set(server.hkeys(f"{{{space}}}:doing")) == {b"silent", b"w"}
            await store.prune(utc_now() + 1000)
            assert server.hkeys(f"{{{space}}}:doing") == [b"w"]
            until = utc_now() + 60_000
            old = "redis.call('HSET', KEYS[1], 'w', cmsgpack.pack({'[\"lane\"]', 'host', '7', '3', '1', ARGV[1]}))"
            server.eval(old, 1, f"{{{space}}}:workers", until)
            await read(store)
        finally:
            await store.close()

    try:
        asyncio.run(scenario())
    finally:
        server.close()
