"""How steps end otherwise: cancelled, stopped, left behind by the flow's end, or begun with nobody knowing the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.entries import StepBegun
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import OutcomeUnknown
from ergon_runtime.primitives import sleep
from tests.harness import Drive


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


@step
async def slow(n: int) -> int:
    return n


@step
async def note(text: str) -> str:
    return text


# --- cancellation (T3)


def test_t3_step_cancelled_in_the_turn_that_asked_never_starts() -> None:
    @flow
    async def calls() -> str:
        task = asyncio.create_task(slow(1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return await note("on")

    drive = Drive(calls())
    assert drive.result() == "on"
    assert drive.kinds() == ["started", "step note"]


def test_t3_step_cancelled_later_gets_an_entry_and_is_waited_for() -> None:
    @flow
    async def calls() -> bool:
        task = asyncio.create_task(slow(1))
        await sleep(1)
        task.cancel()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    drive = Drive(calls(), durations={"1/slow": 5_000})
    assert drive.result() is True
    assert drive.kinds() == ["started", "timer sleep", "stopped 1/slow"]
    assert drive.replayed() is True


def test_t3_further_cancels_do_not_shorten_the_wait() -> None:
    @flow
    async def calls() -> list[bool]:
        task = asyncio.create_task(slow(1))
        await sleep(1)
        task.cancel()
        await sleep(1)
        task.cancel()
        await sleep(1)
        seen = [task.done()]
        await asyncio.wait([task])
        return [*seen, task.cancelled()]

    drive = Drive(calls(), durations={"1/slow": 60_000, "stop": 5_000})
    assert drive.result() == [False, True]
    assert drive.kinds()[-1] == "stopped 1/slow"
    assert drive.replayed() == [False, True]


def test_t3_cancel_of_the_flow_lets_it_clean_up_with_steps() -> None:
    @flow
    async def calls() -> None:
        try:
            await sleep(100)
        finally:
            await note("undone")

    drive = Drive(calls()).cancel(at=50)
    with pytest.raises(asyncio.CancelledError):
        drive.result()
    assert [kind.partition(" ")[0] for kind in drive.kinds()] == ["started", "cancel", "step"]
    with pytest.raises(asyncio.CancelledError):
        drive.replayed()


def test_l7_tasks_left_running_are_cancelled_at_the_end() -> None:
    @flow
    async def calls() -> str:
        async def lingers() -> None:
            try:
                await sleep(100)
            finally:
                await note("last words")

        task = asyncio.create_task(lingers())
        await sleep(1)
        assert not task.done()
        return "end"

    drive = Drive(calls())
    assert drive.result() == "end"
    assert drive.kinds() == ["started", "timer sleep", "step 1/note"]
    assert drive.replayed() == "end"


# --- at most once (T5)


@step(at_most_once=True)
async def launch() -> str:
    return "away"


def test_t5_at_most_once_step_journals_its_start_first() -> None:
    @flow
    async def calls() -> str:
        return await launch()

    drive = Drive(calls())
    assert drive.result() == "away"
    assert drive.kinds() == ["started", "begun launch", "step launch"]
    assert drive.replayed() == "away"


def test_t5_start_without_an_end_raises_outcome_unknown() -> None:
    @flow
    async def calls() -> str:
        try:
            return await launch()
        except OutcomeUnknown as error:
            return str(error)

    whole = Drive(calls()).run()
    cut = next(n for n, entry in enumerate(whole.entries()) if isinstance(entry, StepBegun)) + 1
    drive = Drive(calls(), journal=whole.journal[:cut])
    assert "step launch was begun" in drive.result()
    assert drive.ran == []
