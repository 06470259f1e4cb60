"""Many flows at once, one step many times, timers beside other things: d04, d05, d06, d17, d19, d25.

d21, d27 and d28 need several processes: test_processes.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from ergon_runtime import RetryPolicy, Scheduler, Status, Store, flow, now, sleep, step, wait_signal
from tests.seed.places import asked_for, kinds, listens, on_each_store, run_all, working

ran: Counter[str] = Counter()
at_once = [0]


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()
    at_once[:] = [0]


@step
async def busy_step(name: str) -> str:
    ran[name] += 1
    at_once.append(at_once[-1] + 1)
    await asyncio.sleep(0.01)
    at_once.append(at_once[-1] - 1)
    return name


@flow
async def busy_flow(name: str) -> str:
    return await busy_step(name)


@on_each_store
async def test_d04_two_at_once_with_six_flows_runs_all_six(store: Store) -> None:
    """The place of a flow that had ended was never given free: the worker stopped after two."""
    names = [f"{n}" for n in range(6)]
    assert await run_all(store, *map(busy_flow, names), serve=[busy_flow], concurrency=2) == names
    assert max(at_once) == 2


@step
async def loop_step(n: int) -> int:
    ran[f"{n}"] += 1
    return n


@flow
async def loop_other_arguments() -> list[int]:
    found = [await loop_step(n) for n in range(3)]
    await wait_signal("go")
    return found + [await loop_step(n) for n in range(3, 5)]


@flow
async def loop_same_arguments() -> list[int]:
    found = [await loop_step(7) for _ in range(3)]
    await wait_signal("go")
    return found


@flow
async def loop_gathered() -> list[int]:
    found = await asyncio.gather(*(loop_step(n) for n in (1, 1, 2)))
    await wait_signal("go")
    return found


async def _over_two_workers(store: Store, each: object) -> object:
    """Run a flow to its signal in one worker, and on from there, by a replay, in another."""
    handle = await Scheduler(store).schedule(each())  # type: ignore[operator]  # a flow function
    async with working(store, each):
        await listens(store, handle.id, "signal:go")
    await handle.signal("go")
    async with working(store, each):
        return await handle.result()


@on_each_store
async def test_d05_step_in_a_loop_with_other_arguments_runs_each_time(store: Store) -> None:
    """The second call was taken for the first, with other arguments: an error."""
    assert await _over_two_workers(store, loop_other_arguments) == [0, 1, 2, 3, 4]
    assert ran == {"0": 1, "1": 1, "2": 1, "3": 1, "4": 1}


@on_each_store
async def test_d05_step_in_a_loop_with_equal_arguments_runs_each_time(store: Store) -> None:
    """The body ran once for three calls."""
    assert await _over_two_workers(store, loop_same_arguments) == [7, 7, 7]
    assert ran == {"7": 3}


@on_each_store
async def test_d05_gather_of_one_step_replays(store: Store) -> None:
    """The first run worked, a replay was an error."""
    assert await _over_two_workers(store, loop_gathered) == [1, 1, 2]
    assert ran == {"1": 2, "2": 1}


@flow
async def timers_in_a_row() -> timedelta:
    start = now()
    await sleep(0.1)
    await sleep(0.3)
    return now() - start


@on_each_store
async def test_d06_two_timers_in_a_row_both_last(store: Store) -> None:
    """The second was skipped, or never fired."""
    (took,) = await run_all(store, timers_in_a_row(), serve=[timers_in_a_row])
    assert took >= timedelta(seconds=0.4)


@step
async def beside_step() -> str:
    ran["started"] += 1
    await asyncio.sleep(0.3)
    ran["finished"] += 1
    return "step"


@flow
async def timer_beside_step() -> str:
    _, found = await asyncio.gather(sleep(0.05), beside_step())
    return found


@on_each_store
async def test_d17_step_beside_a_timer_runs_once(store: Store) -> None:
    """The timer suspended the flow, the step ran on, and was started again."""
    assert await run_all(store, timer_beside_step(), serve=[timer_beside_step]) == ["step"]
    assert ran == {"started": 1, "finished": 1}


@flow
async def timer_in_a_group() -> str:
    async with asyncio.TaskGroup() as group:
        group.create_task(sleep(0.05))
        found = group.create_task(busy_step("in the group"))
    return found.result()


@on_each_store
async def test_d17_timer_in_a_task_group_ends_the_flow(store: Store) -> None:
    """The group got the suspension as an error, and the flow stayed RUNNING for ever."""
    assert await run_all(store, timer_in_a_group(), serve=[timer_in_a_group]) == ["in the group"]


@step
async def cancelled_step() -> None:
    raise asyncio.CancelledError("by itself")


@flow
async def has_a_cancelled_step() -> str:
    try:
        await cancelled_step()
    except asyncio.CancelledError:
        ran["caught"] += 1
        raise
    return "never"


@on_each_store
async def test_d17_step_that_raises_cancelled_error_ends_the_flow(store: Store) -> None:
    """The flow stayed RUNNING for ever."""
    handle = await Scheduler(store).schedule(has_a_cancelled_step())
    async with working(store, has_a_cancelled_step):
        while not (status := await handle.status()).ended:
            await asyncio.sleep(0.005)
    assert status in (Status.FAILED, Status.CANCELLED)
    assert ran == {"caught": 1}


@on_each_store
async def test_d19_600_flows_under_a_busy_loop_all_end(store: Store) -> None:
    """Flows that were claimed while the worker's loop turned fast were dropped, and stayed RUNNING."""

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    names = [f"{n}" for n in range(600)]
    handles = await asyncio.gather(*(Scheduler(store).schedule(busy_flow(name)) for name in names))
    spinning = asyncio.create_task(spin())
    async with working(store, busy_flow, concurrency=20):
        assert await asyncio.gather(*(each.result() for each in handles)) == names
    spinning.cancel()
    assert set(ran.values()) == {1}


