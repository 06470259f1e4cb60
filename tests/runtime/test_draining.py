"""What a worker that drains does with a claim that is on its way: it waits for it, and hands the flows back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.flows import ClaimRequest, Claims, Status
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.rigs import rig, store_clock, virtual

log: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


class SlowClaims(MemoryStore):
    """Claims at once, and answers after five seconds."""

    async def claim(self, request: ClaimRequest) -> Claims:
        found = await super().claim(request)
        if found.claims:
            log.append("claimed")
        await asyncio.sleep(5)
        return found


def test_claim_on_its_way_is_waited_for_and_its_flow_handed_back() -> None:
    @step
    async def never() -> None:
        log.append("ran")

    @flow
    async def calls() -> None:
        await never()

    async def main() -> None:
        async with rig() as here:
            await here.scheduler.schedule(calls(), id="f")
            store = SlowClaims(clock=store_clock)
            assert isinstance(here.store, MemoryStore)
            store._shared = here.store._shared
            worker = here.start(calls, store=store, lease=30.0)
            while not log:
                await asyncio.sleep(0.1)
            await worker.shutdown()
            assert ((await here.row()).status, log) == (Status.PENDING, ["claimed"])

    virtual(main)
