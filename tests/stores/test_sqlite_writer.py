"""The one writer of a SQLite store: locks, groups, cancelled callers, wake-ups, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ergon_runtime.core.flows import ClaimRequest, Commit, FlowQuery
from ergon_runtime.errors import Conflict, StoreError, StoreUnavailable
from ergon_runtime.stores.sqlite import Operations, SQLiteOptions, SQLiteStore, claims, transaction, watch
from tests.stores.files import ROOT, nothing, raw, using
from tests.stores.harness import LANE, new


def writer_of(store: SQLiteStore) -> sqlite3.Connection:
    opened = store._opened
    assert opened is not None
    return opened.connections[1].raw


# Locks


def test_lock_of_another_process_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def contend(store: SQLiteStore) -> None:
        conn = raw(path)
        conn.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.create(new("a")))
        assert await store.get("a") is None  # readers are not held up
        conn.execute("ROLLBACK")
        conn.close()
        assert await asyncio.wait_for(writing, 5)

    using(SQLiteStore(path), contend)


def test_lock_that_is_found_taken_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def contend(store: SQLiteStore) -> None:
        conn, twice, begins = raw(path), asyncio.Event(), list[str]()
        loop, writing = asyncio.get_running_loop(), writer_of(store)

        def count(statement: str) -> None:
            begins.append(statement)
            if begins.count("BEGIN IMMEDIATE") == 2:
                loop.call_soon_threadsafe(twice.set)

        writing.execute("PRAGMA busy_timeout = 0")  # else SQLite itself waits, unseen
        writing.set_trace_callback(count)
        conn.execute("BEGIN IMMEDIATE")
        created = asyncio.create_task(store.create(new("a")))
        waiting = asyncio.create_task(twice.wait())
        await asyncio.wait({created, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert not created.done()
        conn.execute("ROLLBACK")
        conn.close()
        assert await created

    using(SQLiteStore(path), contend)


def test_write_holds_the_lock_from_its_first_look_on(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def contend(store: SQLiteStore) -> None:
        refused: list[str] = []

        def intrude(statement: str) -> None:
            if statement.startswith("SELECT") and not refused:
                other = sqlite3.connect(path, timeout=0)
                try:
                    other.execute("UPDATE counter SET n = n")
                    other.commit()
                except sqlite3.OperationalError as error:
                    refused.append(str(error))
                other.close()

        writer_of(store).set_trace_callback(intrude)
        assert await store.create(new("a"))
        assert refused == ["database is locked"]

    using(SQLiteStore(path), contend)


def test_lock_held_too_long_is_unavailable_and_nothing_is_stranded(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def contend(store: SQLiteStore) -> None:
        conn = raw(path)
        conn.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="is locked by another"):
            await store.create(new("a"))
        conn.execute("ROLLBACK")
        assert await store.create(new("a"))
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("ROLLBACK")
        conn.close()

    using(SQLiteStore(path, SQLiteOptions(patience=0.05)), contend)


def test_cancelled_callers_strand_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def cancel(store: SQLiteStore) -> None:
        for n in range(100):
            tasks = [asyncio.create_task(store.create(new(f"f{n}.{m}"))) for m in range(3)]
            for _ in range(n % 7):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await store.create(new("after"))
        conn = sqlite3.connect(path, isolation_level=None, timeout=0)
        conn.execute("BEGIN IMMEDIATE")
        conn.execute("ROLLBACK")
        conn.close()

    using(SQLiteStore(path), cancel)


def test_answer_for_a_cancelled_caller_does_not_stop_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def cancel(store: SQLiteStore) -> None:
        conn = raw(path)
        conn.execute("BEGIN IMMEDIATE")
        abandoned = asyncio.create_task(store.create(new("a")))
        other = asyncio.create_task(store.create(new("b")))
        await asyncio.sleep(0)  # queued
        await asyncio.sleep(0)  # begun
        abandoned.cancel()
        conn.execute("ROLLBACK")
        conn.close()
        assert await asyncio.wait_for(other, 5)
        assert await store.get("a") is not None  # it had been handed over

    using(SQLiteStore(path), cancel)


def test_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    with pytest.raises(StoreError, match="not open"):
        asyncio.run(store.get("a"))

    async def close_twice(opened: SQLiteStore) -> None:
        await opened.close()
        await opened.close()
        with pytest.raises(StoreError, match="not open"):
            await opened.create(new())

    using(store, close_twice)


# Groups


def test_error_of_one_operation_leaves_its_group_alone(tmp_path: Path) -> None:
    async def group(store: SQLiteStore) -> None:
        await store.create(new("taken"))
        outcomes = await asyncio.gather(
            store.create(new("a")),
            store.create(new("taken", args=b"other")),
            store.create(new("b")),
            store.create(new("huge", priority=2**80)),
            store.create(new("c")),
            return_exceptions=True,
        )
        assert [outcome is True for outcome in outcomes] == [True, False, True, False, True]
        assert await store.get("huge") is None

    using(SQLiteStore(tmp_path / "s.db"), group)


def test_refused_commit_of_a_group_writes_nothing(tmp_path: Path) -> None:
    async def group(store: SQLiteStore) -> None:
        for flow in ("a", "taken"):
            await store.create(new(flow))
        (claim,) = (await store.claim(ClaimRequest("w", 1000, 1, ids=("a",)))).claims
        creates = new("free"), new("taken", args=b"other")
        refused = Commit("c", claim.lease, None, 0, 1000, entries=(b"1",), creates=creates)
        outcomes = await asyncio.gather(store.create(new("b")), store.commit(refused), return_exceptions=True)
        assert (outcomes[0], type(outcomes[1])) == (True, Conflict)
        assert await store.journal("a", 0, 1) == []
        assert {row.id for row in await store.list(FlowQuery())} == {"a", "taken", "b"}

    using(SQLiteStore(tmp_path / "s.db"), group)


def test_full_disk_fails_only_what_does_not_fit(tmp_path: Path) -> None:
    """SQLITE_FULL may end the whole transaction: the rest of the group must be tried again, one by one."""

    async def group(store: SQLiteStore) -> None:
        await store.create(new("before"))
        opened = store._opened
        assert opened is not None
        conn = opened.connections[1].raw
        pages = conn.execute("PRAGMA page_count").fetchone()[0]
        conn.execute(f"PRAGMA max_page_count = {pages + 20}")
        outcomes = await asyncio.gather(
            store.create(new("a")),
            store.create(new("big", args=b"x" * 1_000_000)),
            store.create(new("b")),
            return_exceptions=True,
        )
        assert outcomes[0] is outcomes[2] is True
        assert isinstance(outcomes[1], StoreUnavailable)
        assert "full" in str(outcomes[1])
        assert {row.id for row in await store.list(FlowQuery())} == {"before", "a", "b"}

    using(SQLiteStore(tmp_path / "s.db"), group)


def test_transaction_rolls_back_on_any_error(tmp_path: Path) -> None:
    using(SQLiteStore(tmp_path / "s.db"), nothing)
    conn = raw(tmp_path / "s.db")
    operations = Operations(conn)

    def fail() -> None:
        with transaction(conn):
            operations.create(new("a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert operations.get("a") is None
    assert not conn.in_transaction
    conn.close()


# Several handles


def test_two_handles_in_two_threads_wake_each_other(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    asleep, woken = threading.Event(), threading.Event()

    async def sleep(store: SQLiteStore) -> None:
        await store.wait("v", 60)
        asleep.set()
        await store.wait("v", 60)
        woken.set()

    async def wake(store: SQLiteStore) -> None:
        thread = threading.Thread(target=using, args=(store.clone(), sleep))
        thread.start()
        assert await asyncio.to_thread(asleep.wait, 10)
        await store.create(new())
        assert await asyncio.to_thread(woken.wait, 10)
        thread.join()

    using(SQLiteStore(path), wake)


def change_by_another_process(path: Path) -> None:
    """A change that wakes a handle. A bare connection stands for another process: no bell of ours rings for it."""

    async def sleep(store: SQLiteStore) -> None:
        await store.wait("w", 60)
        assert await store.wait("w", 0.02) == frozenset()  # from here on it knows the file's version
        conn = raw(path)
        with transaction(conn):
            Operations(conn).create(new())
        conn.close()
        await asyncio.wait_for(store.wait("w", 60), 5)

    using(SQLiteStore(path), sleep)


def test_change_by_another_process_wakes_a_handle(tmp_path: Path) -> None:
    change_by_another_process(tmp_path / "s.db")


def test_change_after_a_quiet_while_wakes_a_handle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is not asked again until the log has changed."""
    monkeypatch.setattr(watch.time, "time_ns", lambda: 2**62)
    change_by_another_process(tmp_path / "s.db")


