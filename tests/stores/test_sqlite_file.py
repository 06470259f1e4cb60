"""What a SQLite store promises of its file: whose it is, what it refuses to be, how it is read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ergon_runtime.core.flows import ClaimRequest, FlowQuery
from ergon_runtime.errors import SchemaMismatch, StoreCorrupt, StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from ergon_runtime.stores.sqlite.schema import APPLICATION_ID, VERSION
from tests.stores.files import READ_ONLY, create_a, nothing, raw, using
from tests.stores.harness import LANE, new

# The file


def test_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    old = os.umask(0)
    try:

        async def look(store: SQLiteStore) -> None:
            await store.create(new())
            for name in ("s.db", "s.db-wal", "s.db-shm"):
                assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600

        using(SQLiteStore(path), look)
    finally:
        os.umask(old)


def test_file_carries_its_marks_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    using(SQLiteStore(path), nothing)
    conn = raw(path)
    for pragma, value in (("application_id", APPLICATION_ID), ("user_version", VERSION), ("journal_mode", "wal")):
        assert conn.execute(f"PRAGMA {pragma}").fetchone()[0] == value
    conn.close()


@pytest.mark.parametrize(("option", "level"), [("full", 2), ("normal", 1)])
def test_durability_option_sets_synchronous(tmp_path: Path, option: str, level: int) -> None:
    async def look(store: SQLiteStore) -> None:
        assert (await store.identity()).durability.startswith(option)
        opened = store._opened
        assert opened is not None
        settings = {"synchronous": level, "trusted_schema": 0, "cell_size_check": 1, "mmap_size": 0}
        for pragma, value in settings.items():
            assert opened.connections[1].raw.execute(f"PRAGMA {pragma}").fetchone()[0] == value

    using(SQLiteStore(tmp_path / "s.db", SQLiteOptions(synchronous=option)), look)  # type: ignore[arg-type]


def test_durability_is_full_unless_told_otherwise(tmp_path: Path) -> None:
    async def look(store: SQLiteStore) -> None:
        opened = store._opened
        assert opened is not None
        assert opened.connections[1].raw.execute("PRAGMA synchronous").fetchone()[0] == 2

    using(SQLiteStore(tmp_path / "s.db"), look)


def test_flows_are_there_after_closing(tmp_path: Path) -> None:
    using(SQLiteStore(tmp_path / "s.db"), create_a)

    async def look(store: SQLiteStore) -> None:
        assert await store.get("a") is not None

    using(SQLiteStore(tmp_path / "s.db"), look)


# Files that cannot be used


@pytest.mark.parametrize("options", [SQLiteOptions(), READ_ONLY], ids=["write", "read"])
def test_text_file_is_not_a_store(tmp_path: Path, options: SQLiteOptions) -> None:
    path = tmp_path / "s.db"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreCorrupt, match="not an Ergon store"):
        using(SQLiteStore(path, options), nothing)
    assert path.read_text().startswith("not a database")


@pytest.mark.parametrize("options", [SQLiteOptions(), READ_ONLY], ids=["write", "read"])
def test_other_programs_database_is_left_alone(tmp_path: Path, options: SQLiteOptions) -> None:
    path = tmp_path / "s.db"
    conn = raw(path)
    conn.execute("CREATE TABLE theirs (x)")
    conn.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="not an Ergon store"):
        using(SQLiteStore(path, options), nothing)
    assert path.read_bytes() == before


@pytest.mark.parametrize("options", [SQLiteOptions(), READ_ONLY], ids=["write", "read"])
def test_newer_schema_is_a_mismatch(tmp_path: Path, options: SQLiteOptions) -> None:
    path = tmp_path / "s.db"
    using(SQLiteStore(path), nothing)
    conn = raw(path)
    conn.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
    conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(SchemaMismatch, match="99"):
        using(SQLiteStore(path, options), nothing)


def test_newer_schema_that_still_takes_our_writes_is_used(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    using(SQLiteStore(path), nothing)
    conn = raw(path)
    conn.execute(f"PRAGMA user_version = {VERSION + 1}")
    conn.close()
    using(SQLiteStore(path), create_a)
    conn = raw(path)
    assert conn.execute("PRAGMA user_version").fetchone()[0] == VERSION + 1
    conn.close()


def test_upgrade_under_an_open_store_stops_its_writes(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def upgrade(store: SQLiteStore) -> None:
        conn = raw(path)
        conn.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
        conn.close()
        with pytest.raises(SchemaMismatch):
            await store.create(new())
        assert await store.get("a") is None

    using(SQLiteStore(path), upgrade)


@pytest.mark.parametrize("options", [SQLiteOptions(), READ_ONLY, SQLiteOptions(create=False)])
def test_missing_folder_is_named(tmp_path: Path, options: SQLiteOptions) -> None:
    with pytest.raises(StoreUnavailable, match=f"no folder {tmp_path}/gone"):
        using(SQLiteStore(tmp_path / "gone" / "s.db", options), nothing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [READ_ONLY, SQLiteOptions(create=False)], ids=["read", "no create"])
def test_missing_file_is_not_created(tmp_path: Path, options: SQLiteOptions) -> None:
    with pytest.raises(StoreUnavailable, match="no store at"):
        using(SQLiteStore(tmp_path / "s.db", options), nothing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [READ_ONLY, SQLiteOptions(create=False)], ids=["read", "no create"])
def test_empty_file_is_no_store_yet(tmp_path: Path, options: SQLiteOptions) -> None:
    path = tmp_path / "s.db"
    path.touch()
    with pytest.raises(StoreUnavailable, match="no store at"):
        using(SQLiteStore(path, options), nothing)
    assert path.read_bytes() == b""


def test_folder_in_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="is a folder; name a file in it"):
        using(SQLiteStore(tmp_path), nothing)


def test_damaged_file_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "s.db"

    async def fill(store: SQLiteStore) -> None:
        await asyncio.gather(*(store.create(new(f"f{n}", args=b"x" * 500)) for n in range(200)))

    using(SQLiteStore(path), fill)
    data = bytearray(path.read_bytes())
    data[4096 * 4 :] = b"\xff" * (len(data) - 4096 * 4)
    path.write_bytes(data)

    async def read(store: SQLiteStore) -> None:
        with pytest.raises(StoreCorrupt, match="damaged"):
            await store.list(FlowQuery())

    using(SQLiteStore(path, READ_ONLY), read)


# Reading alone


def test_reading_alone_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    using(SQLiteStore(path), create_a)
    before = path.read_bytes()

    async def look(store: SQLiteStore) -> None:
        assert [row.id for row in await store.list(FlowQuery())] == ["a"]
        with pytest.raises(StoreUnavailable, match="reading only"):
            await store.create(new("b"))

    using(SQLiteStore(path, READ_ONLY), look)
    assert path.read_bytes() == before


def test_reading_alone_sees_what_others_write(tmp_path: Path) -> None:
    async def look(store: SQLiteStore) -> None:
        reader = SQLiteStore(tmp_path / "s.db", READ_ONLY)
        await reader.open()
        await reader.wait("", 60)
        sleeping = asyncio.create_task(reader.wait("", 60))
        await store.create(new("a"))
        await asyncio.wait_for(sleeping, 5)
        assert await reader.get("a") is not None
        await reader.close()

    using(SQLiteStore(tmp_path / "s.db"), look)


@contextlib.contextmanager
def _without_roots_rights() -> Iterator[None]:
    """Root may write anywhere; nobody may not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("folder_mode", [0o555, 0o777], ids=["folder", "file"])
