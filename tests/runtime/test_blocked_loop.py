"""Leases are renewed by a thread of their own: a step that blocks the worker's loop loses none (C6)."""

from __future__ import annotations

import time

from ergon_runtime import flow, step
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.workers import run, shop

DEADLINE = 10.0
"""Seconds for which the step waits for two renewals."""
stores: list[MemoryStore] = []
renewals: list[int] = []


@step
async def blocks_the_loop() -> bool:
    """Holds the loop until the lease was renewed twice; whether it was."""
    state, end = stores[-1].state, time.monotonic() + DEADLINE
    seen = {due := state.flows["f"].due}
    while len(seen) < 3 and time.monotonic() < end:
        time.sleep(0.005)
        seen.add(due := state.flows["f"].due)
    renewals.append(len(seen) - 1)
    return due is not None


@flow
async def loop_blocker() -> bool:
    return await blocks_the_loop()


def test_step_that_blocks_the_loop_keeps_its_lease() -> None:
    async def main() -> None:
        async with shop(loop_blocker, lease=0.6) as here:
            assert isinstance(here.store, MemoryStore)
            stores.append(here.store)
            assert await (await here.scheduler.schedule(loop_blocker(), id="f")).result() is True
        assert renewals[0] == 2  # on a starved machine the step may then be run again

    run(main)
