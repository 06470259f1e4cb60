"""Whether a SQLite store is sound: SQLite's own check, and the rules that a store's content keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ergon_runtime.audit import ROWS, Violation, audit, audit_pieces
from ergon_runtime.core.flows import FlowQuery, FlowRow
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind, Record
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from tests.stores.copies import pieces


class Unsound(AssertionError):
    """A rig has found what must not be."""


def check_file(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as conn:
        found = [row[0] for row in conn.execute("PRAGMA integrity_check")]
    if found != ["ok"]:
        raise Unsound(f"{path}: {found[:5]}")


async def check_store(path: Path, *, flows: bool = True) -> list[FlowRow]:
    """Check file and content; the flows. Without `flows` what lies in journals and results is nobody's."""
    check_file(path)
    store = SQLiteStore(path, SQLiteOptions(read_only=True))
    await store.open()
    try:
        found = [violation async for violation in audit(store)] if flows else await _bare(store)
        if found:
            raise Unsound(f"{path}: {found[:5]}")
        return await store.list(FlowQuery(limit=1_000_000))
    finally:
        await store.close()


async def _bare(store: SQLiteStore) -> list[Violation]:
    every: list[Record | JournalPart] = [piece for kind in Kind for piece in await pieces(store, kind, 1000)]
    for piece in [each for each in every if isinstance(each, FlowRecord)]:
        entries = await store.journal(piece.row.id, 0, 10_000)
        if len(entries) != piece.row.length:
            return [Violation("R4", piece.row.id, f"it has {len(entries)} entries of {piece.row.length}")]
        if entries:
            every.append(JournalPart(piece.row.id, 0, tuple(entries)))
    return audit_pieces(every, await store.now(), ROWS)
