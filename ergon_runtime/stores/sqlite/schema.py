"""The tables of a SQLite store, their versions, and what tells a store of ours from any other file.

Migrations only add, so that an older Ergon can go on writing until `min_writer` says that it no longer may. The newest
schema is VERSION; a store's own is its `user_version`.
"""

from __future__ import annotations

import secrets
import sqlite3

from ergon_runtime.errors import SchemaMismatch, StoreCorrupt, StoreUnavailable

APPLICATION_ID = 0x4552474F
VERSION = 2

_FIRST = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('min_writer', '1')",
    # One counter orders messages, waits and deliveries, over all processes.
    "CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (1, 0)",
    """CREATE TABLE flow (
        id TEXT PRIMARY KEY, type TEXT NOT NULL, version TEXT, lane TEXT NOT NULL, priority INTEGER NOT NULL,
        parent TEXT, status TEXT NOT NULL, due INTEGER, token TEXT, owner TEXT, lease_length INTEGER NOT NULL DEFAULT 0,
        alone INTEGER NOT NULL DEFAULT 0, head TEXT, length INTEGER NOT NULL DEFAULT 0, base INTEGER NOT NULL DEFAULT 0,
        result BLOB, note BLOB, fingerprint TEXT, created INTEGER NOT NULL, updated INTEGER NOT NULL, started INTEGER,
        ended INTEGER, recoveries INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    "CREATE INDEX flow_due ON flow (lane, priority, due, id) WHERE due IS NOT NULL AND token IS NULL",
    "CREATE INDEX flow_lease ON flow (lane, lease_length, due) WHERE token IS NOT NULL",
    "CREATE INDEX flow_created ON flow (created, id)",
    "CREATE INDEX flow_parent ON flow (parent, created, id) WHERE parent IS NOT NULL",
    "CREATE INDEX flow_ended ON flow (ended) WHERE ended IS NOT NULL",
    # Apart from the flow, whose row is rewritten at every commit.
    "CREATE TABLE input (flow TEXT PRIMARY KEY, args BLOB NOT NULL, seed TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE journal (flow TEXT, seq INTEGER, entry BLOB NOT NULL, PRIMARY KEY (flow, seq)) WITHOUT ROWID",
    # `flow` is whose mailbox or reservation it is; `heard` is when it came onto a channel that the flow listens to.
    """CREATE TABLE message (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, channel TEXT NOT NULL, body BLOB NOT NULL, flow TEXT,
        place TEXT NOT NULL CHECK (place IN ('kept', 'reserved', 'mail', 'aside')), heard INTEGER
    )""",
    "CREATE INDEX message_kept ON message (channel, seq) WHERE flow IS NULL",
    "CREATE INDEX message_id ON message (flow, id) WHERE flow IS NOT NULL",
    "CREATE INDEX message_channel ON message (flow, channel) WHERE flow IS NOT NULL",
    "CREATE INDEX message_heard ON message (flow, seq) WHERE heard IS NOT NULL",
    "CREATE INDEX message_news ON message (heard) WHERE heard IS NOT NULL",
    # `target` is '' for a name; the ids outlive their messages.
    """CREATE TABLE sent (
        target TEXT, channel TEXT, id TEXT, at INTEGER NOT NULL, PRIMARY KEY (target, channel, id)
    ) WITHOUT ROWID""",
    "CREATE INDEX sent_name ON sent (at) WHERE target = ''",
    """CREATE TABLE wait (
        flow TEXT, channel TEXT, since INTEGER NOT NULL, place INTEGER NOT NULL, reserved INTEGER,
        PRIMARY KEY (flow, channel)
    ) WITHOUT ROWID""",
    "CREATE INDEX wait_channel ON wait (channel, reserved, place)",
    """CREATE TABLE worker (
        worker TEXT PRIMARY KEY, lanes TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,
        concurrency INTEGER NOT NULL, seen INTEGER NOT NULL, until INTEGER NOT NULL
    ) WITHOUT ROWID""",
)
_SECOND = (
    # What workers do when they are `seen`. Not columns of theirs: an older Ergon writes that table by position.
    """CREATE TABLE doing (
        worker TEXT PRIMARY KEY, seen INTEGER NOT NULL, busy INTEGER NOT NULL, steps BLOB NOT NULL
    ) WITHOUT ROWID""",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND)
"""What leads from version n to version n + 1."""


def recognise(conn: sqlite3.Connection, path: str) -> int:
    """The schema version of the file, 0 if it is still empty. Raises StoreCorrupt if it is something else, and
    SchemaMismatch if only a newer Ergon may use it."""
    application, version = _pragma(conn, "application_id"), _pragma(conn, "user_version")
    if application == APPLICATION_ID:
        check_writer(conn, path)
        return version
    empty = conn.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application or version or not empty:
        raise StoreCorrupt(f"{path} is a SQLite database, but not an Ergon store; name another file")
    return 0


def migrate(conn: sqlite3.Connection, path: str) -> None:
    """Bring the file to VERSION, inside a transaction that is already open. Raises like `recognise`."""
    version = recognise(conn, path)
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            conn.execute(statement)
    if version == 0:
        conn.execute("INSERT INTO meta VALUES ('store_id', ?)", (secrets.token_hex(8),))
        conn.execute("INSERT INTO meta VALUES ('hash_seed', ?)", (str(secrets.randbelow(2**32)),))
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    if version < VERSION:
        conn.execute(f"PRAGMA user_version = {VERSION}")


def require(conn: sqlite3.Connection, path: str) -> None:
    """Check a file that is only to be read. Raises like `recognise`, and StoreUnavailable if it is still empty."""
    if recognise(conn, path) == 0:
        raise StoreUnavailable(f"no store at {path} yet: the file is empty")


def check_writer(conn: sqlite3.Connection, path: str) -> None:
    """Raises SchemaMismatch if this Ergon is too old for the store, StoreCorrupt if nothing says how old it may be."""
    try:
        needed = int(meta(conn, "min_writer"))
    except (StoreCorrupt, TypeError, ValueError):
        said = f"{path} is damaged: it does not say which Ergon may write it; keep a copy, and restore a backup"
        raise StoreCorrupt(said) from None
    if needed > VERSION:
        raise SchemaMismatch(
            f"store {path} needs an Ergon that writes schema {needed}; this one writes {VERSION}. Upgrade ergon-runtime"
        )


def meta(conn: sqlite3.Connection, key: str) -> str:
    """A fact about the store: `store_id`, `hash_seed`, `min_writer`. Raises StoreCorrupt if it is gone."""
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise StoreCorrupt(f"the store is damaged: its {key} is gone; stop all workers, and restore a backup")
    value: str = row[0]
    return value


def copy_of(conn: sqlite3.Connection) -> str | None:
    """What the store is an unfinished copy of."""
    row = conn.execute("SELECT value FROM meta WHERE key = 'copy_of'").fetchone()
    return None if row is None else row[0]


def key_checks(conn: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    """The ids of the keys that payloads are encrypted with, and their checks."""
    rows = conn.execute("SELECT substr(key, 5), value FROM meta WHERE key GLOB 'key:*' ORDER BY key")
    return tuple((key, check) for key, check in rows)


def add_key_check(conn: sqlite3.Connection, key: str, check: str) -> None:
    """Note that payloads are encrypted with this key."""
    conn.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (f"key:{key}", check))


def begin_copy(conn: sqlite3.Connection, source: str, hash_seed: str) -> None:
    """Note that the store is a copy that is not finished, which takes over the hash seed."""
    conn.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", (("copy_of", source), ("hash_seed", hash_seed)))


def end_copy(conn: sqlite3.Connection) -> None:
    """Take the note away."""
    conn.execute("DELETE FROM meta WHERE key = 'copy_of'")


def _pragma(conn: sqlite3.Connection, name: str) -> int:
    value: int = conn.execute(f"PRAGMA {name}").fetchone()[0]
    return value