def test_commit_that_is_long_on_its_way_to_the_disk_wakes_a_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen some time after its log was written: that the log has not changed since tells nothing then."""
    written = 10**18
    monkeypatch.setattr(watch.Watch, "_stamp", lambda _: (written, 4096, 1))
    monkeypatch.setattr(watch.time, "time_ns", lambda: written + 200_000_000)
    change_by_another_process(tmp_path / "s.db")


def test_own_steps_do_not_wake_a_worker(tmp_path: Path) -> None:
    async def step(store: SQLiteStore) -> None:
        await store.create(new())
        claim = (await store.claim(ClaimRequest("w", 1000, 1, (LANE,)))).claims[0]
        await store.wait("w", 60)
        sleeping = asyncio.create_task(store.wait("w", 60))
        await store.commit(Commit("c", claim.lease, None, 0, 1000, entries=(b"x",)))
        done, _ = await asyncio.wait({sleeping}, timeout=0.05)
        assert not done
        sleeping.cancel()

    using(SQLiteStore(tmp_path / "s.db"), step)


def test_many_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    async def race() -> None:
        stores = [SQLiteStore(tmp_path / "s.db") for _ in range(8)]
        await asyncio.gather(*(store.open() for store in stores))
        assert len({(await store.identity()).id for store in stores}) == 1
        made = await asyncio.gather(*(store.create(new()) for store in stores))
        assert sum(made) == 1
        for store in stores:
            await store.close()

    asyncio.run(race())


# Crashes

_WRITE = """
import asyncio, itertools, sys
from ergon_runtime.core.flows import NewFlow
from ergon_runtime.stores.sqlite import SQLiteStore
async def write(store, lane):
    for n in itertools.count():
        flow = f"{lane}.{n}"
        await store.create(NewFlow(flow, "T", None, "l", b"", "s"))
        print(flow, flush=True)
