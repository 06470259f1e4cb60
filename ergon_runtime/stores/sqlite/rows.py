"""Between rows of the SQLite store and core's values: each query's columns stand beside what reads them."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ergon_runtime.core.flows import Beat, Claim, FlowRow, Lease, Message, NewFlow, Status, Wait, WorkerRow
from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores import rules

_FLOW = """SELECT f.id, type, version, lane, priority, args, seed, parent, status, due, owner, head, length, base,
    result, note, fingerprint, created, updated, started, recoveries, deaths
    FROM flow f JOIN input i ON i.flow = f.id"""
FLOW = f"{_FLOW} WHERE f.id = ?"
FLOWS = f"{_FLOW} WHERE true"
"""More conditions follow."""
_WAITS = """SELECT channel, since, reserved IS NOT NULL FROM wait WHERE flow = ? AND channel >= ? AND channel < ?
    ORDER BY channel LIMIT ?"""
_LAST = "\U0010ffff"
_NAMES = (rules.NAMED, rules.NAMED + _LAST)
_OTHERS = (("", _NAMES[0]), (_NAMES[1], _LAST))
_ASIDE = "SELECT id, channel, body FROM message WHERE flow = ? AND place = 'aside' ORDER BY seq"
_NEW = """INSERT INTO flow (id, type, version, lane, priority, parent, status, due, created, updated)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_INPUT = "INSERT INTO input (flow, args, seed) VALUES (?, ?, ?)"
CLAIMED = """SELECT type, version, args, seed, parent, status, head, length, base, started, due, recoveries, deaths,
    alone, note FROM flow f JOIN input i ON i.flow = f.id WHERE f.id = ?"""
_WORKERS = (
    """SELECT worker, lanes, host, pid, concurrency, seen, until{} FROM worker{} WHERE until > ? ORDER BY worker"""
)
_UNTOLD = _WORKERS.format("", "")
_TOLD = _WORKERS.format(", ifnull(busy, 0), ifnull(steps, x'')", " LEFT JOIN doing USING (worker, seen)")
_HAS_DOING = "SELECT count(*) FROM sqlite_schema WHERE name = 'doing'"
_BEAT = "INSERT OR REPLACE INTO worker VALUES (?, ?, ?, ?, ?, ?, ?)"
_TELL = "INSERT OR REPLACE INTO doing VALUES (?, ?, ?, ?)"
_SIGN_OFF = ("DELETE FROM worker WHERE worker = ?", "DELETE FROM doing WHERE worker = ?")

Columns = tuple[Any, ...]
"""A row: SQLite's columns have no types of their own."""


def insert(conn: sqlite3.Connection, flow: NewFlow, now: int) -> None:
    """Write a new flow."""
    status, due = rules.first_status(flow, now).value, now if flow.due is None else flow.due
    first = (flow.id, flow.type, flow.version, flow.lane, flow.priority, flow.parent)
    conn.execute(_NEW, (*first, status, due, now, now))
    conn.execute(_INPUT, (flow.id, flow.args, flow.seed))


def view(conn: sqlite3.Connection, row: Columns) -> FlowRow:
    """The flow as readers see it, from a row of FLOW or FLOWS."""
    waits = _waits(conn, row[0])
    aside = conn.execute(_ASIDE, (row[0],)).fetchall()
    values: Columns = (
        *row[:8],
        known(row[8]),
        *row[9:],
        tuple(Wait(channel, since, bool(reserved)) for channel, since, reserved in sorted(waits)),
        tuple(Message(*message) for message in aside),
    )
    return FlowRow(*values)


def _waits(conn: sqlite3.Connection, flow: str) -> list[Columns]:
    """The waits that a row shows. Of thousands, only those are read."""
    found: list[Columns] = conn.execute(_WAITS, (flow, "", _LAST, rules.WAITS + 1)).fetchall()
    if len(found) <= rules.WAITS:
        return found
    found = []
    for first, last in (_NAMES, *_OTHERS):
        if left := rules.WAITS - len(found):
            found += conn.execute(_WAITS, (flow, first, last, left)).fetchall()
    return found


def known(status: str) -> Status:
    """Raises StoreCorrupt for a status that nothing of ours writes."""
    try:
        return Status(status)
    except ValueError:
        said = f"a flow in the store has the unknown status {status!r}; upgrade ergon-runtime, or restore a backup"
        raise StoreCorrupt(said) from None


def claimed(lease: Lease, row: Columns, now: int, mail: tuple[Message, ...]) -> Claim:
    """The flow as its new owner sees it, from a row of CLAIMED as it was before the claim."""
    type_, version, args, seed, parent, status, head, length, base, started, due, recoveries, deaths, alone, note = row
    running = status == Status.RUNNING.value
    return Claim(
        lease=lease,
        type=type_,
        version=version,
        args=args,
        seed=seed,
        parent=parent,
        status=known(status),
        head=head,
        length=length,
        base=base,
        started=now if started is None else started,
        now=now,
        due=due,
        recoveries=recoveries + running,
        deaths=deaths + (running and alone),
        mail=mail,
        note=note,
    )


def workers(conn: sqlite3.Connection, now: int) -> list[WorkerRow]:
    """Live workers, by name."""
    told = conn.execute(_HAS_DOING).fetchone()[0]  # not in a file of an older Ergon that is only read
    rows = conn.execute(_TOLD if told else _UNTOLD, (now,)).fetchall()
    return [WorkerRow(worker, tuple(json.loads(lanes)), *rest) for worker, lanes, *rest in rows]


def beat(conn: sqlite3.Connection, sign: Beat, now: int) -> None:
    """Note a sign of life, or a worker's leave."""
    if sign.silence <= 0:
        for statement in _SIGN_OFF:
            conn.execute(statement, (sign.worker,))
        return
    about = (sign.worker, json.dumps(sign.lanes), sign.host, sign.pid, sign.concurrency)
    conn.execute(_BEAT, (*about, now, now + sign.silence))
    conn.execute(_TELL, (sign.worker, now, sign.busy, sign.doing))
