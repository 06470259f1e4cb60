"""Commits of a SQLite store are whole: for who dies amid them, for who reads meanwhile, and for who is answered."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime.core.flows import Status
from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteStore, writer
from tests.stores.harness import Bench, Clock, Held, new, signal

GO = "signal:go"
Check = Callable[[Bench], Awaitable[None]]


async def bench(folder: Path) -> Bench:
    clock = Clock()
    store = SQLiteStore(folder / "store.db", clock=clock)
    await store.open()
    return Bench(store, clock)


def scenario(work: Callable[[Bench, Path], Awaitable[None]]) -> Callable[[Path], None]:
    """Make a test of an async scenario on one store, and its file."""

    def test(tmp_path: Path) -> None:
        async def run() -> None:
            b = await bench(tmp_path)
            try:
                await work(b, tmp_path / "store.db")
            finally:
                await b.store.close()

        asyncio.run(run())

    return test


def dies_at_each_transaction(
    folder: Path, commit: Callable[[Bench], Awaitable[Callable[[], Awaitable[object]]]], check: Check
) -> None:
    """Commit, and let the process die after no transaction, after the first, and so on, until the commit is answered.
    Each time `check` looks at what is left."""

    async def one(left: int) -> bool:
        b = await bench(folder / str(left))
        send = await commit(b)
        with pytest.MonkeyPatch.context() as patch:
            _let_through(left, patch)
            try:
                await send()
                answered = True
            except StoreUnavailable:
                answered = False
        await check(b)
        await b.store.close()
        return answered

    for left in itertools.count():
        (folder / str(left)).mkdir()
        if asyncio.run(one(left)):
            assert left, "a commit without a transaction"
            return


def _let_through(left: int, patch: pytest.MonkeyPatch) -> None:
    real, numbers = writer.run_group, itertools.count()

    def run(conn: sqlite3.Connection, works: Sequence[Any], *rest: Any) -> list[Any]:
        if next(numbers) < left:
            return real(conn, works, *rest)
        return [(None, StoreUnavailable("dead"))] * len(works)

    patch.setattr(writer, "run_group", run)


def test_k3_death_after_any_transaction_of_an_end_leaves_no_parent_without_the_result(tmp_path: Path) -> None:
    async def end(b: Bench) -> Callable[[], Awaitable[object]]:
        parent = await b.begin("a")
        await parent.listen("child:a/1", creates=(new("a/1", parent="a"),))
        return (await b.take("a/1")).end

    async def check(b: Bench) -> None:
        ended = (await b.row("a/1")).status.ended
        assert await b.claimed(ids=("a",)) == (["a"] if ended else [])

    dies_at_each_transaction(tmp_path, end, check)


def test_r7_death_after_any_transaction_of_a_suspension_loses_no_wake_up(tmp_path: Path) -> None:
    async def suspend(b: Bench) -> Callable[[], Awaitable[object]]:
        held: Held = await b.begin("a")
        await b.store.send(signal("go", to="a"))
        return lambda: held.listen(GO)

    async def check(b: Bench) -> None:
        row = await b.row("a")
        assert row.due == b.clock.now if row.status is Status.WAITING else row.owner

    dies_at_each_transaction(tmp_path, suspend, check)


@scenario
async def test_r10_nobody_is_answered_before_the_commit_of_the_group(b: Bench, path: Path) -> None:
    await b.store.create(new("a"))
    other = sqlite3.connect(path)
    assert other.execute("SELECT id FROM flow").fetchall() == [("a",)]
    other.close()


@scenario
async def test_r10_writes_that_were_asked_for_are_done_before_the_store_closes(b: Bench, path: Path) -> None:
    asked = asyncio.create_task(b.store.create(new("a")))
    await asyncio.sleep(0)
    await b.store.close()
    assert await asked


@scenario
async def test_reader_sees_a_commit_whole_or_not_at_all(b: Bench, path: Path) -> None:
    """A commit comes between the two queries that read a flow."""
    await b.waiting("a", GO)
    assert isinstance(b.store, SQLiteStore)
    opened = b.store._opened
    assert opened is not None

    def commit_now(statement: str) -> None:
        if "FROM wait" in statement:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("DELETE FROM wait")
            other.close()

    await opened.connections[0].run(lambda conn: conn.set_trace_callback(commit_now))
    assert [wait.channel for wait in (await b.row("a")).waits] == [GO]
    assert (await b.row("a")).waits == ()
