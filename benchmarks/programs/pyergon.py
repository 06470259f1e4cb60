"""PyErgon, as its README writes a program: a dataclass with steps, a scheduler, a worker; SQLite or Redis.

Its worker stays in this process, as in all its examples. SQLite is opened by PyErgon itself, in WAL mode with
synchronous NORMAL; the variant `full` sets FULL on its connection, which it has no setting for.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from typing import Any

from pyergon import Scheduler, Worker, flow, flow_type, step
from pyergon.storage.redis import RedisExecutionLog
from pyergon.storage.sqlite import SqliteExecutionLog

from benchmarks.programs.common import FLOW_STEPS, Order, Watch, emit_rate, order, versions
from benchmarks.results import Setting

CONNECTIONS = 5000
"""To Redis, at most: its pool does not wait but fails when it is empty."""

done = 0


def steps_of(count: int) -> list[Any]:
    """So many steps. PyErgon knows a step by its method's name, and takes a second call of it in a flow for the same
    one: a flow of a thousand steps needs as many methods."""

    def one(number: int) -> Any:
        async def work(self: object, n: int) -> int:
            global done
            done += 1
            return n + 1

        work.__name__ = work.__qualname__ = f"work_{number}"
        return step(work)

    return [one(number) for number in range(count)]


@dataclass
@flow_type
class Short:
    """A flow of a few steps, one after the other."""

    number: int

    @flow
    async def run(self) -> int:
        return await in_turn(self, SHORT, self.number)


@dataclass
@flow_type
class Long:
    """A flow of many."""

    number: int

    @flow
    async def run(self) -> int:
        return await in_turn(self, LONG, self.number)


async def in_turn(flow_object: object, steps: list[Any], n: int) -> int:
    for work in steps:
        n = await work(flow_object, n)
    return n


SHORT, LONG = steps_of(FLOW_STEPS), steps_of(1000)


async def main(asked: Order) -> None:
    flow_class, flows, steps = (Long, 1, len(LONG)) if asked.work == "T2" else (Short, asked.count, FLOW_STEPS)
    redis = "://" in asked.place
    storage = (
        RedisExecutionLog(asked.place, max_connections=CONNECTIONS)
        if redis
        else SqliteExecutionLog(f"{asked.place}/pyergon.db")
    )
    await storage.connect()
    settings: dict[str, Setting] = {} if redis else await in_force(storage._connection, full=asked.variant == "full")
    scheduler = Scheduler(storage).unversioned()
    whole = Watch()
    for number in range(flows):
        await scheduler.schedule(flow_class(number))
    worker = Worker(storage, "worker-1")  # with a limit on flows it stops for good after so many
    await worker.register(flow_class)
    watch = Watch()
    handle = await worker.start()
    while done < flows * steps or await storage.get_incomplete_flows():
        await asyncio.sleep(0.005)
    spent, spent_whole = watch.read(), whole.read()
    settings = {**versions("pyergon"), "flows_at_once": "all", **settings}
    emit_rate(asked, "", "steps", flows * steps, spent, **settings)
    emit_rate(asked, " + scheduling", "steps", flows * steps, spent_whole, **settings)
    handle.abort()
    await storage.close()


async def in_force(connection: Any, *, full: bool) -> dict[str, Setting]:
    """The settings of its connection to SQLite."""
    if full:
        await connection.execute("PRAGMA synchronous = FULL")
    (mode,) = await (await connection.execute("PRAGMA journal_mode")).fetchone()
    (synchronous,) = await (await connection.execute("PRAGMA synchronous")).fetchone()
    return {
        "journal_mode": mode,
        "synchronous": ("OFF", "NORMAL", "FULL")[synchronous],
        "sqlite": sqlite3.sqlite_version,
    }


if __name__ == "__main__":
    logging.disable(logging.INFO)
    asyncio.run(main(order()))