def test_reading_alone_works_where_nothing_may_be_written(folder_mode: int) -> None:
    async def look(store: SQLiteStore) -> None:
        assert await store.get("a") is not None

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.db"
        using(SQLiteStore(path), create_a)
        path.chmod(0o444)
        Path(folder).chmod(folder_mode)
        with _without_roots_rights():
            with pytest.raises(StoreUnavailable):
                using(SQLiteStore(path), create_a)
            using(SQLiteStore(path, READ_ONLY), look)
        Path(folder).chmod(0o755)


def change(path: Path, statement: str) -> None:
    conn = raw(path)
    conn.execute(statement)
    conn.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM meta WHERE key = 'store_id'",
        "DELETE FROM input",
        "UPDATE flow SET lane = CAST(x'ff' AS TEXT)",
        "ALTER TABLE flow RENAME fingerprint TO print",
        "DROP TABLE wait",
    ],
)
def test_damage_that_sqlite_does_not_see_is_corrupt(tmp_path: Path, statement: str) -> None:
    using(SQLiteStore(tmp_path / "s.db"), create_a)
    change(tmp_path / "s.db", statement)

    async def read(store: SQLiteStore) -> None:
        await store.identity()
        await store.list(FlowQuery())
        await store.claim(ClaimRequest("w", 1000, 1, (LANE,)))

    with pytest.raises(StoreCorrupt, match=r"damaged.*restore a backup"):
        using(SQLiteStore(tmp_path / "s.db"), read)
