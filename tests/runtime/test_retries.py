"""Tries of steps and flows: which errors are tried again, after how long (T7), and limits around all tries."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from ergon_runtime.core.entries import AttemptFailed, Retried, StepStopped
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import CodecError, NonRetryableError, RetryableError
from ergon_runtime.primitives import sleep, step_info
from tests.runtime.rigs import EPOCH, rig, seconds, stands, virtual
from tests.runtime.workers import until

log: list[Any] = []
SLOWLY = RetryPolicy(max_attempts=3, initial=100, max_delay=1000, jitter=0.5)


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


class Throttled(Exception):
    """Not one of ours, and says when to come back."""

    def __init__(self, seconds: float) -> None:
        super().__init__("too many requests")
        self.retry_after = seconds


# --- how long between two tries
@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (ValueError("x"), [100, 200]),
        (RetryableError("x", retry_after=3), [3, 3]),
        (RetryableError("x", retry_after=timedelta(minutes=10)), [600, 600]),
        (Throttled(0), [0, 0]),
        (Throttled(-5), [100, 200]),
    ],
    ids=str,
)
@pytest.mark.parametrize("of", ["step", "flow"])
def test_t7_next_try_comes_when_the_error_says_else_by_the_policy(error: Exception, waits: list[int], of: str) -> None:
    policy = RetryPolicy(max_attempts=3, initial=100, max_delay=1000)

    @step(retry=policy if of == "step" else None)
    async def fails() -> None:
        log.append(seconds())
        raise error

    @flow(retry=policy if of == "flow" else None)
    async def calls() -> None:
        await fails()

    async def main() -> None:
        async with rig(calls) as here:
            with pytest.raises(type(error)):
                await here.result(calls())
            kind = AttemptFailed if of == "step" else Retried
            found = [e.due - e.at for e in await here.entries() if isinstance(e, AttemptFailed | Retried)]
            assert found == [1000 * each for each in waits]
            assert len([e for e in await here.entries() if isinstance(e, kind)]) == 2

    virtual(main)
    assert log == [0, waits[0], waits[0] + waits[1]]


@pytest.mark.parametrize(("spread", "wait"), [(0.0, 50), (0.5, 100), (1.0, 150)])
def test_delay_lies_within_the_jitter_of_the_policy(spread: float, wait: int) -> None:
    @step(retry=SLOWLY)
    async def fails() -> None:
        log.append(seconds())
        if len(log) == 1:
            raise ValueError

    @flow(retry=SLOWLY)
    async def calls() -> None:
        await fails()
        log.append("life")
        if log.count("life") == 1:
            raise ValueError

    async def main() -> None:
        async with rig(calls, spread=lambda: spread) as here:
            await here.result(calls())
            found = [e.due - e.at for e in await here.entries() if isinstance(e, AttemptFailed | Retried)]
            assert found == [1000 * wait] * 2

    virtual(main)


# --- which errors
ERRORS: list[tuple[BaseException, int]] = [
    (OSError("x"), 3),
    (PermissionError("x"), 1),
    (ValueError("x"), 1),
    (NonRetryableError("x"), 1),
    (CodecError("x"), 1),
    (Picky("x"), 2),
    (RetryableError("x"), 3),
    (Broken("x"), 1),
]
NARROW = RetryPolicy(
    max_attempts=3,
    initial=0,
    retryable=(OSError, RetryableError, NonRetryableError, CodecError, Broken),
    non_retryable=(PermissionError,),
)


@pytest.mark.parametrize(("error", "tries"), ERRORS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("of", ["step", "flow"])
def test_error_is_tried_again_as_the_policy_and_the_error_say(error: BaseException, tries: int, of: str) -> None:
    @step(retry=NARROW if of == "step" else None)
    async def fails() -> None:
        log.append("try")
        raise error

    @flow(retry=NARROW if of == "flow" else None)
    async def calls() -> None:
        await fails()

    async def main() -> None:
        async with rig(calls) as here:
            with pytest.raises(type(error)):
                await here.result(calls())

    virtual(main)
    assert len(log) == tries


def test_flow_whose_result_cannot_be_stored_is_not_tried_again() -> None:
    @flow(retry=NARROW)
    async def calls() -> int:
        log.append("life")
        return object()  # type: ignore[return-value]  # the point

    async def main() -> None:
        async with rig(calls) as here:
            with pytest.raises(CodecError):
                await here.result(calls())

    virtual(main)
    assert log == ["life"]


# --- asyncio.timeout around all tries of a step
def test_timeout_around_a_step_cuts_the_wait_for_its_next_try_and_keeps_its_tries() -> None:
    @step(retry=RetryPolicy(max_attempts=9, initial=10))
    async def fails() -> None:
        log.append(seconds())
        raise ValueError

    @flow
    async def calls() -> str:
        try:
            async with asyncio.timeout(25):
                await fails()
        except TimeoutError:
            return "cut"
        return "ended"

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "cut"
            assert seconds() == 25
            kinds = ["attempt fails", "attempt fails", "timer timeout", "stopped fails"]
            assert await here.kinds() == kinds
            (stopped,) = [e for e in await here.entries() if isinstance(e, StepStopped)]
            assert stopped.attempts == 2

    virtual(main)
    assert log == [0, 10]  # the third was due at 30


def test_timeout_around_a_step_cancels_the_try_that_runs() -> None:
    @step(retry=RetryPolicy(max_attempts=9, initial=1), timeout=10)
    async def hangs() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            log.append(seconds())

    @flow
    async def calls() -> str:
        try:
            await asyncio.wait_for(hangs(), 15)
        except TimeoutError:
            return "cut"
        return "ended"

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "cut"

    virtual(main)
    assert log == [10, 15]  # the first try by its own limit, the second by that of all


def test_timeout_around_a_step_ends_when_it_would_have_without_the_crash() -> None:
    @step(retry=RetryPolicy(max_attempts=9, initial=10, multiplier=1))
    async def fails() -> None:
        log.append((round(seconds()), step_info().attempt))
        raise ValueError

    @flow
    async def calls() -> float:
        try:
            async with asyncio.timeout(45):
                await fails()
        except TimeoutError:
            return asyncio.get_running_loop().time() - EPOCH / 1000
        return 0

    async def main() -> None:
        async with rig(calls, residents=0) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await until(lambda: len(log) == 2)
            await here.workers[0].abort()
            await asyncio.sleep(12)
            here.start(calls)
            assert round(await handle.result(), 3) == 45

    virtual(main)
    assert log == [(0, 1), (10, 2), (22, 3), (32, 4), (42, 5)]


def test_m3_timeout_that_passed_in_one_life_passes_anew_in_the_next() -> None:
    @step
    async def slow() -> None:
        log.append(seconds())
        await asyncio.sleep(60 if len(log) == 1 else 8)

    @flow(retry=RetryPolicy(max_attempts=2, initial=5))
    async def calls() -> str:
        await sleep(1)
        async with asyncio.timeout(10):
            await slow()
        return "in time"

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await stands(handle, "completed")
            assert await handle.result() == "in time"

    virtual(main)
    assert log == [1, 16]
