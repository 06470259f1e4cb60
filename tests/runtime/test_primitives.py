"""The primitives in flow code: time, signals, randomness, patches, new lives; and their refusals elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ergon_runtime import primitives
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, flow_type, registry, step
from ergon_runtime.errors import DefinitionError
from ergon_runtime.primitives import (
    continue_as_new,
    invoke,
    now,
    patched,
    random,
    sleep,
    sleep_until,
    step_info,
    uuid4,
    wait_signal,
)
from tests.harness import START, Drive


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


BEGAN = datetime.fromtimestamp(START / 1000, UTC)


@dataclass
class Decision:
    by: str
    approved: bool


class OrderError(Exception):
    """An error of the flows below."""


@step
async def echo(text: str) -> str:
    return text


@flow(name="test_primitives.elsewhere")
async def elsewhere(order: str) -> str:
    return order


# --- time


def test_sleep_by_seconds_timedelta_and_name_moves_the_flow_time() -> None:
    @flow
    async def naps() -> list[datetime]:
        await sleep(1.5)
        first = now()
        await sleep(timedelta(minutes=1), name="pause")
        return [first, now()]

    drive = Drive(naps())
    assert drive.result() == [BEGAN + timedelta(seconds=1.5), BEGAN + timedelta(seconds=61.5)]
    assert drive.kinds() == ["started", "timer sleep", "timer pause"]
    assert drive.replayed() == drive.result()


def test_sleep_until_a_moment_wakes_at_it() -> None:
    @flow
    async def naps() -> datetime:
        await sleep_until(BEGAN + timedelta(days=2))
        return now()

    assert Drive(naps()).result() == BEGAN + timedelta(days=2)


def test_sleep_until_a_moment_after_a_flow_retry_wakes_at_it_all_the_same() -> None:
    @step
    async def fails_first() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first")

    @flow(retry=RetryPolicy(max_attempts=2, initial=3600))
    async def tries_again() -> datetime:
        await fails_first()
        await sleep_until(BEGAN + timedelta(hours=2))
        return now()

    tries: list[int] = []
    assert Drive(tries_again()).result() == BEGAN + timedelta(hours=2)


def test_sleep_until_a_naive_time_is_refused() -> None:
    @flow
    async def naps() -> None:
        await sleep_until(datetime(2030, 1, 1))

    with pytest.raises(DefinitionError, match="aware"):
        Drive(naps()).result()


def test_now_in_a_turn_stands_still() -> None:
    @flow
    async def looks() -> bool:
        return now() == now() == BEGAN

    assert Drive(looks(), clock=START + 5).result()


# --- signals


def test_signal_with_a_type_gives_that_type() -> None:
    @flow
    async def asks() -> str:
        decision = await wait_signal("approve/17#a", Decision)
        return decision.by

    drive = Drive(asks()).signal("approve/17#a", {"by": "kim", "approved": True}, at=500)
    assert drive.result() == "kim"
    assert drive.replayed() == "kim"


def test_signal_that_does_not_fit_is_set_aside_and_the_wait_goes_on() -> None:
    @flow
    async def asks() -> int:
        return await wait_signal("count", int)

    drive = Drive(asks()).signal("count", "many").signal("count", 3, at=10)
    assert drive.result() == 3
    assert len(drive.aside) == 1


def test_signals_come_first_in_first_out() -> None:
    @flow
    async def asks() -> list[object]:
        return [await wait_signal("it") for _ in range(3)]

    assert Drive(asks()).signal("it", 1).signal("it", 2).signal("it", 3, at=9).result() == [1, 2, 3]


def test_signal_names_that_look_like_other_keys_stay_apart() -> None:
    @flow
    async def asks() -> list[object]:
        async def inner() -> object:
            return await wait_signal("x")

        task = asyncio.create_task(inner())
        found = [await wait_signal("1/x"), await wait_signal("y"), await wait_signal("y#2"), await wait_signal("y")]
        return [*found, await task]

    drive = Drive(asks()).signal("1/x", 1).signal("y", 2).signal("y#2", 3).signal("y", 4, at=1).signal("x", 5, at=2)
    assert drive.result() == [1, 2, 3, 4, 5]
    assert len(set(drive.kinds())) == 6
    assert drive.replayed() == drive.result()


@pytest.mark.parametrize("timeout", [2, timedelta(seconds=2)])
def test_signal_that_does_not_come_times_out(timeout: Any) -> None:
    @flow
    async def asks() -> str:
        try:
            return await wait_signal("never", str, timeout=timeout)
        except TimeoutError:
            return f"{now() - BEGAN}"

    drive = Drive(asks())
    assert drive.result() == "0:00:02"
    assert drive.replayed() == "0:00:02"


# --- randomness


def test_randomness_is_the_scopes_own_and_repeats() -> None:
    @flow
    async def rolls() -> list[object]:
        async def inner() -> float:
            return random().random()

        same = random() is random()
        first, second = await asyncio.gather(inner(), inner())
        return [same, first != second, random().random(), str(uuid4()), str(uuid4())]

    drive = Drive(rolls())
    result = drive.result()
    assert result[:2] == [True, True]
    assert result[3] != result[4]
    assert result[3][14] == "4"
    assert Drive(rolls()).result() == result
    assert drive.replayed() == result


# --- patches, new lives


def test_patched_takes_new_code_in_new_flows_and_old_code_in_old_ones() -> None:
    @flow(name="changing")
    async def before() -> str:
        first = await echo("old")
        await sleep(1)
        return first

    old = Drive(before()).run().journal

    @flow(name="changing", version="2")
    async def after() -> str:
        first = await echo("new" if patched("swap") else "old")
        await sleep(1)
        return first

    assert Drive(after()).result() == "new"
    assert Drive(after(), journal=old, ended=True).result() == "old"
    assert Drive(after(), journal=old[:2]).result() == "old"


@dataclass
@flow_type(name="test_primitives.Counter")
class Counter:
    left: int
    total: int = 0

    @flow
    async def run(self) -> int:
        await echo(f"{self.left}")
        if self.left:
            continue_as_new(Counter(self.left - 1, self.total + self.left))
        return self.total


def test_continue_as_new_begins_again_with_new_arguments() -> None:
    drive = Drive(Counter(3))
    assert drive.result() == 6
    assert drive.kinds()[-2:] == ["continued", "step echo"]


def test_continue_as_new_with_another_type_is_refused() -> None:
    @flow
    async def turns() -> None:
        continue_as_new(Counter(1))

    with pytest.raises(DefinitionError, match=r"turns cannot continue as test_primitives\.Counter"):
        Drive(turns()).result()


# --- refusals outside flow code


PRIMITIVES: list[Callable[[], Any]] = [
    lambda: sleep(1),
    lambda: sleep_until(BEGAN),
    lambda: wait_signal("x"),
    lambda: invoke(elsewhere("a")),
    now,
    random,
    uuid4,
    lambda: patched("x"),
    lambda: continue_as_new(elsewhere("a")),
]


async def call(primitive: Callable[[], Any]) -> None:
    found = primitive()
    if asyncio.iscoroutine(found):
        await found


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_primitive_outside_flow_code_is_refused(primitive: Callable[[], Any]) -> None:
    with pytest.raises(DefinitionError, match="works in flow code only"):
        asyncio.run(call(primitive))


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_primitive_in_a_step_names_the_step_to_open_up(primitive: Callable[[], Any]) -> None:
    @step
    async def helper() -> str:
        try:
            await call(primitive)
        except DefinitionError as error:
            return str(error)
        return "no error"

    @flow
    async def calls() -> str:
        return await helper()

    assert "was called in step helper, and works in flow code only: drop @step" in Drive(calls()).result()


def test_step_info_in_a_body_tells_key_try_and_idempotency_key() -> None:
    tries: list[primitives.StepInfo] = []

    @step(retry=RetryPolicy(max_attempts=2))
    def flaky() -> int:
        tries.append(step_info())
        if len(tries) < 2:
            raise OrderError("again")
        return len(tries)

    @flow
    async def calls() -> int:
        return await flaky()

    assert Drive(calls()).result() == 2
    assert [(info.key, info.attempt, info.idempotency_key) for info in tries] == [
        ("flaky", 1, "f1:1:flaky"),
        ("flaky", 2, "f1:1:flaky"),
    ]


def test_step_info_in_flow_code_is_refused() -> None:
    @flow
    async def calls() -> str:
        return step_info().key

    with pytest.raises(DefinitionError, match="step_info"):
        Drive(calls()).result()