async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    await asyncio.gather(*(write(store, lane) for lane in range(10)))
asyncio.run(main())
"""


def test_killed_writer_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with subprocess.Popen([sys.executable, "-c", _WRITE, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as p:
        assert p.stdout is not None
        acknowledged = [p.stdout.readline().strip() for _ in range(300)]
        p.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in p.stdout if line.endswith("\n")]

    async def look(store: SQLiteStore) -> None:
        stored = {row.id for row in await store.list(FlowQuery(limit=1_000_000))}
        assert stored >= set(acknowledged)

    using(SQLiteStore(path), look)
    conn = raw(path)
    assert conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    conn.close()


# Queries


def test_claims_use_indexes_and_sort_nothing(tmp_path: Path) -> None:
    using(SQLiteStore(tmp_path / "s.db"), nothing)
    conn = raw(tmp_path / "s.db")
    values = {"fingerprint": None, "under": None, "lane": "l", "now": 1, "priority": 5, "length": 9, "limit": 3}
    for name in ("_PRIORITY", "_DUE", "_LATER", "_LENGTH", "_LAPSED", "_LAPSES"):
        given = ("l", 1) if name in {"_PRIORITY", "_LENGTH"} else values
        plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {getattr(claims, name)}", given)]
        assert any("INDEX flow_" in line for line in plan), (name, plan)
        scans = [line for line in plan if line.startswith("SCAN") and not line.startswith("SCAN top ")]
        assert not scans, (name, plan)  # `top` is the request's own list
        assert not [line for line in plan if "TEMP B-TREE" in line], (name, plan)
    conn.close()


def test_errors_are_store_errors(tmp_path: Path) -> None:
    async def misuse(store: SQLiteStore) -> None:
        with pytest.raises(StoreError, match="please report"):
            await store.create(new(args=None))

    using(SQLiteStore(tmp_path / "s.db"), misuse)


_LEAVE_OPEN = """
import asyncio, sys
from ergon_runtime.stores.sqlite import SQLiteStore
asyncio.run(SQLiteStore(sys.argv[1]).open())
"""


def test_unclosed_store_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _LEAVE_OPEN, str(tmp_path / "s.db")], cwd=ROOT, timeout=30, check=True)
