"""The limits: bare loops that write what Ergon's stores write for a step, and do nothing else.

`group`: sqlite3, synchronous FULL, the journal's row and the flow's per step, as many steps in one transaction as
Ergon's writer takes at most. `rows`: aiosqlite, FULL, the journal's row alone, a commit each, one after the other.
`lua`: Redis, a script that appends an entry and updates the flow's hash, in pipelines of as many.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Iterator

import aiosqlite
from redis.asyncio import Redis

from benchmarks.programs import ergon_flows as flows
from benchmarks.programs.common import FLOW_STEPS, Order, Watch, emit_rate, order, versions
from ergon_runtime import Scheduler, open_store
from ergon_runtime.core.entries import StepEnded, pack
from ergon_runtime.core.flows import ClaimRequest, Lease

AT_ONCE = 1000
"""Flows whose steps take turns."""
GROUP = 256
FULL = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
INSERT = "INSERT INTO journal (flow, seq, entry) VALUES (?, ?, ?)"
UPDATE = """UPDATE flow SET head = ?, length = ?, updated = ?, lease_length = ?, due = ?, recoveries = 0, deaths = 0
    WHERE id = ? AND token = ? AND head IS ? AND length = ?"""
APPEND = """redis.call('RPUSH', 'j:' .. ARGV[1], ARGV[2])
redis.call('HSET', 'f:' .. ARGV[1], 'head', ARGV[3], 'length', ARGV[4], 'updated', ARGV[5], 'due', ARGV[6])
return 1"""
NOW = 1_800_000_000_000
LEASE = 15_000


def entry(number: int) -> bytes:
    """A step's entry, as the journal of such a flow has it."""
    value = str(number)
    digest = "0123456789abcdef"
    ended = StepEnded("work", NOW, digest, "work", f"[{value}]", value, None, 1, NOW, NOW, "a-worker-12345-ab12")
    return pack(ended, number)


async def group(asked: Order) -> None:
    path = f"{asked.place}/limit-{secrets.token_hex(4)}.db"
    turns = list(in_turns(await _leases(path, asked.count)))
    rows = [(flow.flow, n, entry(n), _update(flow, n)) for flow, n in turns]
    conn = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    for pragma in FULL:
        conn.execute(pragma)
    watch = Watch()
    for first in range(0, len(rows), GROUP):
        conn.execute("BEGIN IMMEDIATE")
        for flow, n, packed, update in rows[first : first + GROUP]:
            conn.execute(INSERT, (flow, n, packed))
            conn.execute(UPDATE, update)
        conn.execute("COMMIT")
    spent, mode = watch.read(), conn.execute("PRAGMA journal_mode").fetchone()[0]
    written = conn.execute("SELECT sum(length) FROM flow").fetchone()[0]
    assert written == len(rows), f"{written} rows counted, {len(rows)} written"
    settings = {"journal_mode": mode, "synchronous": "FULL", "group": GROUP, "sqlite": sqlite3.sqlite_version}
    emit_rate(asked, "", "steps", len(rows), spent, **settings)


def _update(lease: Lease, n: int) -> tuple[object, ...]:
    head = None if n == 0 else f"{n - 1:016}"
    return (f"{n:016}", n + 1, NOW, LEASE, NOW + LEASE, lease.flow, lease.token, head, n)


async def _leases(path: str, count: int) -> list[Lease]:
    """A new store with so many claimed flows in it."""
    async with open_store(f"sqlite:///{path}") as store:
        await asyncio.gather(*(Scheduler(store).schedule(flows.short(n)) for n in range(count)))
        lane = flows.short(0).definition.lane
        claimed = await store.claim(ClaimRequest("limit", LEASE, count, (lane,)))
    return [claim.lease for claim in claimed.claims]


def in_turns(leases: list[Lease]) -> Iterator[tuple[Lease, int]]:
    """Each flow with each of its steps, as many flows at once as a worker has."""
    for first in range(0, len(leases), AT_ONCE):
        for n in range(FLOW_STEPS):
            for lease in leases[first : first + AT_ONCE]:
                yield lease, n


async def rows(asked: Order) -> None:
    path = f"{asked.place}/limit-{secrets.token_hex(4)}.db"
    (lease,) = await _leases(path, 1)
    async with aiosqlite.connect(path, isolation_level=None) as conn:
        for pragma in FULL:
            await conn.execute(pragma)
        packed, watch = [entry(n) for n in range(asked.count)], Watch()
        for n in range(asked.count):
            await conn.execute(INSERT, (lease.flow, n, packed[n]))
        spent = watch.read()
    settings = {"journal_mode": "wal", "synchronous": "FULL", **versions("aiosqlite"), "sqlite": sqlite3.sqlite_version}
    emit_rate(asked, "", "steps", asked.count, spent, **settings)


async def lua(asked: Order) -> None:
    leases = [Lease(secrets.token_hex(8), "") for _ in range(asked.count)]
    asks = [(lease.flow, entry(n), f"{n:016}", n + 1, NOW, NOW + LEASE) for lease, n in in_turns(leases)]
    async with Redis.from_url(asked.place) as redis:
        sha, watch = await redis.script_load(APPEND), Watch()
        for first in range(0, len(asks), GROUP):
            async with redis.pipeline(transaction=False) as pipeline:
                for ask in asks[first : first + GROUP]:
                    pipeline.evalsha(sha, 0, *ask)
                await pipeline.execute()
        spent = watch.read()
    emit_rate(asked, "", "steps", len(asks), spent, **{"redis-py": versions("redis")["redis"]}, pipeline=GROUP)


if __name__ == "__main__":
    given = order()
    asyncio.run({"group": group, "rows": rows, "lua": lua}[given.variant](given))
