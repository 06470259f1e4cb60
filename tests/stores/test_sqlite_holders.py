"""Who holds a store's locks is read off the kernel's table, and named in the error of whoever waited in vain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore, holders
from tests.stores.files import create_a, locks_are_told, nothing, raw, using
from tests.stores.harness import new

_HOLD = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute(sys.argv[2])
conn.execute("SELECT count(*) FROM meta").fetchone()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, begin: str) -> Iterator[subprocess.Popen[str]]:
    """Another process in a transaction."""
    command = [sys.executable, "-c", _HOLD, str(path), begin]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    if not locks_are_told(tmp_path):
        pytest.skip("the kernel does not tell of locks here")
    using(SQLiteStore(tmp_path / "s.db"), nothing)
    return tmp_path / "s.db"


def test_writer_that_is_stopped_in_its_transaction_is_named_and_its_end_frees_the_store(path: Path) -> None:
    async def contend(store: SQLiteStore) -> None:
        with held(path, "BEGIN IMMEDIATE") as process:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)  # it has stopped
            with pytest.raises(StoreUnavailable) as caught:
                await store.create(new())
            told = f"is locked by another process, {process.pid} ("
            assert told in str(caught.value)
            assert f", stopped); try again; if it hangs, end it: kill -9 {process.pid}" in str(caught.value)
            assert await store.get("a") is None  # and who reads is not held up
            process.kill()
            process.wait()
            assert await store.create(new())

    using(SQLiteStore(path, SQLiteOptions(patience=0.05)), contend)


def test_own_connection_that_holds_the_lock_is_not_called_another_process(path: Path) -> None:
    async def contend(store: SQLiteStore) -> None:
        conn = raw(path)
        conn.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked by another connection of this process"):
            await create_a(store)
        conn.close()

    using(SQLiteStore(path, SQLiteOptions(patience=0.05)), contend)


def test_readers_are_known_and_are_no_writers(path: Path) -> None:
    conn = raw(path)  # whoever has it open alone, reads without a lock of this kind
    conn.execute("UPDATE counter SET n = n")
    with held(path, "BEGIN") as process:
        assert holders.readers(str(path)) == [process.pid]
        assert holders.writer(str(path)) is None
    conn.close()
    assert holders.readers(str(path)) == []


@pytest.mark.parametrize("table", ["", "nonsense\n1: POSIX\n", "1: -> POSIX ADVISORY WRITE 7 {inode} 120 120\n"])
def test_nobody_is_named_where_nothing_tells(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    shm = Path(f"{path}-shm")
    shm.touch()
    found = shm.stat()
    inode = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    (tmp_path / "locks").write_text(table.format(inode=inode))
    monkeypatch.setattr(holders, "_TABLE", tmp_path / "locks")
    assert holders.writer(str(path)) is None
    (tmp_path / "locks").write_text(f"1: POSIX  ADVISORY  WRITE 7 {inode} 120 120\n")
    assert holders.writer(str(path)) == 7
    monkeypatch.setattr(holders, "_TABLE", tmp_path / "none")
    assert holders.writer(str(path)) is None


def test_process_that_is_gone_is_named_by_its_number_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert holders.describe(process.pid) == str(process.pid)
    assert holders.describe(os.getpid()).startswith(f"{os.getpid()} (")
