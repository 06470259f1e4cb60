"""Every case of every sample, on every store, with a real worker in this process, in real time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_runtime import Scheduler, Worker, open_store
from tests.samples.cases import Case, all_cases
from tests.samples.running import all_ended, check, served

STORES = {"memory": "memory://", "sqlite": "sqlite:///{folder}/ergon.db"}
"""The stores' addresses; `{folder}` is the test's own."""
PATIENCE = 60.0
"""Seconds after which a case has failed."""


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.name)
def test_case_run_by_a_worker_comes_to_its_end(case: Case, store: str, tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(run(case, STORES[store].format(folder=tmp_path)), PATIENCE))


async def run(case: Case, url: str) -> None:
    definitions = served(case)
    async with open_store(url) as store:
        running = await Worker(store).register(*definitions).start()
        try:
            handle = await Scheduler(store).schedule(case.flow())
            for name, payload in case.signals:
                await handle.signal(name, payload)
            await check(case, store, await all_ended(store, handle.id))
        finally:
            await running.shutdown()
