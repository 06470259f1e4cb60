"""Heartbeats with a time limit (T6): how long a step may be silent; and heartbeats from threads."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from ergon_runtime.core.entries import AttemptFailed
from ergon_runtime.core.heartbeats import heartbeats_in, read_note
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.primitives import heartbeat, step_info
from tests.runtime.rigs import rig, seconds, virtual
from tests.runtime.workers import run, until

log: list[Any] = []
AGAIN = RetryPolicy(max_attempts=3, initial=10)


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


# --- heartbeat_timeout
def test_t6_silent_try_fails_and_the_next_goes_on_from_the_last_detail() -> None:
    @step(heartbeat_timeout=5, retry=AGAIN)
    async def copies() -> int:
        begun: int = step_info().heartbeat or 0
        for n in range(begun, 6):
            heartbeat(n)
            log.append((seconds(), n))
            await asyncio.sleep(100 if n == 2 and begun == 0 else 4)
        return begun

    @flow
    async def calls() -> int:
        return await copies()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == 2
            (failed,) = [e for e in await here.entries() if isinstance(e, AttemptFailed)]
            assert "step copies gave no heartbeat for 5.0 s" in failed.error

    virtual(main)
    assert log == [(0, 0), (4, 1), (8, 2), (23, 2), (27, 3), (31, 4), (35, 5)]


def test_t6_silence_counts_from_the_start_of_each_try() -> None:
    @step(heartbeat_timeout=timedelta(seconds=3), retry=AGAIN)
    async def hangs() -> None:
        log.append(seconds())
        await asyncio.sleep(1000)

    @flow
    async def calls() -> str:
        try:
            await hangs()
        except TimeoutError as error:
            return str(error)
        return ""

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "step hangs gave no heartbeat for 3.0 s"

    virtual(main)
    assert log == [0, 13, 36]


def test_t6_heartbeats_do_not_put_off_the_end_of_the_try() -> None:
    @step(timeout=10, heartbeat_timeout=4)
    async def chatters() -> None:
        while True:
            heartbeat()
            await asyncio.sleep(3)

    @flow
    async def calls() -> list[Any]:
        try:
            await chatters()
        except TimeoutError as error:
            return [str(error), round(asyncio.get_running_loop().time() % 1000)]
        return []

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == ["step chatters took longer than 10.0 s", 10]

    virtual(main)


def test_t6_error_of_the_body_itself_stays_what_it_is() -> None:
    @step(heartbeat_timeout=4)
    async def fails() -> None:
        raise TimeoutError("its own")

    @flow
    async def calls() -> str:
        try:
            await fails()
        except TimeoutError as error:
            return str(error)
        return ""

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "its own"

    virtual(main)


def test_heartbeat_of_a_body_on_its_way_out_is_heard_but_wins_no_time() -> None:
    @step(heartbeat_timeout=2, retry=AGAIN)
    async def stubborn() -> Any:
        if step_info().attempt == 2:
            return step_info().heartbeat
        try:
            await asyncio.sleep(100)
        finally:
            heartbeat("cleaning up")
            await asyncio.sleep(7)
            log.append(seconds())

    @flow
    async def calls() -> Any:
        return await stubborn()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "cleaning up"
            assert await here.kinds() == ["attempt stubborn", "step stubborn"]

    virtual(main)
    assert log == [9]


# --- threads
def test_sync_try_that_falls_silent_fails_and_what_its_thread_tells_later_is_ignored() -> None:
    gate, over = threading.Event(), threading.Event()

    @step(heartbeat_timeout=0.2, retry=RetryPolicy(max_attempts=3, initial=0))
    def copies() -> Any:
        match step_info().attempt:
            case 1:
                heartbeat(1)
                heartbeat(2)
                heartbeat()
                gate.wait(10)
                heartbeat("ignored: this try is over")
                over.set()
                return "too late"
            case 2:
                gate.set()
                while not over.wait(0.01):
                    heartbeat()
                raise ValueError
            case _:
                return step_info().heartbeat

    @flow
    async def calls() -> Any:
        return await copies()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == 2
            assert over.is_set()
            first, second = [e.error for e in await here.entries() if isinstance(e, AttemptFailed)]
            assert "gave no heartbeat for 0.2 s" in first
            assert "ValueError" in second

    run(main)


def test_sync_steps_wait_for_a_thread_is_no_silence() -> None:
    gate = threading.Event()

    @step
    def blocks_the_only_thread() -> None:
        gate.wait(10)

    @step(heartbeat_timeout=0.5)
    def quick() -> str:
        return "in time"

    @flow
    async def calls() -> str:
        return (await asyncio.gather(blocks_the_only_thread(), quick()))[1]

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            async with rig(calls, pool=pool) as here:
                asyncio.get_running_loop().call_later(0.7, gate.set)
                assert await here.result(calls()) == "in time"

    run(main)


def test_thread_that_tells_all_the_time_is_not_silent_and_its_last_word_counts() -> None:
    @step(heartbeat_timeout=1, retry=RetryPolicy(max_attempts=2, initial=0))
    def chatters() -> Any:
        if step_info().attempt == 2:
            return step_info().heartbeat
        end = time.monotonic() + 1.5
        n = 0
        while time.monotonic() < end:
            n += 1
            heartbeat(n)
        log.append(n)
        raise ValueError

    @flow
    async def calls() -> Any:
        return await chatters()

    async def main() -> None:
        async with rig(calls) as here:
            assert [await here.result(calls())] == log

    run(main)


def test_async_step_tells_from_a_thread_of_its_own() -> None:
    @step(retry=RetryPolicy(max_attempts=2, initial=0))
    async def copies() -> Any:
        if step_info().attempt == 2:
            return step_info().heartbeat
        await asyncio.to_thread(heartbeat, "from a thread")
        raise ValueError

    @flow
    async def calls() -> Any:
        return await copies()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "from a thread"

    run(main)


def test_heartbeat_after_the_worker_has_gone_does_nothing() -> None:
    begun, gate = threading.Event(), threading.Event()

    @step
    def copies() -> None:
        begun.set()
        gate.wait(10)
        heartbeat("nobody listens")
        log.append("told")

    @flow
    async def calls() -> None:
        await copies()

    async def main() -> None:
        async with rig(calls) as here:
            await here.scheduler.schedule(calls(), id="f")
            await until(begun.is_set)
            await here.workers[0].abort()
            gate.set()
            await until(lambda: bool(log))
            assert heartbeats_in(read_note((await here.row()).note)) == []

    run(main)
    assert log == ["told"]
