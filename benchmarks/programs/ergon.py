"""Ergon, with its worker in this process: small flows (T1), a long one (T2), children (T3), parallel steps (T4)."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.programs import ergon_flows as flows
from benchmarks.programs.common import FLOW_STEPS, Order, Watch, emit_rate, order, versions
from benchmarks.results import Setting
from ergon_runtime import FlowQuery, FlowValue, Scheduler, Status, Store, Worker, open_store

AT_ONCE = 1000
"""Flows that advance at once."""
PEERS_TOO = ("T1", "T2")
"""Works that others do as well, some of whom cannot schedule apart."""
UNFINISHED = FlowQuery(statuses=(Status.PENDING, Status.RUNNING, Status.WAITING), limit=1)


async def main(asked: Order) -> None:
    async with open_store(address(asked.place, asked.variant)) as store:
        match asked.work:
            case "T1":
                await run(asked, store, "steps", [flows.short(n) for n in range(asked.count)], FLOW_STEPS)
            case "T2":
                await run(asked, store, "steps", [flows.long(asked.count)], asked.count)
            case "T3":
                await run(asked, store, "children", [flows.fan(asked.count)], asked.count, begun=FLOW_STEPS)
            case "T4":
                await run(asked, store, "steps", [flows.wide(asked.count)], asked.count)
            case _:
                raise SystemExit(f"no work {asked.work} here")


async def run(
    asked: Order, store: Store, what: str, wanted: list[FlowValue[Any]], each: int, *, begun: int = 1
) -> None:
    """Schedule these flows, then start a worker, and measure until none is left. Each flow counts `each`, and begins
    `begun` steps for one of them."""
    whole, scheduler, total = Watch(), Scheduler(store), each * len(wanted)
    await asyncio.gather(*(scheduler.schedule(flow) for flow in wanted))
    watch = Watch()
    async with await Worker(store, concurrency=AT_ONCE).register_all().start():
        while flows.begun < total * begun or await store.list(UNFINISHED):
            await asyncio.sleep(0.005)
        spent, spent_whole = watch.read(), whole.read()
        settings = {**versions("ergon-runtime"), "flows_at_once": AT_ONCE, **await in_force(store)}
    emit_rate(asked, "", what, total, spent, **settings)
    if asked.work in PEERS_TOO:
        emit_rate(asked, " + scheduling", what, total, spent_whole, **settings)


def address(place: str, synchronous: str = "") -> str:
    """The address of a new store; `synchronous` is for SQLite, if not its default."""
    if "://" in place:
        return f"{place}?db=0&namespace={secrets.token_hex(8)}"
    options = f"?synchronous={synchronous}" if synchronous else ""
    return f"sqlite:///{Path(place).resolve()}/ergon-{secrets.token_hex(4)}.db{options}"


async def in_force(store: Store) -> dict[str, Setting]:
    """How safe what it stores is, as the store itself says."""
    found = await store.identity()
    said: dict[str, Setting] = {"durability": found.durability.partition(":")[0]}
    if found.url.startswith("sqlite:///"):
        with closing(sqlite3.connect(found.url.removeprefix("sqlite:///"))) as conn:
            said["journal_mode"] = conn.execute("PRAGMA journal_mode").fetchone()[0]
        said["sqlite"] = sqlite3.sqlite_version
    return said


if __name__ == "__main__":
    asyncio.run(main(order()))
