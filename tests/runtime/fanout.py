"""Wide flows: one parent with very many children, or steps. `make rig-wide COUNT=10000` measures them.

    python -m tests.runtime.fanout 10000 [memory|sqlite] [gather|group|steps|cancel]...

prints, per store and shape, the time, and the CPU time per child beside that of a tenth as many: nothing may grow with
the square of the number.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ergon_runtime import FlowHandle, Scheduler, Worker, flow, invoke, open_store, registry, step, wait_signal
from ergon_runtime.core.flows import FlowQuery, Status
from ergon_runtime.replay import replay_flow
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.memory import MemoryStore

SHAPES = ("gather", "group", "steps", "cancel")


@step
async def double(n: int) -> int:
    return 2 * n


@flow
async def leaf(n: int) -> int:
    return await double(n)


@flow
async def sleeper(n: int) -> None:
    await wait_signal("never")


@flow
async def gathered(count: int) -> int:
    children = [invoke(leaf(n)) for n in range(count)]
    return sum(await asyncio.gather(*children))


@flow
async def grouped(count: int) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_child(n)) for n in range(count)]
    return sum(task.result() for task in tasks)


async def _child(n: int) -> int:
    return await invoke(leaf(n))


@flow
async def stepped(count: int) -> int:
    return sum(await asyncio.gather(*[double(n) for n in range(count)]))


@flow
async def brooding(count: int) -> None:
    await asyncio.gather(*[invoke(sleeper(n)) for n in range(count)])


FLOWS = {"gather": gathered, "group": grouped, "steps": stepped, "cancel": brooding}


@asynccontextmanager
async def working(store: Store) -> AsyncIterator[Scheduler]:
    """A worker in this process."""
    running = await Worker(store).register(leaf, sleeper, *FLOWS.values()).start()
    try:
        yield Scheduler(store)
    finally:
        await running.shutdown()


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Store]:
    """An empty store."""
    if kind == "memory":
        yield MemoryStore()
        return
    with tempfile.TemporaryDirectory() as folder:
        async with open_store(f"sqlite:///{Path(folder) / 'wide.db'}") as store:
            yield store


async def children(store: Store, parent: str, count: int) -> list[Status]:
    """Where the children of a flow stand."""
    return [row.status for row in await store.list(FlowQuery(parent=parent, limit=count + 1))]


async def cancelled(store: Store, count: int, scheduler: Scheduler) -> FlowHandle[None]:
    """A parent with `count` children that wait, cancelled."""
    handle = await scheduler.schedule(brooding(count), id="f")
    while (await children(store, "f", count)).count(Status.WAITING) < count:
        await asyncio.sleep(0.05 + count / 10_000)
    await handle.cancel()
    while (await children(store, "f", count)).count(Status.CANCELLED) < count:
        await asyncio.sleep(0.05 + count / 10_000)
    return handle


@dataclass
class Cost:
    """What one wide flow took, in seconds; `cpu` is this process's, which other programs disturb least."""

    wall: float
    cpu: float
    replay: float


async def wide(kind: str, shape: str, count: int) -> Cost:
    """Run one parent to its end, and replay it."""
    async with opened(kind) as store, working(store) as scheduler:
        began, used = time.perf_counter(), time.process_time()
        if shape == "cancel":
            await cancelled(store, count, scheduler)
        else:
            handle = await scheduler.schedule(FLOWS[shape](count), id="f")
            assert await handle.result() == count * (count - 1)
        ended, spent = time.perf_counter(), time.process_time()
        row = await store.get("f")
        assert row is not None
        report = await replay_flow(store, row, registry.get)
        assert report.verdict == "same", report
        return Cost(ended - began, spent - used, time.process_time() - spent)


def main(count: int, kinds: list[str], shapes: list[str]) -> None:
    for kind in kinds:
        for shape in shapes:
            small, large = (asyncio.run(wide(kind, shape, number)) for number in (count // 10, count))
            print(
                f"{kind:7} {shape:7} {count:,} in {large.wall:.1f} s, {large.cpu:.1f} s of CPU: each"
                f" {large.cpu / small.cpu / 10:.2f} times that of a tenth as many; replayed in {large.replay:.2f} s,"
                f" {large.replay / small.replay / 10:.2f} times",
                flush=True,
            )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    words = sys.argv[2:]
    main(
        int(sys.argv[1]),
        [word for word in words if word in ("memory", "sqlite")] or ["memory", "sqlite"],
        [word for word in words if word in SHAPES] or list(SHAPES),
    )
