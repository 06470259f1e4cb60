"""When a step's body may no longer start, however long it has waited for a thread: once it was asked to stop (T3), and
past the fence of its lease (C6)."""

from __future__ import annotations

import asyncio
import threading

from ergon_runtime import flow, step
from ergon_runtime.core.entries import StepStopped, TimerFired, unpack
from tests.runtime.workers import run, shop, until

gate = threading.Event()
ran: list[str] = []


@step
def starts_holds_the_thread() -> None:
    gate.wait(10)


@step
def starts_late() -> None:
    ran.append("late")


@flow
async def starts_both() -> None:
    await asyncio.gather(starts_holds_the_thread(), starts_late())


@flow
async def starts_flow() -> str:
    first = asyncio.create_task(starts_holds_the_thread())
    await asyncio.sleep(0)  # the first has asked
    try:
        async with asyncio.timeout(0.01):
            await starts_late()
    except TimeoutError:
        await first
        return "given up"
    return "ran"


def test_t3_sync_step_that_is_stopped_before_a_thread_takes_it_never_starts() -> None:
    async def main() -> None:
        gate.clear()
        ran.clear()
        async with shop(starts_flow, concurrency=1) as here:
            handle = await here.scheduler.schedule(starts_flow(), id="f")

            async def kinds() -> list[type]:
                return [type(unpack(row, 0).entry) for row in await here.store.journal("f", 0, 100)]

            async def cancelled() -> bool:
                return TimerFired in await kinds()

            await until(cancelled)
            bodies = here.worker._runners["f"]._bodies
            assert bodies is not None
            await until(lambda: bodies._bodies["starts_late"].stop_asked)
            gate.set()
            assert await handle.result() == "given up"
            assert StepStopped in await kinds()
            assert ran == []

    run(main)


def test_c6_sync_step_that_a_thread_takes_past_the_fence_does_not_start() -> None:
    async def main() -> None:
        gate.clear()
        ran.clear()
        async with shop(starts_both, concurrency=1) as here:
            await here.scheduler.schedule(starts_both(), id="f")
            pool, behind = here.worker.engine.pool, threading.Event()
            assert pool is not None
            await until(lambda: "f" in here.worker._runners and here.worker._runners["f"]._bodies is not None)
            runner = here.worker._runners["f"]
            await until(lambda: runner._bodies is not None and "2/starts_late" in runner._bodies._bodies)
            await asyncio.sleep(0)  # its task has put it into the pool's queue
            runner.held.sent -= 1_000_000
            pool.submit(behind.set)
            gate.set()
            assert behind.wait(10)  # not awaited: nothing but the thread goes on
            assert ran == []

    run(main)
