"""How step bodies are stopped: cancelled, given a grace time, not begun again; and steps that run at most once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from ergon_runtime.core.entries import StepEnded, StepStopped
from ergon_runtime.core.flows import Commit, CommitReply
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import OutcomeUnknown
from ergon_runtime.primitives import sleep, step_info
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.rigs import rig, virtual
from tests.runtime.workers import until

log: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


# --- cancellation (T3)


class Prompt(ThreadPoolExecutor):
    """Takes a sync step's body and comes back when that runs: virtual time does not wait for threads.

    It outlives the loop, which would wait for them in real time.
    """

    def __init__(self) -> None:
        super().__init__(2)
        self.begun = threading.Event()
        """Set by the body."""

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        taken = super().submit(*args, **kwargs)
        assert self.begun.wait(30)
        return taken


@pytest.fixture
def pool() -> Iterator[Prompt]:
    with Prompt() as pool:
        yield pool


def stopping(body: Any) -> Any:
    """A flow that starts a step, cancels it after 5 seconds, and tells what came of it and when."""

    @flow
    async def calls() -> list[object]:
        task = asyncio.create_task(body())
        await sleep(5)
        task.cancel()
        await asyncio.wait([task])
        now = asyncio.get_running_loop().time() - 1_700_000_000
        return ["cancelled" if task.cancelled() else repr(task.exception() or task.result()), round(now, 1)]

    return calls


def test_t3_body_is_cancelled_and_its_end_awaited() -> None:
    @step
    async def body() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(2)
            log.append("cleaned up")

    async def main() -> None:
        calls = stopping(body)
        async with rig(calls) as here:
            assert await here.result(calls()) == ["cancelled", 7.0]
            assert await here.kinds() == ["timer sleep", "stopped 1/body"]
            assert log == ["cleaned up"]

    virtual(main)


@pytest.mark.parametrize(("raises", "end"), [(False, "step 1/body"), (True, "step 1/body")])
def test_t3_body_that_ends_otherwise_when_cancelled_is_recorded_and_the_flow_is_cancelled(
    raises: bool, end: str
) -> None:
    @step(retry=RetryPolicy.STANDARD)
    async def body() -> str:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            if raises:
                raise ValueError("no") from None
        return "kept on"

    async def main() -> None:
        calls = stopping(body)
        async with rig(calls) as here:
            assert await here.result(calls()) == ["cancelled", 5.0]
            assert await here.kinds() == ["timer sleep", end]  # a step asked to stop is not tried again
            (ended,) = [e for e in await here.entries() if isinstance(e, StepEnded)]
            assert (ended.error is not None) is raises

    virtual(main)


def test_t3_body_that_outlives_the_grace_is_stopped_and_its_late_result_skipped() -> None:
    @step
    async def body() -> str:
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                log.append("not now")
        return "late"

    @flow
    async def calls() -> str:
        task = asyncio.create_task(body())
        await sleep(5)
        task.cancel()
        await asyncio.wait([task])
        await busy()
        return "cancelled" if task.cancelled() else "ended"

    @step
    async def busy() -> None:
        await asyncio.sleep(100)

    async def main() -> None:
        async with rig(calls, grace=4.0) as here:
            assert await here.result(calls()) == "cancelled"
            assert await here.kinds() == ["timer sleep", "stopped 1/body", "step 1/body", "step busy"]
            times = {e.kind: e.at - (await here.entries())[0].at for e in (await here.entries())[:4]}
            assert (times["stopped"], log) == (9000, ["not now"])

    virtual(main)


def test_t3_sync_body_asked_to_stop_gets_the_grace_time_only(pool: Prompt) -> None:
    gate = threading.Event()

    @step
    def body() -> None:
        pool.begun.set()
        gate.wait(30)

    @flow
    async def calls() -> str:
        try:
            async with asyncio.timeout(0.01):
                await body()
        except TimeoutError:
            return "gave up"
        return "waited"

    async def main() -> None:
        async with rig(calls, grace=4.0, pool=pool) as here:
            assert await here.result(calls()) == "gave up"
            assert await here.kinds() == ["timer timeout", "stopped body"]
            _, timeout, stopped = await here.entries()
            assert stopped.at - timeout.at == 4000
            gate.set()

    virtual(main)


def test_t3_stop_while_waiting_for_a_retry_ends_the_step_at_once() -> None:
    @step(retry=RetryPolicy(max_attempts=3, initial=50))
    async def body() -> None:
        log.append("try")
        raise ValueError("no")

    async def main() -> None:
        calls = stopping(body)
        async with rig(calls) as here:
            assert await here.result(calls()) == ["cancelled", 5.0]
            assert await here.kinds() == ["attempt 1/body", "timer sleep", "stopped 1/body"]
            (stopped,) = [e for e in await here.entries() if isinstance(e, StepStopped)]
            assert stopped.attempts == 1

    virtual(main)
    assert log == ["try"]


def test_t3_step_asked_to_stop_is_not_started_again_after_a_crash(pool: Prompt) -> None:
    gate = threading.Event()

    @step
    def body() -> None:
        log.append("begun")
        pool.begun.set()
        gate.wait(30)

    async def main() -> None:
        calls = stopping(body)
        async with rig(calls, grace=500.0, pool=pool) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await asyncio.sleep(8)
            assert await here.kinds() == ["timer sleep"]
            await here.workers[0].abort()
            here.start(calls)
            assert (await handle.result())[0] == "cancelled"
            assert await here.kinds() == ["timer sleep", "stopped 1/body"]
            (stopped,) = [e for e in await here.entries() if isinstance(e, StepStopped)]
            assert stopped.attempts == 0
            gate.set()

    virtual(main)
    assert log == ["begun"]


# --- at most once (T5)


@pytest.fixture
def launch() -> Any:
    @step(at_most_once=True)
    async def launch() -> str:
        log.append("launched")
        await asyncio.sleep(50)
        return "away"

    return launch


def test_t5_start_of_an_at_most_once_step_is_in_the_store_before_its_body_runs(launch: Any) -> None:
    @flow
    async def calls() -> str:
        return str(await launch())

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await until(lambda: bool(log))
            assert await here.kinds() == ["begun launch"]
            assert await handle.result() == "away"
            assert await here.kinds() == ["begun launch", "step launch"]

    virtual(main)


def test_t5_body_waits_for_the_commit_of_its_start_however_long_that_takes(launch: Any) -> None:
    class Slow(MemoryStore):
        async def commit(self, commit: Commit) -> CommitReply:
            await asyncio.sleep(0.1)
            return await super().commit(commit)

    @flow
    async def calls() -> str:
        return str(await launch())

    async def main() -> None:
        async with rig() as here:
            slow = Slow()
            slow._shared = here.store._shared  # type: ignore[attr-defined]  # the rig's is a memory store
            here.start(calls, store=slow)
            await here.scheduler.schedule(calls(), id="f")
            await until(lambda: bool(log))
            assert await here.kinds() == ["begun launch"]

    virtual(main)


def test_t5_starts_are_journaled_first_also_when_one_commit_cannot_hold_them() -> None:
    async def main() -> None:
        async with rig() as here:

            @step(at_most_once=True)
            async def launch(n: int) -> None:
                journal = b"".join(await here.store.journal("f", 0, 1000))
                assert f'["begun",1,"{step_info().key}"'.encode() in journal.replace(b'["begun",2', b'["begun",1')

            @flow
            async def calls() -> int:
                return len(await asyncio.gather(*(launch(n) for n in range(150))))

            here.start(calls)
            assert await here.result(calls()) == 150

    virtual(main)


def test_t3_step_cancelled_while_its_start_is_journaled_never_begins(launch: Any) -> None:
    @flow
    async def calls() -> bool:
        task = asyncio.create_task(launch())
        await sleep(0, name="due")  # it ends in the commit that journals the start
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) is True
            assert await here.kinds() == ["begun 1/launch", "timer due", "stopped 1/launch"]

    virtual(main)
    assert log == []


def test_t5_crash_between_start_and_end_raises_outcome_unknown_and_runs_nothing(launch: Any) -> None:
    @flow
    async def calls() -> str:
        try:
            return str(await launch())
        except OutcomeUnknown as error:
            return str(error)

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await until(lambda: bool(log))
            await here.workers[0].abort()
            here.start(calls)
            assert "whether it took effect" in await handle.result()
            assert log == ["launched"]

    virtual(main)


def test_t5_stopped_step_is_cancelled_in_its_life_but_unknown_in_the_next(launch: Any) -> None:
    @flow(retry=RetryPolicy(max_attempts=2, initial=0))
    async def calls() -> str:
        try:
            async with asyncio.timeout(5):
                await launch()
        except OutcomeUnknown:
            return "unknown"
        raise ValueError("not reached")

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "unknown"
            kinds = [kind for kind in await here.kinds() if "timeout" not in kind]
            assert kinds == ["begun launch", "stopped launch", "retried ", "step launch"]

    virtual(main)
    assert log == ["launched"]


def test_t5_failed_at_most_once_step_has_ended_and_may_be_tried_by_a_flow_retry() -> None:
    @step(at_most_once=True)
    async def launch() -> str:
        log.append("launched")
        if len(log) == 1:
            raise ValueError("no fuel")
        return "away"

    @flow(retry=RetryPolicy(max_attempts=2, initial=0))
    async def calls() -> str:
        return await launch()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "away"
            assert (await here.kinds()).count("begun launch") == 2

    virtual(main)
