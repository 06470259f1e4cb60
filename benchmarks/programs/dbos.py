"""DBOS on SQLite, as its documentation writes a program: decorated functions, started as background workflows.

`default` leaves SQLite as DBOS opens it. `wal` sets WAL and synchronous FULL on each of its connections. Both poll as
fast as DBOS lets them. Starting workflows directly is its quickest way (a queue costs it more), so its figure holds
their scheduling: it is to be compared with figures that do as well.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSConfig

from benchmarks.programs.common import FLOW_STEPS, Order, Watch, emit_rate, order, versions
from benchmarks.results import Setting

WAL = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")

ended = 0
seen: dict[str, Setting] = {}
"""What is in force on its connections."""


def watch_connections(pragmas: tuple[str, ...]) -> None:
    """Set these on each connection of the process, and note what then holds."""

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def connected(connection: Any, _: object) -> None:
        for pragma in pragmas:
            connection.execute(pragma)
        seen["journal_mode"] = connection.execute("PRAGMA journal_mode").fetchone()[0]
        seen["synchronous"] = SYNCHRONOUS[connection.execute("PRAGMA synchronous").fetchone()[0]]


@DBOS.step()
async def work(n: int) -> int:
    return n + 1


@DBOS.workflow()
async def in_turn(n: int, steps: int) -> int:
    global ended
    for _ in range(steps):
        n = await work(n)
    ended += 1
    return n


async def main(asked: Order) -> None:
    flows, steps = (1, asked.count) if asked.work == "T2" else (asked.count, FLOW_STEPS)
    watch_connections(WAL if asked.variant == "wal" else ())
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{asked.place}/dbos.db",
        "notification_listener_polling_interval_sec": 0.001,
        "log_level": "ERROR",
        "application_version": "1",
    }
    DBOS(config=config)
    DBOS.launch()
    watch = Watch()
    handles = await asyncio.gather(*(DBOS.start_workflow_async(in_turn, n, steps) for n in range(flows)))
    while ended < flows:
        await asyncio.sleep(0.005)
    for handle in handles[-20:]:  # all code has run; asking for every result would cost it more than it measures
        await handle.get_result(polling_interval_sec=0.001)
    spent = watch.read()
    settings = {**versions("dbos"), **seen, "flows_at_once": "all", "sqlite": sqlite3.sqlite_version}
    emit_rate(asked, " + scheduling", "steps", flows * steps, spent, **settings)
    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main(order()))
