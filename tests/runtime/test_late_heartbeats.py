"""Bodies that were given up are not heard any more (T6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.heartbeats import heartbeats_in, read_note
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.primitives import heartbeat, sleep
from tests.runtime.rigs import rig, virtual

log: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


@pytest.mark.parametrize("heard", [True, False], ids=["before the grace is over", "after it"])
def test_t6_body_that_is_given_up_is_heard_until_then_and_not_after(heard: bool) -> None:
    @step
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(2 if heard else 6)
            heartbeat("still here")
            log.append("told")
            await asyncio.sleep(60)

    @step
    async def busy() -> None:
        await asyncio.sleep(1000)  # a flow that rests has no bodies

    @flow
    async def calls() -> None:
        task = asyncio.create_task(stubborn())
        await sleep(5)
        task.cancel()
        await asyncio.wait([task])
        await busy()

    async def main() -> None:
        async with rig(calls, grace=4.0) as here:
            await here.scheduler.schedule(calls(), id="f")
            while not log:
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)
            told = heartbeats_in(read_note((await here.row()).note))
            assert [each.detail for each in told] == (['"still here"'] if heard else [])

    virtual(main)
