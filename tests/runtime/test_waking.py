"""A runner's wake-up: calls, alarms that are kept, and alarms that are brought forward."""

from __future__ import annotations

import asyncio

from ergon_runtime.waking import WakeUp
from tests.runtime.rigs import virtual


def test_wait_ends_by_a_call_and_by_one_that_came_before() -> None:
    async def main() -> None:
        wake, loop = WakeUp(), asyncio.get_running_loop()
        begun = loop.time()
        loop.call_later(3, wake.call)
        await wake.wait(10)
        await wake.wait(10)  # not forgotten
        assert loop.time() - begun == 3

    virtual(main)


def test_wait_without_a_call_ends_after_its_time_also_when_a_later_alarm_stood() -> None:
    async def main() -> None:
        wake, loop = WakeUp(), asyncio.get_running_loop()
        begun = loop.time()
        wake.call()
        await wake.wait(50)
        wake.forget()
        await wake.wait(2)
        assert loop.time() - begun == 2
        wake.forget()
        await wake.wait(5)
        assert loop.time() - begun == 7

    virtual(main)


def test_alarm_of_an_earlier_wait_wakes_too_early_and_not_twice() -> None:
    async def main() -> None:
        wake, loop = WakeUp(), asyncio.get_running_loop()
        begun = loop.time()
        wake.call()
        await wake.wait(2)
        wake.forget()
        await wake.wait(9)
        assert loop.time() - begun == 2
        wake.forget()
        await wake.wait(9)
        assert loop.time() - begun == 11

    virtual(main)


def test_closed_wake_up_rings_no_more() -> None:
    async def main() -> None:
        wake = WakeUp()
        wake.call()
        await wake.wait(2)
        wake.forget()
        wake.close()
        await asyncio.sleep(5)
        waiting = asyncio.create_task(wake.wait(100))
        await asyncio.sleep(50)
        assert not waiting.done()
        waiting.cancel()

    virtual(main)
