"""Whether a SQLite file is whole, and its tables fit together. Each question is one statement; they only read."""

from __future__ import annotations

import functools
import sqlite3

from ergon_runtime.stores.sqlite import schema

_QUESTIONS = (
    ("journal entries of flow {} that is not there", "SELECT DISTINCT flow FROM journal EXCEPT SELECT id FROM flow"),
    ("arguments of flow {} that is not there", "SELECT flow FROM input EXCEPT SELECT id FROM flow"),
    ("flow {}: its arguments are missing", "SELECT id FROM flow EXCEPT SELECT flow FROM input"),
    ("waits of flow {} that is not there", "SELECT DISTINCT flow FROM wait EXCEPT SELECT id FROM flow"),
    (
        "mail of flow {} that is not there",
        "SELECT DISTINCT flow FROM message WHERE flow <> '' EXCEPT SELECT id FROM flow",
    ),
    (
        "message ids sent to flow {} that is not there",
        "SELECT DISTINCT target FROM sent WHERE target <> '' EXCEPT SELECT id FROM flow",
    ),
    ("what worker {} does, who is not there", "SELECT worker FROM doing EXCEPT SELECT worker FROM worker"),
    (
        "flow {}: the sequences of its journal have a gap",
        "SELECT flow FROM journal GROUP BY flow HAVING min(seq) <> 0 OR max(seq) <> count(*) - 1",
    ),
    (
        "flow {}: it is {}, and its token does not fit",
        "SELECT id, status FROM flow WHERE (status = 'running') <> (token IS NOT NULL)",
    ),
    (
        "flow {}: its status is {}",
        """SELECT id, status FROM flow WHERE status NOT IN
            ('pending', 'running', 'waiting', 'blocked', 'completed', 'failed', 'cancelled')""",
    ),
    (
        "message {}: it is {}, and its flow is {}",
        "SELECT seq, place, flow FROM message WHERE (place = 'kept') <> (flow IS NULL)",
    ),
    (
        "flow {}: the message reserved for its wait on {} is not there",
        """SELECT w.flow, w.channel FROM wait w LEFT JOIN message m ON m.seq = w.reserved AND m.flow = w.flow
            AND m.place = 'reserved' AND m.channel = w.channel WHERE w.reserved IS NOT NULL AND m.seq IS NULL""",
    ),
    (
        "message {}: it is reserved for flow {}, of which no wait says so",
        """SELECT m.seq, m.flow FROM message m LEFT JOIN wait w ON w.flow = m.flow AND w.reserved = m.seq
            WHERE m.place = 'reserved' AND w.flow IS NULL""",
    ),
    (
        "message {}: flow {} should hear it, or should not, and it is marked otherwise",
        """SELECT seq, flow FROM message m WHERE flow IS NOT NULL AND (heard IS NOT NULL) <> (place = 'reserved' OR (
            place = 'mail' AND (channel = 'cancel'
            OR EXISTS (SELECT 1 FROM wait w WHERE w.flow = m.flow AND w.channel = m.channel))))""",
    ),
    (
        "number {} is above the counter",
        """SELECT n FROM (SELECT max(seq) AS n FROM message UNION ALL SELECT max(place) FROM wait)
            WHERE n > (SELECT n FROM counter)""",
    ),
    (
        "the store does not say its {}",
        """SELECT column1 FROM (VALUES ('store_id'), ('hash_seed'), ('min_writer'))
            WHERE column1 NOT IN (SELECT key FROM meta)""",
    ),
)
_PARTS = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite_%'"


def questions() -> int:
    """How many there are."""
    return len(_QUESTIONS) + 2


def answer(conn: sqlite3.Connection, number: int, limit: int) -> list[str]:
    """What is wrong, by one of the questions; at most so much. Raises sqlite3.Error if the file is past reading."""
    if number == 0:
        found = [row[0] for row in conn.execute(f"PRAGMA integrity_check({limit})")]
        return [] if found == ["ok"] else [f"the file is damaged: {text}" for text in found]
    missing = _missing(conn)
    if number == 1:
        return [f"{kind} {name} is missing" for kind, name in missing]
    if any(kind == "table" for kind, _ in missing):
        return []  # what it lacks cannot be asked
    said, sql = _QUESTIONS[number - 2]
    return [said.format(*row) for row in conn.execute(f"{sql} LIMIT {limit}")]


def _missing(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """The tables and indexes that a new store would have and this one has not."""
    return sorted(_of_a_new_store() - set(conn.execute(_PARTS)))


@functools.cache
def _of_a_new_store() -> frozenset[tuple[str, str]]:
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for statements in schema.MIGRATIONS:
            for statement in statements:
                fresh.execute(statement)
        return frozenset(fresh.execute(_PARTS))
    finally:
        fresh.close()
