"""The gate between checkpoints and writers: logs stay short, writers are never met, and nobody waits without end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore, gate, holders
from ergon_runtime.stores.sqlite.gate import SETTINGS, Gate
from tests.stores.files import create_a, locks_are_told, nothing, using
from tests.stores.harness import new


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def key(path: Path) -> Iterator[Gate]:
    made = Gate(str(path))
    yield made
    made.close()


@pytest.fixture
def other(path: Path) -> Iterator[Gate]:
    made = Gate(str(path))
    yield made
    made.close()


def _with_long_log(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    for setting in SETTINGS:
        conn.execute(setting)
    conn.execute("CREATE TABLE t (x)")
    conn.execute("INSERT INTO t VALUES (zeroblob(5000000))")
    return conn


def _log(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


def _frames(conn: sqlite3.Connection) -> int:
    """How many pages the log holds once something more is written."""
    conn.execute("INSERT INTO t VALUES (1)")
    frames: int = conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return frames


def test_long_log_is_begun_anew_in_its_file_when_nobody_writes(path: Path, key: Gate, other: Gate) -> None:
    conn = _with_long_log(path)
    length = _log(path)
    with other.writing(0):
        key.checkpoint(conn)
    assert _frames(conn) > 1000
    key.checkpoint(conn)
    assert _frames(conn) < 10
    assert 5_000_000 < length <= _log(path) < length + 5_000
    conn.close()


def test_log_begun_anew_is_left_alone_until_it_is_long_again(
    path: Path, key: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn, cuts, empty = _with_long_log(path), list[bool](), gate._empty

    def noted(conn: sqlite3.Connection, *, cut: bool, wait: int) -> None:
        cuts.append(cut)
        empty(conn, cut=cut, wait=wait)

    monkeypatch.setattr(gate, "_empty", noted)
    key.checkpoint(conn)
    for _ in range(3):
        assert _frames(conn) < 10
        key.checkpoint(conn)
    conn.execute("INSERT INTO t VALUES (zeroblob(4000000))")
    key.checkpoint(conn)
    assert cuts == [False]
    conn.execute("INSERT INTO t VALUES (zeroblob(300000))")
    key.checkpoint(conn)
    assert cuts == [False, False]
    assert _frames(conn) < 10
    conn.close()


def test_very_long_log_is_cut_off(path: Path, key: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_NEED", 4_500_000)
    conn = _with_long_log(path)
    key.checkpoint(conn)
    assert _log(path) == 0
    conn.close()


def test_reader_holds_a_checkpoint_up_without_an_error(path: Path, key: Gate) -> None:
    conn = _with_long_log(path)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    key.checkpoint(conn)
    assert _frames(conn) > 1000
    reader.execute("COMMIT")
    key.checkpoint(conn)
    assert _frames(conn) < 10
    assert conn.execute("PRAGMA busy_timeout").fetchone()[0] == 5000
    reader.close()
    conn.close()


def test_checkpoint_that_is_needed_waits_for_a_reader_who_leaves_soon(
    path: Path, key: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_NEED", 0)
    monkeypatch.setattr(gate, "_READERS", 20_000)
    conn, begun, ended = _with_long_log(path), threading.Event(), threading.Event()
    reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()

    def leave() -> None:
        assert begun.wait(20)
        ended.wait(0.05)  # a checkpoint that does not wait has given up by then
        reader.execute("COMMIT")

    leaving = threading.Thread(target=leave)
    leaving.start()
    conn.set_trace_callback(lambda statement: begun.set() if "wal_checkpoint" in statement else None)
    key.checkpoint(conn)
    ended.set()
    leaving.join(20)
    assert _log(path) == 0
    reader.close()
    conn.close()


def test_caller_is_answered_before_the_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    async def write(store: SQLiteStore) -> None:
        monkeypatch.setattr(Gate, "checkpoint", lambda _gate, _conn: answered.wait(20))
        assert await asyncio.wait_for(store.create(new("a")), 10)
        answered.set()

    using(SQLiteStore(path), write)


def test_checkpoint_that_is_needed_lets_writers_leave_and_no_new_one_in(
    path: Path, key: Gate, other: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the turnstile a second writer is inside before the first has left, and so on without end."""
    third, writing, tried = Gate(str(path)), contextlib.ExitStack(), list[float]()

    def meanwhile(pause: float) -> None:
        tried.append(pause)
        with pytest.raises(StoreUnavailable, match="locked for a checkpoint"), third.writing(0):
            pass
        writing.close()

    monkeypatch.setattr(gate, "_NEED", 0)
    monkeypatch.setattr(gate, "_WAIT", 30.0)
    monkeypatch.setattr(gate, "time", SimpleNamespace(monotonic=time.monotonic, sleep=meanwhile))
    conn = _with_long_log(path)
    writing.enter_context(other.writing(0))
    key.checkpoint(conn)
    assert tried
    assert _log(path) == 0
    with third.writing(0):
        pass
    third.close()
    conn.close()


def test_checkpoint_gives_up_on_a_writer_who_does_not_leave(
    path: Path, key: Gate, other: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_NEED", 0)
    monkeypatch.setattr(gate, "_WAIT", 0.01)
    conn = _with_long_log(path)
    with other.writing(0):
        key.checkpoint(conn)
        assert _log(path) > 5_000_000
    with key.writing(0):
        pass
    conn.close()


@pytest.mark.parametrize("name", ["gate", "turn"])
def test_checkpoint_without_end_is_an_error_that_names_its_process(path: Path, name: str) -> None:
    using(SQLiteStore(path), nothing)
    by = rf"process {os.getpid()} \(" if locks_are_told(path.parent) else "a process that holds"
    file = os.open(f"{path}.{name}", os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)

    async def write(store: SQLiteStore) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match=f"for a checkpoint by {by}"):
            await store.create(new())
        fcntl.flock(file, fcntl.LOCK_UN)
        assert await store.create(new())

    with pytest.raises(StoreUnavailable, match="for a checkpoint by"):
        using(SQLiteStore(path, SQLiteOptions(patience=0.0)), nothing)
    fcntl.flock(file, fcntl.LOCK_UN)
    using(SQLiteStore(path, SQLiteOptions(patience=0.05)), write)
    os.close(file)


def test_log_that_a_reader_lets_grow_is_warned_of_once_with_its_process(
    path: Path, key: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gate, "_LONG", 1_000_000)
    conn = _with_long_log(path)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    with caplog.at_level(logging.WARNING):
        key.checkpoint(conn)
        key.checkpoint(conn)
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"the log of store {path} has grown to 4 MiB" in said
    reading = holders.describe(os.getpid()) if locks_are_told(path.parent) else "unknown"
    assert said.endswith(f"read it now: {reading}")
    reader.close()
    key.checkpoint(conn)
    assert _frames(conn) < 10
    conn.close()


def test_every_store_keeps_sqlite_from_checkpoints_of_its_own(path: Path) -> None:
    """Whatever build of SQLite this is: another process at the file may have one with the fault."""

    async def look(store: SQLiteStore) -> None:
        await create_a(store)
        opened = store._opened
        assert opened is not None
        assert opened.connections[1].raw.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)

    using(SQLiteStore(path), look)
    assert Path(f"{path}.gate").exists()
