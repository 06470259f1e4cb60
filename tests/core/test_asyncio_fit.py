"""Where asyncio itself is mended for flows (L2, L4), and that other loops see no change."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ergon_runtime.core.asyncio_fit import as_completed
from tests.core.asks import loop_here, step
from tests.core.driver import Code, Fails, Flow, replayed, started

AsCompleted = Callable[..., Any]
ways = pytest.mark.parametrize("completed", [as_completed, asyncio.as_completed], ids=["ours", "asyncio's"])


def latency(key: str) -> int:
    return 10 * int(key[-1]) if key[-1].isdigit() else 10


# --- L2: gather's own future
def test_l2_sets_of_gathers_iterate_alike_in_every_run() -> None:
    orders: list[list[int]] = []

    async def code() -> None:
        waiting = [asyncio.gather(asyncio.sleep(0)) for _ in range(50)]
        orders.append([waiting.index(future) for future in set(waiting)])
        await asyncio.wait(waiting)

    keep: list[object] = []
    for _ in range(3):
        started(code)
        keep.extend(object() for _ in range(1000))
    assert orders[0] == orders[1] == orders[2]


def test_l2_gather_on_another_loop_hashes_by_address() -> None:
    async def main() -> int:
        future: asyncio.Future[Any] = asyncio.gather(asyncio.sleep(0))
        await future
        return hash(future) - object.__hash__(future)

    assert asyncio.run(main()) == 0


def test_l3_callback_of_a_gather_has_the_scope_that_registered_it() -> None:
    async def code() -> None:
        made: list[asyncio.Task[Any]] = []
        ready = asyncio.Event()

        def callback(_: object) -> None:
            made.append(loop_here().create_task(step("called")))
            ready.set()

        async def registrar(future: asyncio.Future[Any]) -> None:
            future.add_done_callback(callback)

        future = asyncio.gather(step("a"))
        await asyncio.create_task(registrar(future))
        await ready.wait()
        await made[0]

    flow = Flow(code).play()
    assert flow.keys() == ["1/a", "2/1/called"]
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


# --- L4: wait_for
def test_l4_wait_for_awaits_in_the_task_that_calls_it() -> None:
    async def code() -> None:
        await asyncio.wait_for(step("a"), 5)
        await asyncio.wait_for(step("b"), None)

    assert Flow(code).play().keys() == ["a", "b"]


@pytest.mark.parametrize("timeout", [0, -1])
def test_l4_wait_for_no_time_never_starts_the_coroutine_but_counts_its_task(timeout: float) -> None:
    """In every version of Python alike: journals move between them."""

    async def code() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(step("never"), timeout)
        done = loop_here().create_future()
        done.set_result("done")
        assert await asyncio.wait_for(done, timeout) == "done"
        return await asyncio.create_task(step("next"))

    flow = Flow(code).play()
    assert flow.keys() == ["2/next"]
    assert flow.result == "did 2/next"


def test_l4_wait_for_on_another_loop_is_as_it_was() -> None:
    async def main() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        return await asyncio.wait_for(asyncio.sleep(0, "value"), timeout=5)

    assert asyncio.run(main()) == "value"


BY_NAME = """
from asyncio import as_completed, wait_for
import asyncio
from tests.core.driver import Flow
from tests.core.asks import signal, step

async def code():
    await wait_for(step("a"), 5)
    try:
        await wait_for(fut=signal("never"), timeout=1)
    except TimeoutError:
        pass
    things = [step(str(n)) for n in (3, 1, 2)]
    return [await value for value in as_completed(things[::-1])]

async def main():
    return [await value for value in as_completed([asyncio.sleep(0, "plain")])]

flow = Flow(code, latency=lambda key: 10 * int(key[-1]) if key[-1].isdigit() else 10).play()
print(flow.keys(), asyncio.run(main()))
"""


def test_l4_functions_imported_by_name_before_are_mended_too() -> None:
    run = subprocess.run([sys.executable, "-c", BY_NAME], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout == "['a', 'timeout#2', '2/1', '1/2', '3/3'] ['plain']\n"


# --- L4: as_completed
@ways
def test_l4_as_completed_starts_in_the_order_given(completed: AsCompleted) -> None:
    async def code() -> list[object]:
        return [await value for value in completed(step(f"s{n}") for n in range(9, 0, -1))]

    flow = Flow(code, latency=latency).play()
    keys = [f"{10 - n}/s{n}" for n in range(1, 10)]
    assert flow.keys() == keys
    assert flow.result == [f"did {key}" for key in keys]


@ways
def test_l4_as_completed_gives_finished_tasks_to_async_for(completed: AsCompleted) -> None:
    async def code() -> list[object]:
        tasks = [asyncio.create_task(step(f"s{n}")) for n in (2, 1)]
        return [tasks.index(task) async for task in completed(tasks)]

    assert Flow(code, latency=latency).play().result == [1, 0]


@ways
def test_l4_as_completed_raises_the_error_of_the_thing_awaited(completed: AsCompleted) -> None:
    async def code() -> list[str]:
        found: list[str] = []
        for value in completed([step("s2"), step("s1")]):
            try:
                found.append(await value)
            except Exception as error:
                found.append(type(error).__name__)
        return found

    answer = {"2/s1": Fails()}
    flow = Flow(code, latency=latency, answer=lambda key, n: answer.get(key, key)).play()
    assert flow.result == ["StepFailed", "1/s2"]


@ways
def test_l4_as_completed_out_of_time_raises_timeout_error_for_the_rest(completed: AsCompleted) -> None:
    async def code() -> list[str]:
        found: list[str] = []
        for value in completed([step("s9"), step("s1"), step("s8")], timeout=0.05):
            try:
                found.append(await value)
            except TimeoutError:
                found.append("late")
        return found

    assert Flow(code, latency=latency).play().result == ["did 2/s1", "late", "late"]


@ways
def test_l4_as_completed_in_time_leaves_no_alarm(completed: AsCompleted) -> None:
    async def code() -> None:
        for value in completed([step("s1")], timeout=5):
            await value
        await step("after")

    flow = Flow(code).play(stop=2)
    assert [op.key for op in flow.machine.open] == ["after"]
    assert flow.play().keys("timer") == []


@ways
def test_l4_as_completed_given_one_task_twice_gives_it_once(completed: AsCompleted) -> None:
    async def code() -> int:
        task = asyncio.create_task(step("a"))
        return len([await value for value in completed([task, task])])

    assert Flow(code).play().result == 1


@ways
def test_l4_as_completed_of_nothing_is_over_at_once(completed: AsCompleted) -> None:
    async def code() -> list[Any]:
        return list(completed([], timeout=1))

    assert started(code).result == []


def test_l4_as_completed_of_a_single_awaitable_is_a_type_error() -> None:
    async def code() -> str:
        future: Awaitable[Any] = loop_here().create_future()
        with pytest.raises(TypeError):
            list(asyncio.as_completed(future))
        return "refused"

    assert started(code).result == "refused"


def test_l4_as_completed_on_another_loop_is_as_it_was() -> None:
    async def main() -> list[str]:
        return [await value for value in asyncio.as_completed([asyncio.sleep(0, "a")])]

    assert asyncio.run(main()) == ["a"]


def eager(create: Callable[..., Any]) -> Code:
    async def code() -> list[str]:
        order: list[str] = []

        async def work() -> None:
            order.append("started")

        task = create(work())
        order.append("created")
        await task
        return order

    return code


def test_l4_eager_start_is_dropped() -> None:
    plain = eager(lambda coro: loop_here().create_task(coro, eager_start=True))
    assert started(plain).result == ["created", "started"]
