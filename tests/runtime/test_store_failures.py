"""A whole life of a flow, and every call to the store in it goes wrong once in every way: it must end as promised."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.primitives import invoke, sleep, step_info, wait_signal
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.faults import Faults, FaultyStore
from tests.runtime.rigs import EPOCH, Rig, store_clock, virtual

RESULT = ["one", "go", "child of two", "tried", "three"]
KINDS = ["step work", "signal go", "created kid", "child kid", "attempt flaky", "step flaky", "step work#2"]
ONCE = {"f one": 1, "f three": 1, "f/kid two": 1, "flaky": 2}
effects: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


def flows() -> tuple[Any, Any]:
    """A flow with steps, a signal, a child, a sleep and a retry; and its child."""

    @step
    async def work(name: str) -> str:
        await asyncio.sleep(0.1)
        effects[f"{step_info().flow_id} {name}"] += 1
        return name

    @step(retry=RetryPolicy(max_attempts=4, initial=1))
    async def flaky() -> str:
        effects["flaky"] += 1
        if step_info().attempt < 2:
            raise ValueError("once more")
        return "tried"

    @flow
    async def kid(name: str) -> str:
        await sleep(0.5)
        return f"child of {await work(name)}"

    @flow
    async def life() -> list[str]:
        one = await work("one")
        said = await wait_signal("go", str)
        child, _ = await asyncio.gather(invoke(kid("two")), sleep(2))
        return [one, said, child, await flaky(), await work("three")]

    return life, kid


async def live(plan: Mapping[int, str]) -> Faults:
    """The life of one flow, on a first worker whose store goes wrong and a second one that takes over if it dies."""
    effects.clear()
    life, kid = flows()
    here, faults = Rig(MemoryStore(clock=store_clock)), Faults()
    faults.plan.update(plan)
    assert isinstance(here.store, MemoryStore)
    try:
        handle = await here.scheduler.schedule(life(), id="f")
        first = here.start(life, kid, store=FaultyStore(here.store, faults))
        second = asyncio.create_task(_replace(here, faults, first, life, kid))
        await asyncio.sleep(0.3)
        await handle.signal("go", "go", id="once")
        assert await handle.result() == RESULT
        second.cancel()
        assert (await here.row("f/kid")).status == "completed"
        assert [kind for kind in await here.kinds() if not kind.startswith("timer")] == KINDS
        return faults
    finally:
        await here.close()


async def _replace(here: Rig, faults: Faults, first: Any, *served: Any) -> None:
    await faults.died.wait()
    await first.abort()
    here.workers.remove(first)
    here.start(*served, name="second")


def test_undisturbed_flow_does_everything_once() -> None:
    faults = virtual(lambda: live({}))
    assert effects == ONCE
    assert faults.calls.count("commit") > 10


@pytest.mark.parametrize("fault", ["refused", "unanswered", "dead before", "dead after", "stolen"])
def test_any_call_to_the_store_may_go_wrong_and_the_flow_ends_as_promised(fault: str) -> None:
    whole = virtual(lambda: live({}))
    lossless = fault in {"refused", "unanswered"}
    for call, name in enumerate(whole.calls, 1):
        if fault == "stolen" and name != "commit":
            continue
        try:
            virtual(partial(live, {call: fault}))
        except BaseException as error:
            error.add_note(f"{fault}: call {call}, {name}")
            raise
        again = {name: times - ONCE[name] for name, times in effects.items() if times != ONCE[name]}
        assert not again if lossless else sum(again.values()) <= 1, (fault, call, name, effects)


def test_p6_worker_whose_clock_is_behind_goes_by_what_the_store_says() -> None:
    @step
    async def work() -> None:
        await asyncio.sleep(1)

    @flow
    async def three() -> None:
        for _ in range(3):
            await work()

    async def main() -> None:
        here = Rig(MemoryStore(clock=store_clock))
        here.start(three, clock=lambda: store_clock() - 1_000_000)
        await asyncio.sleep(5)
        await here.result(three())
        times = [entry.at - EPOCH for entry in await here.entries()]
        assert times == [5000, 5000, 6000, 7000]  # the store's time at the claim, then at the commit before
        await here.close()

    virtual(main)


def test_p6_worker_whose_clock_is_ahead_does_not_ask_again_and_again_for_what_is_due_later() -> None:
    @flow
    async def late() -> str:
        return "done"

    async def main() -> None:
        faults = Faults()
        here = Rig(FaultyStore(MemoryStore(clock=store_clock), faults))
        here.start(late, clock=lambda: store_clock() + 1_000_000)
        handle = await here.scheduler.schedule(late(), delay=20)
        assert await handle.result() == "done"
        assert faults.calls.count("claim") < 100
        assert asyncio.get_running_loop().time() < 20.1
        await here.close()

    virtual(main)
