"""Flows tried again as a whole: what the next life remembers (M1 to M5), its delay, and who may not be tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.entries import Retried
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import FlowCancelled, NonRetryableError
from ergon_runtime.primitives import invoke, now, sleep, step_info, wait_signal
from tests.runtime.rigs import EPOCH, rig, stands, virtual

log: list[str] = []
AGAIN = RetryPolicy(max_attempts=3, initial=100, multiplier=2, max_delay=1000)


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


@step
async def note(what: str) -> str:
    log.append(f"{what} {step_info().idempotency_key}")
    return what


@step
async def fail_until(life: int) -> str:
    log.append("try")
    if log.count("try") < life:
        raise ValueError(f"try {log.count('try')}")
    return "passed"


def test_m1_retry_reuses_successes_and_tries_only_what_failed() -> None:
    @flow
    async def kid() -> str:
        return await note("kid")

    @flow(retry=AGAIN)
    async def calls() -> list[str]:
        found = [await note("a"), await wait_signal("go", str), await invoke(kid())]
        await sleep(7)
        return [*found, await fail_until(3)]

    async def main() -> None:
        async with rig(calls, kid) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await handle.signal("go", "went")
            assert await handle.result() == ["a", "went", "kid", "passed"]
            assert [e.due - e.at for e in await here.entries() if isinstance(e, Retried)] == [100_000, 200_000]

    virtual(main)
    assert log == ["a f:1:note", "kid f/kid:1:note", "try", "try", "try"]


def test_m5_retry_that_keeps_nothing_does_all_again_under_new_idempotency_keys() -> None:
    @flow(retry=AGAIN, keep=False)
    async def calls() -> str:
        await note("charge")
        return await fail_until(2)

    async def main() -> None:
        async with rig(calls) as here:
            assert await here.result(calls()) == "passed"

    virtual(main)
    assert log == ["charge f:1:note", "try", "charge f:2:note", "try"]


def test_step_is_told_which_attempt_of_its_flow_it_runs_in() -> None:
    @step(retry=RetryPolicy(max_attempts=2, initial=1))
    async def fail_at_first() -> None:
        info = step_info()
        log.append(f"{info.flow_attempt} {info.attempt}")
        if (info.flow_attempt, info.attempt) != (2, 2):
            raise ValueError

    @flow(retry=AGAIN)
    async def calls() -> None:
        await fail_at_first()

    async def main() -> None:
        async with rig(calls) as here:
            await here.result(calls())

    virtual(main)
    assert log == ["1 1", "1 2", "2 1", "2 2"]


def test_retry_waits_its_delay_across_workers_and_begins_its_time_then() -> None:
    @flow(retry=AGAIN, keep=False)
    async def calls() -> float:
        began = now().timestamp()
        await fail_until(2)
        return began

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await stands(handle, "waiting")
            assert log == ["try"]
            await here.workers[0].shutdown()
            here.start(calls)
            assert await handle.result() == EPOCH / 1000 + 100

    virtual(main)


@pytest.mark.parametrize(
    ("error", "lives"), [(ValueError("x"), 3), (NonRetryableError("x"), 1), (KeyError("x"), 1), (SystemExit("x"), 1)]
)
def test_flow_that_fails_is_tried_as_its_policy_allows(error: BaseException, lives: int) -> None:
    @flow(retry=RetryPolicy(max_attempts=3, initial=0, non_retryable=(KeyError,)))
    async def calls() -> None:
        log.append("life")
        raise error

    async def main() -> None:
        async with rig(calls) as here:
            with pytest.raises(Exception, match="x"):
                await here.result(calls())

    virtual(main)
    assert log == ["life"] * lives


def test_cancelled_flow_is_not_tried_again() -> None:
    @flow(retry=AGAIN)
    async def calls() -> None:
        log.append("life")
        try:
            await sleep(50)
        except asyncio.CancelledError:
            raise ValueError("on the way out") from None

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await stands(handle, "waiting")
            await handle.cancel()
            with pytest.raises(ValueError, match="on the way out"):
                await handle.result()

    virtual(main)
    assert log == ["life"]


def test_p3_cancel_during_a_retrys_delay_ends_the_flow_without_its_code() -> None:
    @flow(retry=AGAIN)
    async def calls() -> str:
        return await fail_until(9)

    async def main() -> None:
        async with rig(calls) as here:
            handle = await here.scheduler.schedule(calls(), id="f")
            await stands(handle, "waiting")
            await handle.cancel()
            with pytest.raises(FlowCancelled):
                await handle.result()

    virtual(main)
    assert log == ["try"]


def test_k4_life_that_fails_cancels_its_children_and_the_next_has_its_own() -> None:
    @flow
    async def kid() -> None:
        await sleep(10_000)

    @flow(retry=RetryPolicy(max_attempts=2, initial=1))
    async def calls() -> str:
        child = invoke(kid())
        passed = await fail_until(2)
        assert child.id.endswith("~2")
        return passed

    async def main() -> None:
        async with rig(calls, kid) as here:
            assert await here.result(calls()) == "passed"
            for child in ("f/kid", "f/kid~2"):
                await stands(here.scheduler.handle(child), "cancelled")

    virtual(main)
