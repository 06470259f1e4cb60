"""How step bodies run: tries and their delays, errors and exits, timeouts, threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ergon_runtime.core.entries import AttemptFailed, StepEnded
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import CodecError, NonRetryableError, RetryableError
from ergon_runtime.primitives import StepInfo, step_info
from tests.runtime.rigs import rig, seconds, stands, virtual
from tests.runtime.workers import run, until

log: list[Any] = []
TWICE = RetryPolicy(max_attempts=3, initial=10, multiplier=3)


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


class Picky(RetryableError):
    """Says itself whether to try again."""

    def is_retryable(self) -> bool:
        return len(log) < 2


class Broken(Exception):
    """Cannot say whether to try again."""

    def is_retryable(self) -> bool:
        raise LookupError("nobody knows")


class Rude(BaseException):
    """No Exception, as those of test frameworks."""


# --- tries (T2)


def test_t2_failed_tries_are_journaled_and_follow_the_policys_delays() -> None:
    @step(retry=TWICE)
    async def flaky() -> int:
        log.append((seconds(), step_info().attempt))
        if len(log) < 3:
            raise ValueError("not yet")
        return 7

    @flow
    async def calls() -> int:
        return await flaky()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == 7
            entries = await here.entries()
            assert await here.kinds() == ["attempt flaky", "attempt flaky", "step flaky"]
            assert [e.attempt for e in entries if isinstance(e, AttemptFailed)] == [1, 2]
            assert [e.attempts for e in entries if isinstance(e, StepEnded)] == [3]

    virtual(main)
    assert log == [(0.0, 1), (10.0, 2), (40.0, 3)]


def test_t2_count_of_tries_survives_a_new_worker() -> None:
    @step(retry=TWICE)
    async def flaky() -> str:
        log.append(step_info().attempt)
        if len(log) == 1:
            raise ValueError("first")
        if len(log) == 2:
            await asyncio.Event().wait()
        return "done"

    @flow
    async def calls() -> str:
        return await flaky()

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await until(lambda: len(log) == 2)
            await here.workers[0].abort()
            here.start(calls)
            assert await handle.result() == "done"
            assert log == [1, 2, 2]  # the try that nobody saw the end of is not counted
            (end,) = [e for e in await here.entries() if isinstance(e, StepEnded)]
            assert (end.attempts, end.worker) == (2, "w2")

    virtual(main)


def test_retry_that_is_due_while_nobody_works_is_made_once() -> None:
    @step(retry=TWICE)
    async def flaky() -> str:
        log.append(step_info().attempt)
        if len(log) == 1:
            raise ValueError("first")
        return "done"

    @flow
    async def calls() -> str:
        return await flaky()

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await stands(handle, "waiting")
            await here.workers[0].shutdown()
            await asyncio.sleep(500)
            assert (await here.row()).status == "waiting"
            here.start(calls)
            assert await handle.result() == "done"
            assert log == [1, 2]

    virtual(main)


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (ValueError("x"), 3),
        (KeyError("x"), 1),
        (NonRetryableError("x"), 1),
        (CodecError("x"), 1),
        (Picky("x"), 2),
        (Broken("x"), 1),
        (asyncio.CancelledError(), 1),
        (TimeoutError("x"), 3),
        (StopIteration("x"), 3),  # the last ones become RuntimeError
        (SystemExit(3), 1),
        (Rude("x"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_error_of_a_body_ends_the_step_after_the_tries_it_allows(
    error: BaseException, tries: int, is_async: bool
) -> None:
    policy = RetryPolicy(max_attempts=3, initial=0, non_retryable=(LookupError,))

    async def in_loop() -> None:
        log.append("try")
        raise error

    def in_thread() -> None:
        log.append("try")
        raise error

    body = step(name="fails", retry=policy)(in_loop if is_async else in_thread)

    @flow
    async def calls() -> str:
        try:
            await body()
        except BaseException as caught:
            return type(caught).__name__
        return "nothing raised"

    async def main() -> None:
        async with rig(calls) as here:
            caught = await here.result(calls())
            changed = isinstance(error, StopIteration | SystemExit | Rude)
            expected = "RuntimeError" if changed else type(error).__name__
            assert (caught, len(log)) == (expected, tries)

    run(main)


def test_t4_result_that_cannot_be_stored_fails_the_step_untried_again() -> None:
    @step(retry=TWICE)
    async def odd() -> int:
        log.append("try")
        return object()  # type: ignore[return-value]  # the point

    @flow
    async def calls() -> str:
        try:
            return str(await odd())
        except CodecError as error:
            return str(error)

    async def main() -> None:
        async with rig(calls) as here:
            assert "odd" in await here.result(calls())

    virtual(main)
    assert log == ["try"]


def test_error_is_raised_in_the_flow_as_its_own_type_with_its_cause() -> None:
    class OrderError(Exception):
        pass

    globals()["OrderError"] = OrderError

    @step
    async def fails() -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise OrderError("outer", 7) from error

    @flow
    async def calls() -> list[str]:
        try:
            await fails()
        except Exception as error:
            return [type(error).__name__, str(error.args[1]), repr(error.__cause__)]
        return []

    async def main() -> None:
        async with rig(calls) as here:
            assert (await here.result(calls()))[1:] == ["7", "KeyError('inner')"]

    virtual(main)


# --- timeouts of one try


def test_timeout_of_a_try_cancels_the_body_and_counts_as_a_failed_try() -> None:
    @step(timeout=2, retry=TWICE)
    async def slow() -> str:
        try:
            await asyncio.sleep(0 if log else 100)
        finally:
            log.append(seconds())
        return "second"

    @flow
    async def calls() -> str:
        return await slow()

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "second"
            assert await here.kinds() == ["attempt slow", "step slow"]

    virtual(main)
    assert log == [2.0, 12.0]


def test_timeout_of_a_sync_try_fails_it_though_the_thread_goes_on() -> None:
    gate = threading.Event()

    @step(timeout=0.05)
    def slow() -> None:
        gate.wait(5)
        log.append("thread went on")

    @flow
    async def calls() -> str:
        try:
            await slow()
        except TimeoutError:
            return "late"
        return "in time"

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "late"
            assert log == []
            gate.set()
            await until(lambda: bool(log))
            assert await here.kinds() == ["step slow"]

    run(main)


def test_timeout_of_a_sync_try_does_not_count_the_wait_for_a_thread() -> None:
    gate = threading.Event()

    @step
    def blocks_the_only_thread() -> None:
        gate.wait(5)

    @step(timeout=0.2)
    def quick() -> str:
        return "in time"

    @flow
    async def calls() -> str:
        return (await asyncio.gather(blocks_the_only_thread(), quick()))[1]

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            async with rig(calls, pool=pool) as here:
                loop = asyncio.get_running_loop()
                loop.call_later(0.3, gate.set)
                assert await here.result(calls()) == "in time"

    run(main)


# --- threads


def test_sync_step_runs_in_a_thread_with_its_own_context() -> None:
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="unset")

    @step
    def inner(n: int) -> None:
        log.append((threading.current_thread() is threading.main_thread(), mine.get(), step_info()))
        mine.set(f"by {n}")

    @flow
    async def calls() -> None:
        await asyncio.gather(inner(1), inner(2))

    async def main() -> None:
        async with rig() as here:
            mine.set("the worker's")
            here.start(calls)
            await here.result(calls())

    run(main)
    infos: list[StepInfo] = [info for _, _, info in log]
    assert [(in_main, value) for in_main, value, _ in log] == [(False, "the worker's")] * 2
    assert sorted(info.key for info in infos) == ["1/inner", "2/inner"]
    assert {(info.flow_id, info.attempt, info.idempotency_key) for info in infos} == {
        ("f", 1, "f:1:1/inner"),
        ("f", 1, "f:1:2/inner"),
    }