@flow
async def timers_at_once() -> timedelta:
    start = now()
    await asyncio.gather(sleep(0.4), sleep(0.1))
    return now() - start


@on_each_store
async def test_d25_two_timers_at_once_last_as_long_as_the_longer(store: Store) -> None:
    """The one was written over the other: the flow ended with the shorter."""
    (took,) = await run_all(store, timers_at_once(), serve=[timers_at_once])
    assert took >= timedelta(seconds=0.4)


@step(retry=RetryPolicy.NONE)
async def failing_step() -> None:
    raise ConnectionError("no answer")


@flow
async def timer_after_an_error() -> timedelta:
    start = now()
    try:
        await failing_step()
    except ConnectionError:
        start = now()
        await sleep(0.3)
    return now() - start


@on_each_store
async def test_d25_timer_after_a_caught_error_lasts(store: Store) -> None:
    """It was written in the failed step's place, and did not last."""
    (took,) = await run_all(store, timer_after_an_error(), serve=[timer_after_an_error])
    assert took >= timedelta(seconds=0.3)


@flow
async def single_timer() -> str:
    await sleep(0.2)
    return await busy_step("after")


@on_each_store
async def test_d25_flow_is_woken_once_by_its_timer(store: Store) -> None:
    """In memory a timer never fired, and its flow was entered three times."""
    handle = await Scheduler(store).schedule(single_timer(), id="f")
    async with working(store, single_timer):
        assert await handle.result() == "after"
        assert await kinds(store, "f") == ["timer sleep", "step busy_step"]
    assert ran == {"after": 1}


@on_each_store
async def test_d25_timer_asked_by_one_worker_fires_in_another(store: Store) -> None:
    """A timer was known only to the process that had asked for it."""
    handle = await Scheduler(store).schedule(single_timer(), id="f")
    async with working(store, single_timer):
        await asked_for(store, "f")
    async with working(store, single_timer):
        assert await handle.result() == "after"
