"""What `verify` finds in a SQLite file: each kind of damage, planted in a store that is whole."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores.sqlite import SQLiteStore
from ergon_runtime.stores.sqlite.verifying import questions
from tests.stores.conformance.test_verify import use
from tests.stores.harness import Bench, Clock

DAMAGE = (
    ("index flow_due is missing", "DROP INDEX flow_due"),
    ("table doing is missing", "DROP TABLE doing; CREATE TABLE other (worker, seen)"),
    ("journal entries of flow ghost that is not there", "INSERT INTO journal VALUES ('ghost', 0, x'')"),
    ("arguments of flow ghost that is not there", "INSERT INTO input VALUES ('ghost', x'', '')"),
    ("flow parent: its arguments are missing", "DELETE FROM input WHERE flow = 'parent'"),
    ("waits of flow ghost that is not there", "INSERT INTO wait VALUES ('ghost', 'child:x', 1, 1, NULL)"),
    ("mail of flow ghost that is not there", "INSERT INTO message VALUES (1, 'a', 'c', x'', 'ghost', 'mail', NULL)"),
    ("message ids sent to flow ghost that is not there", "INSERT INTO sent VALUES ('ghost', 'c', 'a', 1)"),
    ("what worker ghost does, who is not there", "INSERT INTO doing VALUES ('ghost', 1, 1, x'')"),
    ("flow parent: the sequences of its journal have a gap", "UPDATE journal SET seq = 7 WHERE seq = 1"),
    ("flow parent: it is running, and its token does not fit", "UPDATE flow SET token = NULL WHERE id = 'parent'"),
    ("flow late: its status is lost", "UPDATE flow SET status = 'lost' WHERE id = 'late'"),
    ("it is kept, and its flow is late", "UPDATE message SET flow = 'late' WHERE channel = 'signal:other'"),
    (
        "flow waits: the message reserved for its wait on signal:go is not there",
        "DELETE FROM message WHERE place = 'reserved'",
    ),
    (
        "it is reserved for flow waits, of which no wait says so",
        "UPDATE wait SET reserved = NULL WHERE channel = 'signal:go'",
    ),
    (
        "flow waits should hear it, or should not, and it is marked otherwise",
        "UPDATE message SET heard = NULL WHERE channel = 'child:x'",
    ),
    ("is above the counter", "UPDATE counter SET n = 3"),
    ("the store does not say its hash_seed", "DELETE FROM meta WHERE key = 'hash_seed'"),
)


def damaged(path: Path, plant: Callable[[], None]) -> list[str]:
    """What `verify` finds in a store at this path that was used and then damaged."""

    async def main() -> list[str]:
        store = SQLiteStore(path, clock=(clock := Clock()))
        await store.open()
        try:
            await use(Bench(store, clock))
            assert await store.verify() == []
            plant()
            return await store.verify()
        finally:
            await store.close()

    return asyncio.run(main())


@pytest.mark.parametrize(("said", "sql"), DAMAGE)
def test_verify_names_the_damage(said: str, sql: str, tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    def plant() -> None:
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.executescript(sql)

    found = damaged(path, plant)
    assert any(said in text for text in found), found


def test_every_question_has_its_damage() -> None:
    assert len(DAMAGE) >= questions() - 1, "all but the file's own integrity, which has a test of its own"


def test_verify_of_a_damaged_file_says_so(tmp_path: Path) -> None:
    """An index lacks what its table has: SQLite's own check finds it."""
    path = tmp_path / "store.db"

    def plant() -> None:
        with closing(sqlite3.connect(path)) as conn, conn:
            conn.execute("PRAGMA writable_schema = ON")
            conn.execute(
                "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'meta')"
                " WHERE name = 'flow_created'"
            )
            conn.execute("PRAGMA schema_version = 1000")

    try:
        found = damaged(path, plant)
    except StoreCorrupt as error:
        found = [f"the file is damaged: {error}"]
    assert any(text.startswith("the file is damaged") for text in found), found
