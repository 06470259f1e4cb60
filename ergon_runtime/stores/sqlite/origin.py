"""Where a backup comes from: it says so, and while that store is still there nothing runs on it unless somebody asks.

Both have the same flows under the same ids, so each would do the other's effects once more.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ergon_runtime.errors import StoreCorrupt, StoreIsBackup
from ergon_runtime.stores.sqlite import schema

_KEY = "backup_of"


def mark(conn: sqlite3.Connection, source: str) -> None:
    """Note that the file is a backup of the store at that path."""
    conn.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, source))


def check(conn: sqlite3.Connection, path: str) -> None:
    """Raises StoreIsBackup if the store at `path` is a backup of one that is still there."""
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
    if row is None:
        return
    source = str(row[0])
    if os.path.exists(source) and not os.path.samefile(source, path) and _id(source) == schema.meta(conn, "store_id"):
        raise StoreIsBackup(
            f"{path} is a backup of {source}, which is still there: what runs on both is done twice; to restore it, "
            "stop all workers and move the old file away, with its -wal; to run it all the same, add ?backup=run to "
            "its address"
        )


def _id(path: str) -> str | None:
    """The id of a store that is there; None if it cannot be read, so that nothing can run on it either."""
    try:
        with closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)) as conn:
            return schema.meta(conn, "store_id")
    except (sqlite3.Error, StoreCorrupt):
        return None
