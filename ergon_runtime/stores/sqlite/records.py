"""A SQLite store's pieces for copies: read from its tables, and written into them, inside an open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ergon_runtime.core.flows import CANCEL, Message, Status
from ergon_runtime.errors import FlowNotFound
from ergon_runtime.stores import rules
from ergon_runtime.stores.records import (
    VOID,
    FlowRecord,
    JournalPart,
    Kind,
    NameRecord,
    Numbered,
    Place,
    Record,
    WaitRecord,
)
from ergon_runtime.stores.sqlite import rows

_START: Place = (-1, "")
_COUNT = {
    Kind.FLOWS: "SELECT count(*) FROM flow",
    Kind.NAMES: "SELECT count(*) FROM sent WHERE target = ''",
    Kind.KEPT: "SELECT count(*) FROM message WHERE flow IS NULL",
}
_FLOWS = f"{rows.FLOWS} AND (created, f.id) > (?, ?) ORDER BY created, f.id LIMIT ?"
_MORE = "SELECT lease_length, alone, ended FROM flow WHERE id = ?"
_WAITS = """SELECT w.channel, w.place, w.since, m.seq, m.id, m.body
    FROM wait w LEFT JOIN message m ON m.seq = w.reserved WHERE w.flow = ? ORDER BY w.channel"""
_MAIL = "SELECT seq, id, channel, body FROM message WHERE flow = ? AND place = ? ORDER BY seq"
_SENT = "SELECT channel, id FROM sent WHERE target = ? ORDER BY channel, id"
# Left alone, SQLite would sort all names for each page.
_NAMES = """SELECT channel, id, at, length(CAST(channel AS BLOB)) || ':' || channel || ':' || id AS name
    FROM sent INDEXED BY sent_name
    WHERE target = '' AND at >= ? AND (at > ? OR name > ?) ORDER BY at, name LIMIT ?"""
_KEPT = "SELECT seq, id, channel, body FROM message WHERE flow IS NULL AND seq > ? ORDER BY seq LIMIT ?"

_NEW = """INSERT OR IGNORE INTO flow (
    id, type, version, lane, priority, parent, status, due, token, owner, lease_length, alone, head, length, base,
    result, note, fingerprint, created, updated, started, ended, recoveries, deaths)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_INPUT = "INSERT INTO input (flow, args, seed) VALUES (?, ?, ?)"
_FLOW_IS_THERE = "SELECT 1 FROM flow WHERE id = ?"
_IS_THERE = "SELECT 1 FROM journal WHERE flow = ? AND seq = ?"
_ENTRY = "INSERT OR IGNORE INTO journal (flow, seq, entry) VALUES (?, ?, ?)"
_MESSAGE = "INSERT OR IGNORE INTO message (seq, id, channel, body, flow, place, heard) VALUES (?, ?, ?, ?, ?, ?, ?)"
_WAIT = "INSERT INTO wait (flow, channel, since, place, reserved) VALUES (?, ?, ?, ?, ?)"
_WAS_SENT = "INSERT OR IGNORE INTO sent (target, channel, id, at) VALUES (?, ?, ?, ?)"
_REACH = "UPDATE counter SET n = max(n, ?)"


def count(conn: sqlite3.Connection, kind: Kind) -> int:
    """How many pieces of a kind there are."""
    found: int = conn.execute(_COUNT[kind]).fetchone()[0]
    return found


def records(conn: sqlite3.Connection, kind: Kind, after: Place | None, limit: int) -> list[Record]:
    """The pieces after a place, in order."""
    number, text = after or _START
    match kind:
        case Kind.FLOWS:
            return [_flow(conn, row) for row in conn.execute(_FLOWS, (number, text, limit)).fetchall()]
        case Kind.NAMES:
            return [NameRecord(*row[:3]) for row in conn.execute(_NAMES, (number, number, text, limit))]
        case Kind.KEPT:
            return [_numbered(*row) for row in conn.execute(_KEPT, (number, limit))]


