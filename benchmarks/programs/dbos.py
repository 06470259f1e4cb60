"""DBOS on SQLite, as its documentation writes a program: decorated functions, started as background workflows.

`default` leaves SQLite as DBOS opens it; `wal` sets WAL and synchronous FULL on each of its connections. Functions
took less of the CPU than coroutines, and starting them directly less than a queue. They begin to run while others are
still being started, so its figure holds their scheduling.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSConfig

from benchmarks.programs.common import FLOW_STEPS, Order, Watch, emit_rate, order, versions
from benchmarks.results import Setting

WAL = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
POLL = 0.001
"""Seconds between two looks whether workflows have ended."""
LAST = 20
"""How many are asked for their results: all code has run by then, and asking all would cost more than it measures."""
SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")

ended: list[int] = []
"""A result for each workflow whose code has run, in whichever thread."""
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
def work(n: int) -> int:
    return n + 1


@DBOS.workflow()
def in_turn(n: int, steps: int) -> int:
    for _ in range(steps):
        n = work(n)
    ended.append(n)
    return n


def run(flows: int, steps: int) -> None:
    handles = [DBOS.start_workflow(in_turn, n, steps) for n in range(flows)]
    while len(ended) < flows:
        time.sleep(POLL)
    for handle in handles[-LAST:]:
        handle.get_result(polling_interval_sec=POLL)


def main(asked: Order) -> None:
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
    run(flows, steps)
    spent = watch.read()
    settings = {
        **versions("dbos"),
        **seen,
        "flows_at_once": "all",
        "sqlite": sqlite3.sqlite_version,
    }
    emit_rate(asked, " + scheduling", "steps", flows * steps, spent, **settings)
    DBOS.destroy()


if __name__ == "__main__":
    main(order())
