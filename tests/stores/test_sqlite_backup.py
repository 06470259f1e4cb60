"""Backups: one moment of a store in use, whole or not there, and never run beside the store that they are of."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from ergon_runtime.core.flows import FlowQuery
from ergon_runtime.errors import (
    BackupRefused,
    StoreCorrupt,
    StoreIsBackup,
    StoreMissing,
    StoreUnavailable,
)
from ergon_runtime.stores.sqlite import Operations, SQLiteOptions, SQLiteStore, backup, transaction
from ergon_runtime.stores.sqlite.backup import Tell, back_up
from tests.stores.copies import everything, populate
from tests.stores.files import READ_ONLY, create_a, nothing, raw, using
from tests.stores.harness import Bench, Clock, new


def silent(done: int, total: int) -> None:
    pass


def back(source: Path, target: Path, tell: Tell = silent) -> int:
    return asyncio.run(back_up(source, target, tell))


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store of some hundred pages."""

    async def fill(store: SQLiteStore) -> None:
        await asyncio.gather(*(store.create(new(f"f{n}", args=b"x" * 2000)) for n in range(200)))

    using(SQLiteStore(tmp_path / "s.db"), fill)
    return tmp_path / "s.db"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith("s.db")}


def ids(path: Path) -> set[str]:
    found: set[str] = set()

    async def look(store: SQLiteStore) -> None:
        found.update(row.id for row in await store.list(FlowQuery(limit=1000)))

    using(SQLiteStore(path, READ_ONLY), look)
    return found


def test_backup_holds_everything_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "b.db"

    async def scenario(store: SQLiteStore) -> None:
        await populate(Bench(store, clock))
        assert await back_up(tmp_path / "s.db", target) == target.stat().st_size
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert [path.name for path in target.parent.iterdir()] == ["b.db"]
        copy = SQLiteStore(target, READ_ONLY)
        await copy.open()
        assert await everything(copy) == await everything(store)
        assert (await copy.identity()).hash_seed == (await store.identity()).hash_seed
        await copy.close()

    clock = Clock()
    using(SQLiteStore(tmp_path / "s.db", clock=clock), scenario)


def test_backup_is_one_moment_though_workers_write_and_checkpoint(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "PAGES", 10)
    told: list[tuple[int, int]] = []

    def meanwhile(done: int, total: int) -> None:
        told.append((done, total))
        conn = raw(filled)
        with transaction(conn):
            Operations(conn).create(new(f"late{done}"))
        conn.execute("UPDATE input SET args = x'00'")
        conn.execute("PRAGMA busy_timeout = 0")  # nothing waits for the backup
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()

    back(filled, filled.parent / "b.db", meanwhile)
    assert len(told) > 5
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert ids(filled.parent / "b.db") == {f"f{n}" for n in range(200)}
    conn = raw(filled.parent / "b.db")
    assert conn.execute("SELECT min(length(args)) FROM input").fetchone() == (2000,)
    conn.close()
    assert len(ids(filled)) == 200 + len(told)


@pytest.mark.parametrize("there", ["file", "link", "store"])
def test_backup_writes_over_nothing(filled: Path, there: str) -> None:
    target = filled.parent / "b.db"
    match there:
        case "file":
            target.write_text("precious")
        case "link":
            target.symlink_to("nowhere")
        case _:
            target = filled
    before = filled.read_bytes()
    with pytest.raises(BackupRefused, match="is there already"):
        back(filled, target)
    assert filled.read_bytes() == before
    assert there != "file" or target.read_text() == "precious"
    assert names(filled.parent) <= {"b.db"}


def test_name_that_is_taken_meanwhile_is_not_written_over(filled: Path) -> None:
    target = filled.parent / "b.db"
    with pytest.raises(BackupRefused, match="is there already"):
        back(filled, target, lambda done, total: target.touch())
    assert target.read_bytes() == b""
    assert names(filled.parent) == {"b.db"}


@pytest.mark.parametrize(("folder", "told"), [("none", "no folder"), ("file", "no folder")])
def test_backup_without_a_folder_is_refused(filled: Path, folder: str, told: str) -> None:
    (filled.parent / "file").touch()
    with pytest.raises(BackupRefused, match=told):
        back(filled, filled.parent / folder / "b.db")


def test_backup_of_nothing_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        back(tmp_path / "s.db", tmp_path / "b.db")
    assert list(tmp_path.iterdir()) == []


def test_damaged_store_leaves_no_backup(filled: Path) -> None:
    data = bytearray(filled.read_bytes())
    data[4096 * 9 : 4096 * 40] = b"\xff" * 4096 * 31
    filled.write_bytes(data)
    with pytest.raises(StoreCorrupt, match=r"s\.db is damaged"):
        back(filled, filled.parent / "b.db")
    assert names(filled.parent) == set()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    before, wrote_none = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python would leave a part of it
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = wrote_none


def test_backup_that_finds_no_room_names_its_own_file_and_leaves_nothing(filled: Path) -> None:
    ids(filled)  # the index of the log is there
    with files_up_to(100_000), pytest.raises(StoreUnavailable, match=r"b\.db cannot be"):
        back(filled, filled.parent / "b.db")
    assert names(filled.parent) == set()


def test_cancelled_backup_stops_and_leaves_nothing(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, calls = Event(), list[int]()
    monkeypatch.setattr(backup, "Event", lambda: stop)
    monkeypatch.setattr(backup, "PAGES", 10)

    async def scenario() -> None:
        def cancel(done: int, total: int) -> None:
            calls.append(done)
            loop.call_soon_threadsafe(task.cancel)
            assert stop.wait(30)

        loop = asyncio.get_running_loop()
        task = asyncio.create_task(back_up(filled, filled.parent / "b.db", cancel))
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(scenario())
    assert calls == [10]
    assert names(filled.parent) == set()


# Running a backup


def test_backup_is_not_run_beside_its_store_but_read(filled: Path) -> None:
    target = filled.parent / "b.db"
    back(filled, target)
    before = target.read_bytes()
    with pytest.raises(StoreIsBackup, match=r"is a backup of .*/s\.db, which is still there.*\?backup=run"):
        using(SQLiteStore(target), create_a)
    assert target.read_bytes() == before
    assert len(ids(target)) == 200
    using(SQLiteStore(target, SQLiteOptions(run_backup=True)), create_a)


@pytest.mark.parametrize("gone", ["moved", "restored", "another", "damaged"])
def test_backup_runs_when_its_store_is_gone(filled: Path, gone: str) -> None:
    target = filled.parent / "b.db"
    back(filled, target)
    match gone:
        case "moved":
            filled.rename(filled.parent / "old.db")
        case "restored":
            target = target.replace(filled)
        case "another":
            filled.unlink()
            using(SQLiteStore(filled), nothing)
        case _:
            filled.write_text("what the power cut left of it")
    using(SQLiteStore(target), create_a)
    assert len(ids(target)) == 201


def test_backup_of_a_backup_is_of_that(filled: Path) -> None:
    one, two = filled.parent / "one.db", filled.parent / "two.db"
    back(filled, one)
    back(one, two)
    filled.unlink()
    using(SQLiteStore(one), create_a)
    with pytest.raises(StoreIsBackup, match=r"backup of .*/one\.db"):
        using(SQLiteStore(two), create_a)


def test_backup_needs_no_other_file_to_be_read(filled: Path) -> None:
    back(filled, filled.parent / "b.db")
    conn = sqlite3.connect(f"{(filled.parent / 'b.db').as_uri()}?mode=ro", uri=True)
    assert conn.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    conn.close()
