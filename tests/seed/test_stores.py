"""Everything works on every store, not straight-line flows only: d09 and d26, which were about the Redis store."""

from __future__ import annotations

from collections import Counter

import pytest

from ergon_runtime import RetryPolicy, Scheduler, Store, Worker, flow, invoke, sleep, step, wait_signal
from ergon_runtime.core.flows import ClaimRequest
from tests.seed.places import Mortal, asked_for, kinds, on_each_store, row_of, run_all, until, working

ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@step(retry=RetryPolicy(max_attempts=3, initial=0.02))
async def store_step(name: str, failures: int = 0) -> str:
    ran[name] += 1
    if ran[name] <= failures:
        raise ConnectionError(f"failure {ran[name]}")
    return name


@flow
async def store_child(name: str) -> str:
    return await store_step(name)


@flow
async def store_plain(name: str) -> str:
    return await store_step(name) + await store_step("second")


@flow
async def store_timer(name: str) -> str:
    await sleep(0.2)
    return await store_step(name)


@flow
async def store_signal(name: str) -> str:
    return await store_step(await wait_signal(name, str))


@flow
async def store_parent(name: str) -> str:
    return await invoke(store_child(name))


@flow
async def store_retry(name: str) -> str:
    return await store_step(name, failures=2)


@on_each_store
async def test_d09_straight_flow_ends(store: Store) -> None:
    """This alone worked."""
    assert await run_all(store, store_plain("first"), serve=[store_plain]) == ["firstsecond"]


@on_each_store
async def test_d09_flow_with_a_timer_ends_in_little_more_than_its_time(store: Store) -> None:
    """The flow stayed RUNNING, and the worker wrote 71,369 lines of errors in five seconds."""
    counted = Mortal(store)
    handle = await Scheduler(store).schedule(store_timer("after"))
    async with working(counted, store_timer):
        assert await handle.result() == "after"
    assert len(counted.commits) <= 5


@on_each_store
async def test_d09_two_timers_due_at_once_both_fire(store: Store) -> None:
    """One expired timer was not found, two were an error."""
    handles = [await Scheduler(store).schedule(store_timer(f"{n}")) for n in range(2)]
    asking = await Worker(store).register(store_timer).start()
    for each in handles:
        await asked_for(store, each.id)
    await asking.shutdown()

    async def both_due() -> bool:
        now = await store.now()
        return max([(await row_of(store, each.id)).due or 0 for each in handles]) < now

    await until(both_due)
    async with working(store, store_timer):
        assert [await each.result() for each in handles] == ["0", "1"]


@on_each_store
async def test_d09_flow_with_a_signal_ends(store: Store) -> None:
    """The code that looked for signals failed each time, and the flow waited for ever."""
    handle = await Scheduler(store).schedule(store_signal("go"))
    async with working(store, store_signal):
        await handle.signal("go", "payload")
        assert await handle.result() == "payload"


@on_each_store
async def test_d09_flow_with_a_child_ends(store: Store) -> None:
    """Parent and child stayed RUNNING for ever."""
    assert await run_all(store, store_parent("kid"), serve=[store_parent, store_child]) == ["kid"]


@on_each_store
async def test_d09_step_that_fails_twice_is_tried_again_by_its_policy(store: Store) -> None:
    """The next try's time could not be stored, and the flow stayed RUNNING for ever."""
    assert await run_all(store, store_retry("third"), serve=[store_retry]) == ["third"]
    assert ran == {"third": 3}


@on_each_store
async def test_d26_flow_whose_worker_dies_right_after_the_claim_is_not_lost(store: Store) -> None:
    """It was taken off the queue, and was nowhere else."""
    handle = await Scheduler(store).schedule(store_plain("first"), id="f")
    found = await store.claim(ClaimRequest("dies at once", 50, 1, ids=("f",)))
    assert len(found.claims) == 1
    async with working(store, store_plain):
        assert await handle.result() == "firstsecond"


@on_each_store
async def test_d26_flow_scheduled_twice_under_one_id_runs_once(store: Store) -> None:
    """It was queued twice, and run twice."""
    handles = [await Scheduler(store).schedule(store_plain("first"), id="same") for _ in range(2)]
    async with working(store, store_plain), working(store, store_plain):
        assert [await each.result() for each in handles] == ["firstsecond"] * 2
    assert ran == {"first": 1, "second": 1}
    assert await kinds(store, "same") == ["step store_step", "step store_step#2"]
    assert len(await Scheduler(store).list()) == 1
