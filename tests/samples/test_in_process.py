"""Every case of every sample, on every store, with real workers in this process, in real time: one by one, and all at
once. The store is checked while they run, and when they have come to their ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from ergon_runtime import Scheduler, Store, Worker, open_store
from ergon_runtime.audit import audit, damage
from ergon_runtime.core.entries import StepEnded
from tests.samples.cases import Case, all_cases
from tests.samples.running import all_ended, check, journal, served
from tests.seed.places import address

CASES = list(all_cases())
STORES = ("memory", "sqlite", "redis")
AT_ONCE = 8
"""Flows that a worker advances at once: so few that all workers get some."""
PATIENCE = 100.0
"""Seconds after which a test has failed."""


@asynccontextmanager
async def working(url: str, cases: Sequence[Case], workers: int) -> AsyncIterator[Store]:
    """A store and workers that serve these cases."""
    definitions = [
        definition for module in {case.module: case for case in cases}.values() for definition in served(module)
    ]
    async with open_store(url) as store, AsyncExitStack() as stack:
        for n in range(workers):
            running = await Worker(store, name=f"worker {n}", concurrency=AT_ONCE).register(*definitions).start()
            stack.push_async_callback(running.shutdown)
        yield store


async def run(case: Case, store: Store) -> set[str]:
    """Run a case to its end; the workers that ended steps of it."""
    handle = await Scheduler(store).schedule(case.flow())
    for name, payload in case.signals:
        await handle.signal(name, payload)
    rows = await all_ended(store, handle.id)
    try:
        await check(case, store, rows)
    except AssertionError as error:
        error.add_note(f"case {case.name}")
        raise
    return {entry.worker for row in rows for entry in await journal(store, row.id) if isinstance(entry, StepEnded)}


async def check_store(store: Store) -> None:
    """Fail unless the store keeps its rules, also while it is used."""
    assert [*await damage(store), *[violation async for violation in audit(store)]] == []


async def check_again_and_again(store: Store) -> None:
    """Until it is cancelled; whoever works goes first."""
    while True:
        await check_store(store)
        await store.wait("", 0.5)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_run_by_a_worker_comes_to_its_end(case: Case, store: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with working(address(store, tmp_path), [case], workers=1) as opened:
            await run(case, opened)
            await check_store(opened)

    asyncio.run(asyncio.wait_for(work(), PATIENCE))


@pytest.mark.parametrize("store", STORES)
def test_all_cases_at_once_on_three_workers_come_to_their_ends(store: str, tmp_path: Path) -> None:
    async def work() -> list[set[str]]:
        async with working(address(store, tmp_path), CASES, workers=3) as opened:
            async with asyncio.TaskGroup() as tasks:
                checking = tasks.create_task(check_again_and_again(opened))
                found = await asyncio.gather(*(run(case, opened) for case in CASES))
                checking.cancel()
            await check_store(opened)
            return found

    workers = asyncio.run(asyncio.wait_for(work(), PATIENCE))
    assert set().union(*workers) == {"worker 0", "worker 1", "worker 2"}
