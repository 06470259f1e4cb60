"""Flows with thousands of children or parallel steps: all end, none is lost. How long it takes: `make rig-wide`."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from ergon_runtime import Executor, Scheduler, Status, flow, registry, step
from ergon_runtime.core.entries import unpack
from ergon_runtime.replay import replay_flow
from ergon_runtime.stores.contract import Store
from ergon_runtime.view import view_flow
from tests.runtime.fanout import FLOWS, cancelled, children, gathered, opened, working

COUNT = 2000
KINDS = ("memory", "sqlite")


async def journal(store: Store, flow_id: str, length: int) -> Counter[str]:
    """How many entries of each kind a flow has."""
    return Counter(unpack(row, 0).entry.kind for row in await store.journal(flow_id, 0, length + 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", ["gather", "group", "steps"])
def test_all_of_thousands_end_and_are_recorded_once(kind: str, shape: str) -> None:
    async def main() -> None:
        async with opened(kind) as store, working(store) as scheduler:
            handle = await scheduler.schedule(FLOWS[shape](COUNT), id="f")
            assert await handle.result() == COUNT * (COUNT - 1)
            kids = await children(store, "f", COUNT)
            found = await journal(store, "f", 2 * COUNT + 1)
            if shape == "steps":
                assert (kids, found) == ([], {"started": 1, "step": COUNT})
            else:
                assert Counter(kids) == {Status.COMPLETED: COUNT}
                assert found == {"started": 1, "created": COUNT, "child": COUNT}
            row = await store.get("f")
            assert row is not None
            report = await replay_flow(store, row, registry.get)
            assert (report.verdict, report.position) == ("same", COUNT)

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_cancel_of_a_parent_reaches_thousands_of_children(kind: str) -> None:
    async def main() -> None:
        async with opened(kind) as store, working(store) as scheduler:
            await cancelled(store, COUNT, scheduler)
            assert Counter(await children(store, "f", COUNT)) == {Status.CANCELLED: COUNT}
            assert await scheduler.handle("f").status() is Status.CANCELLED

    asyncio.run(main())


def test_executor_runs_a_flow_with_thousands_of_children() -> None:
    async def main() -> None:
        async with opened("memory") as store:
            assert await Executor(gathered(COUNT), store).run() == COUNT * (COUNT - 1)

    asyncio.run(main())


@step(at_most_once=True)
async def wide_once(n: int) -> int:
    return n


@flow
async def wide_at_most_once(count: int) -> int:
    return sum(await asyncio.gather(*[wide_once(n) for n in range(count)]))


def test_thousands_of_parallel_at_most_once_steps_run() -> None:
    async def main() -> None:
        async with opened("memory") as store:
            assert await Executor(wide_at_most_once(COUNT), store, id="f").run() == sum(range(COUNT))
            found = await journal(store, "f", 2 * COUNT + 1)
            assert found == {"started": 1, "begun": COUNT, "step": COUNT}

    asyncio.run(main())


def test_view_of_a_parent_that_waits_for_thousands_names_some_and_counts_all() -> None:
    async def main() -> None:
        async with opened("memory") as store:
            async with working(store) as scheduler:
                await scheduler.schedule(FLOWS["cancel"](COUNT), id="f")
                while (await children(store, "f", COUNT)).count(Status.WAITING) < COUNT or not await _rests(scheduler):
                    await asyncio.sleep(0.05)
            row: Any = await store.get("f")
            assert 0 < len(row.waits) < COUNT
            view = await view_flow(store, row, now=await store.now(), workers=[])
            assert view.why is not None
            assert (view.why.kind, view.why.open, len(view.children)) == ("child", COUNT, COUNT)

    asyncio.run(main())


async def _rests(scheduler: Scheduler) -> bool:
    return await scheduler.handle("f").status() is Status.WAITING
