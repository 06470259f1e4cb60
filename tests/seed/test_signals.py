"""Signals are durable mail: d07, a to h. What a death around a signal does (d08) is in test_crash.py."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from ergon_runtime import RetryPolicy, Scheduler, Status, Store, flow, step, wait_signal
from tests.seed.places import listens, on_each_store, until, working

ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@flow
async def signal_two() -> list[Any]:
    return [await wait_signal("first"), await wait_signal("second")]


@on_each_store
async def test_d07a_two_signals_in_one_flow_both_arrive(store: Store) -> None:
    """Both were consumed, and the flow waited for ever."""
    handle = await Scheduler(store).schedule(signal_two())
    async with working(store, signal_two):
        await listens(store, handle.id, "signal:first")
        await handle.signal("second", 2)
        await handle.signal("first", 1)
        assert await handle.result() == [1, 2]


@step(retry=RetryPolicy(max_attempts=2, initial=0.01))
async def signal_fails_once(payload: str) -> str:
    ran["step"] += 1
    if ran["step"] == 1:
        raise ConnectionError("once")
    return payload


@flow
async def signal_then_step() -> str:
    return await signal_fails_once(await wait_signal("go", str))


@flow(retry=RetryPolicy(max_attempts=2, initial=0.01))
async def signal_then_error() -> str:
    payload = await wait_signal("go", str)
    ran["flow"] += 1
    if ran["flow"] == 1:
        raise ConnectionError("once")
    return payload


@on_each_store
async def test_d07b_error_after_a_signal_does_not_lose_it(store: Store) -> None:
    """The signal was deleted before its use was recorded: after an error the flow waited again, for nothing."""
    for each in (signal_then_step, signal_then_error):
        handle = await Scheduler(store).schedule(each())
        async with working(store, each):
            await handle.signal("go", "kept")
            assert await handle.result() == "kept"
    assert ran == {"step": 2, "flow": 2}


@flow
async def signal_one(name: str) -> Any:
    return await wait_signal(name)


@on_each_store
async def test_d07c_signal_to_a_flow_reaches_that_flow_among_several_waiters(store: Store) -> None:
    """A signal could be addressed to a name only, and the first that waited got it."""
    handles = [await Scheduler(store).schedule(signal_one("go"), id=f"w{n}") for n in range(3)]
    async with working(store, signal_one):
        for each in handles:
            await listens(store, each.id, "signal:go")
        await handles[2].signal("go", "to the last")
        assert await handles[2].result() == "to the last"
        assert [await each.status() for each in handles[:2]] == [Status.WAITING] * 2
        await Scheduler(store).signal("go", "to the name")
        assert await handles[0].result() == "to the name", "the one that has waited longest gets it"
        assert await handles[1].status() is Status.WAITING


@on_each_store
async def test_d07d_signal_resumes_a_flow_that_no_worker_holds(store: Store) -> None:
    """The call that resumes a flow had no effect unless the flow was live in the same process."""
    handle = await Scheduler(store).schedule(signal_one("go"))
    async with working(store, signal_one):
        await listens(store, handle.id, "signal:go")
    assert await Scheduler(store).handle(handle.id).signal("go", "while nobody works") is True
    async with working(store, signal_one):
        assert await handle.result() == "while nobody works"


@on_each_store
async def test_d07e_payload_that_looks_like_an_envelope_arrives_as_it_is(store: Store) -> None:
    """A payload with `success` and `data` was taken for the step's result, and its body was skipped."""
    payload = {"success": True, "data": "forged", "is_retryable": None}
    handle = await Scheduler(store).schedule(signal_then_step_of_any(), id="f")
    async with working(store, signal_then_step_of_any):
        await handle.signal("go", payload)
        assert await handle.result() == payload
    assert ran == {"any": 1}


@step
async def signal_any(payload: Any) -> Any:
    ran["any"] += 1
    return payload


@flow
async def signal_then_step_of_any() -> Any:
    return await signal_any(await wait_signal("go"))


@on_each_store
async def test_d07f_signal_sent_before_the_wait_is_kept(store: Store) -> None:
    """It was lost, unless the user's own signal source kept it."""
    await Scheduler(store).signal("go", "early, to the name")
    first = await Scheduler(store).schedule(signal_one("go"))
    second = await Scheduler(store).schedule(signal_one("other"))
    await second.signal("other", "early, to the flow")
    async with working(store, signal_one):
        assert [await first.result(), await second.result()] == ["early, to the name", "early, to the flow"]


@on_each_store
async def test_d07g_signal_for_the_last_of_130_waiters_is_seen(store: Store) -> None:
    """Only the first 100 waiters were looked at."""
    names = [f"go-{n}" for n in range(130)]
    handles = [await Scheduler(store).schedule(signal_one(name)) for name in names]
    async with working(store, signal_one):
        await asyncio.gather(
            *(listens(store, each.id, f"signal:{name}") for each, name in zip(handles, names, strict=True))
        )
        await Scheduler(store).signal("go-129", "the last")
        assert await handles[129].result() == "the last"
        statuses = Counter([await each.status() for each in handles])
        assert statuses == {Status.WAITING: 129, Status.COMPLETED: 1}


@on_each_store
async def test_d07h_signals_work_on_this_store(store: Store) -> None:
    """In memory and on Redis the code for signals failed when it was first called."""
    handle = await Scheduler(store).schedule(signal_one("go"))
    async with working(store, signal_one) as worker:
        await listens(store, handle.id, "signal:go")
        await until(lambda: worker.busy == 0)
        await handle.signal("go", {"n": 1})
        assert await handle.result() == {"n": 1}
