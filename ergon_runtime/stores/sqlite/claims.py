"""Claims on a SQLite store (rules R2, P1, P4, P5, P6). `look` only reads; `take` writes, inside an open transaction.

Nothing here scans ended or far-future flows: every query is a range of an index, per lane and priority that occurs. A
flow that is suspect is always one whose owner died, so suspects are found among the few leased flows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ergon_runtime.core.flows import SUSPECT, Claim, ClaimRequest, Lease
from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores import rules
from ergon_runtime.stores.sqlite import rows
from ergon_runtime.stores.sqlite.mailboxes import Mailboxes

_FITS = """(:fingerprint IS NULL OR fingerprint IS NOT :fingerprint) AND (:under IS NULL OR EXISTS (
    SELECT 1 FROM json_each(:under) AS top
    WHERE flow.id = top.value OR substr(flow.id, 1, length(top.value) + 1) = top.value || '/'))"""
_PRIORITY = """SELECT priority FROM flow WHERE lane = ? AND token IS NULL AND due IS NOT NULL AND priority > ?
    ORDER BY priority LIMIT 1"""
_DUE = f"""SELECT priority, due, id, 0 FROM flow WHERE lane = :lane AND priority = :priority AND token IS NULL
    AND due <= :now AND {_FITS} ORDER BY due, id LIMIT :limit"""  # noqa: S608  _FITS is a constant
_LATER = f"""SELECT due FROM flow WHERE lane = :lane AND priority = :priority AND token IS NULL AND due > :now
    AND {_FITS} ORDER BY due LIMIT 1"""  # noqa: S608  as above
_LENGTH = """SELECT lease_length FROM flow WHERE lane = ? AND token IS NOT NULL AND lease_length > ?
    ORDER BY lease_length LIMIT 1"""
_LAPSED = f"""SELECT priority, due, id, recoveries FROM flow
    WHERE lane = :lane AND token IS NOT NULL AND lease_length = :length AND due <= :now AND {_FITS}
    UNION ALL SELECT priority, due, id, recoveries FROM flow
    WHERE lane = :lane AND token IS NOT NULL AND lease_length = :length AND due > :now + 2 * :length
    AND {_FITS}"""  # noqa: S608  as above
_LAPSES = f"""SELECT due FROM flow WHERE lane = :lane AND token IS NOT NULL AND lease_length = :length AND due > :now
    AND {_FITS} ORDER BY due LIMIT 1"""  # noqa: S608  as above
_ONE = """SELECT priority, due, id, recoveries, token IS NOT NULL, lease_length, fingerprint, status, lane
    FROM flow WHERE id = ?"""
_TAKE = """UPDATE flow SET status = 'running', token = ?, owner = ?, lease_length = ?, due = ?, alone = ?, started = ?,
    ended = NULL, fingerprint = NULL, recoveries = ?, deaths = ? WHERE id = ?"""

_Candidate = tuple[int, int | None, str, int]
"""priority, due, id, recoveries"""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a request may get: `chosen` in order; whether `more` is due now; whether a suspect is due and not chosen."""

    chosen: tuple[str, ...]
    more: bool
    suspects: bool


def look(conn: sqlite3.Connection, request: ClaimRequest, now: int) -> Sight:
    """Find the flows that a request may get."""
    found = sorted(set(_candidates(conn, request, now)), key=_turn)
    suspects = [] if request.operator else [flow for flow in found if flow[3] >= SUSPECT]
    ready = [flow for flow in found if request.operator or flow[3] < SUSPECT]
    chosen = suspects[:1] if request.alone and not request.operator else ready
    chosen = chosen[: request.limit]
    more = len(ready) > len(chosen) and not request.alone
    return Sight(tuple(flow[2] for flow in chosen), more, any(flow not in chosen for flow in suspects))


def take(
    conn: sqlite3.Connection, flow: str, request: ClaimRequest, token: str, now: int, mailboxes: Mailboxes
) -> Claim:
    """Give a flow to the worker. Raises StoreCorrupt if its input is gone."""
    row = conn.execute(rows.CLAIMED, (flow,)).fetchone()
    if row is None:
        raise StoreCorrupt(f"flow {flow} is damaged: its input is gone; stop all workers, and restore a backup")
    claim = rows.claimed(Lease(flow, token), row, now, mailboxes.visible(flow))
    lease = (token, request.worker, request.lease, now + request.lease, request.alone)
    conn.execute(_TAKE, (*lease, claim.started, claim.recoveries, claim.deaths, flow))
    return claim


def next_due(conn: sqlite3.Connection, request: ClaimRequest, now: int) -> int | None:
    """When the next flow falls due, later than now."""
    return min((due for due in _later(conn, request, now) if due is not None and due > now), default=None)


def _candidates(conn: sqlite3.Connection, request: ClaimRequest, now: int) -> Iterator[_Candidate]:
    if request.ids is not None:
        yield from _named(conn, request, request.ids, now)
        return
    for lane in request.lanes:
        wanted = request.limit + 1
        values = _values(request, lane, now)
        for priority in _priorities(conn, lane):
            if wanted <= 0:
                break
            due = conn.execute(_DUE, values | {"priority": priority, "limit": wanted}).fetchall()
            wanted -= len(due)
            yield from due
        for length in _lengths(conn, lane):
            yield from conn.execute(_LAPSED, values | {"length": length}).fetchall()


def _named(conn: sqlite3.Connection, request: ClaimRequest, ids: tuple[str, ...], now: int) -> Iterator[_Candidate]:
    for flow in ids:
        row = conn.execute(_ONE, (flow,)).fetchone()
        if row is None:
            continue
        priority, due, _, recoveries, leased, length, fingerprint, status, lane = row
        ready = due is not None and (rules.expired(due, length, now) if leased else due <= now)
        fits = request.fingerprint is None or fingerprint != request.fingerprint
        free = ready or not leased if request.operator else ready and fits
        if free and rules.wanted(request, rows.known(status), lane) and rules.within(request, flow):
            yield priority, due, flow, recoveries


def _later(conn: sqlite3.Connection, request: ClaimRequest, now: int) -> Iterator[int | None]:
    if request.ids is not None:
        for flow in request.ids:
            row = conn.execute(_ONE, (flow,)).fetchone()
            if row is None or not rules.within(request, flow):
                continue
            if request.fingerprint is None or row[6] != request.fingerprint:
                yield row[1]
        return
    for lane in request.lanes:
        values = _values(request, lane, now)
        for priority in _priorities(conn, lane):
            for row in conn.execute(_LATER, values | {"priority": priority}):
                yield row[0]
        for length in _lengths(conn, lane):
            for row in conn.execute(_LAPSES, values | {"length": length}):
                yield row[0]


def _values(request: ClaimRequest, lane: str, now: int) -> dict[str, Any]:
    under = None if request.under is None else json.dumps(request.under)
    return {"fingerprint": request.fingerprint, "under": under, "lane": lane, "now": now}


def _priorities(conn: sqlite3.Connection, lane: str) -> Iterator[int]:
    return _distinct(conn, _PRIORITY, lane)


def _lengths(conn: sqlite3.Connection, lane: str) -> Iterator[int]:
    return _distinct(conn, _LENGTH, lane)


def _distinct(conn: sqlite3.Connection, query: str, lane: str) -> Iterator[int]:
    """The values that occur in a column, by one seek each."""
    value = -(2**62)
    while row := conn.execute(query, (lane, value)).fetchone():
        value = row[0]
        yield value


def _turn(flow: _Candidate) -> tuple[int, bool, int, str]:
    priority, due, flow_id, _ = flow
    return priority, due is None, due or 0, flow_id