def _flow(conn: sqlite3.Connection, row: rows.Columns) -> FlowRecord:
    flow: str = row[0]
    length, alone, ended = conn.execute(_MORE, (flow,)).fetchone()
    return FlowRecord(
        row=replace(rows.view(conn, row), waits=(), aside=()),
        lease_length=length,
        alone=bool(alone),
        ended=ended,
        waits=tuple(_wait(*row) for row in conn.execute(_WAITS, (flow,))),
        mail=tuple(_numbered(*row) for row in conn.execute(_MAIL, (flow, "mail"))),
        aside=tuple(_numbered(*row) for row in conn.execute(_MAIL, (flow, "aside"))),
        sent=tuple(conn.execute(_SENT, (flow,)).fetchall()),
    )


def _wait(channel: str, place: int, since: int, seq: int | None, message_id: str, body: bytes) -> WaitRecord:
    return WaitRecord(channel, place, since, None if seq is None else _numbered(seq, message_id, channel, body))


def _numbered(number: int, message_id: str, channel: str, body: bytes) -> Numbered:
    return Numbered(number, Message(message_id, channel, body))


def restore(conn: sqlite3.Connection, piece: Record | JournalPart) -> None:
    """Write a piece, unless it is there."""
    match piece:
        case JournalPart(flow, start, entries):
            if conn.execute(_FLOW_IS_THERE, (flow,)).fetchone() is None:
                raise FlowNotFound(flow)
            if start and conn.execute(_IS_THERE, (flow, start - 1)).fetchone() is None:
                raise rules.missing_entries(flow)
            conn.executemany(_ENTRY, [(flow, start + n, entry) for n, entry in enumerate(entries)])
        case FlowRecord():
            if conn.execute(_NEW, _columns(piece)).rowcount:
                _deliver(conn, piece)
        case NameRecord(channel, message_id, at):
            conn.execute(_WAS_SENT, ("", channel, message_id, at))
        case Numbered():
            _insert(conn, piece, None, "kept", heard=False)


def _columns(piece: FlowRecord) -> tuple[Any, ...]:
    row = piece.row
    token = VOID if row.status is Status.RUNNING else None
    return (
        *(row.id, row.type, row.version, row.lane, row.priority, row.parent, row.status.value, row.due),
        *(token, row.owner, piece.lease_length, piece.alone, row.head, row.length, row.base),
        *(row.result, row.note, row.fingerprint, row.created, row.updated, row.started, piece.ended),
        *(row.recoveries, row.deaths),
    )


def _deliver(conn: sqlite3.Connection, piece: FlowRecord) -> None:
    """A new flow's input, waits, mail and message ids."""
    row = piece.row
    conn.execute(_INPUT, (row.id, row.args, row.seed))
    for wait in piece.waits:
        reserved = wait.reserved and wait.reserved.number
        conn.execute(_WAIT, (row.id, wait.channel, wait.since, wait.number, reserved))
        conn.execute(_REACH, (wait.number,))
        if wait.reserved is not None:
            _insert(conn, wait.reserved, row.id, "reserved", heard=True)
    heard = set[str]() if row.status.ended else {CANCEL, *(wait.channel for wait in piece.waits)}
    for each in piece.mail:
        _insert(conn, each, row.id, "mail", heard=each.message.channel in heard)
    for each in piece.aside:
        _insert(conn, each, row.id, "aside", heard=False)
    sent: Iterable[tuple[str, str, str, int]] = ((row.id, channel, id_, row.created) for channel, id_ in piece.sent)
    conn.executemany(_WAS_SENT, sent)


def _insert(conn: sqlite3.Connection, piece: Numbered, flow: str | None, place: str, *, heard: bool) -> None:
    number, message = piece.number, piece.message
    values = (number, message.id, message.channel, message.body, flow, place, number if heard else None)
    conn.execute(_MESSAGE, values)
    conn.execute(_REACH, (number,))
