"""The loop: turns (L1), hashes (L2), scopes and keys (L3), strong references (L4), spinning (L5)."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ergon_runtime.core.faults import FaultKind
from ergon_runtime.errors import DefinitionError
from tests.core.asks import here, loop_here, step
from tests.core.driver import Flow, fault_of, started


# --- L1
def test_l1_completions_of_one_commit_are_delivered_in_turns_of_their_own() -> None:
    seen: list[list[str]] = []

    async def code() -> None:
        a, b = asyncio.create_task(step("a")), asyncio.create_task(step("b"))
        while not (a.done() and b.done()):
            done, _ = await asyncio.wait({t for t in (a, b) if not t.done()}, return_when=asyncio.FIRST_COMPLETED)
            seen.append([t.get_name() for t in done])

    flow = started(code).end("1/a").end("2/b").go()
    assert len(flow.drafts[-2].entries) == 2
    assert seen == [["task 1/"], ["task 2/"]]


def test_l1_loop_is_quiescent_before_the_next_completion() -> None:
    seen: list[str] = []

    async def hop(name: str) -> None:
        await step(name)
        for n in range(5):
            await asyncio.sleep(0)
            seen.append(f"{name}{n}")

    async def code() -> None:
        await asyncio.gather(hop("a"), hop("b"))

    started(code).end("2/b").end("1/a").go()
    assert seen == [f"b{n}" for n in range(5)] + [f"a{n}" for n in range(5)]


# --- L2
def numbers(seed: str) -> list[int]:
    found: list[int] = []

    async def code() -> None:
        loop = loop_here()
        task = asyncio.create_task(asyncio.sleep(0))
        gathered = asyncio.gather(task)
        found.extend(hash(x) for x in (loop.create_future(), task, gathered))
        await gathered

    started(code, seed=seed)
    return found


def test_l2_hashes_of_tasks_futures_and_gather_are_equal_in_every_run() -> None:
    assert numbers("a") == numbers("a")
    assert len(set(numbers("a"))) == 3


def test_l2_hashes_spread_over_flows() -> None:
    assert not set(numbers("a")) & set(numbers("b"))
    assert all(0 <= n < 2**60 for n in numbers("a"))


def test_l2_sets_of_tasks_iterate_alike_in_every_run() -> None:
    orders: list[list[str]] = []

    async def code() -> None:
        tasks = {asyncio.create_task(asyncio.sleep(0)) for _ in range(50)}
        orders.append([t.get_name() for t in tasks])
        await asyncio.wait(tasks)

    keep: list[object] = []
    for _ in range(3):
        started(code)
        keep.extend(object() for _ in range(1000))  # other addresses for the next run
    assert orders[0] == orders[1] == orders[2]
    assert orders[0] != [f"task {n}/" for n in range(1, 51)]  # else this shows nothing


# --- L3
def test_l3_key_counts_a_name_in_its_scope_from_the_second_on() -> None:
    async def code() -> None:
        await step("charge")
        await step("charge")
        await asyncio.gather(step("charge"), step("charge"))
        await asyncio.create_task(nested())

    async def nested() -> None:
        await asyncio.create_task(step("charge"))
        await step("charge#2")

    assert Flow(code).play().keys() == ["charge", "charge#2", "1/charge", "2/charge", "3/1/charge", "3/charge#2"]


def test_l3_step_takes_its_key_when_first_awaited() -> None:
    async def code() -> None:
        first, second = step("a", 1), step("a", 2)
        await second
        await first

    flow = Flow(code).play()
    assert [(r.entry.key, r.entry.args) for r in flow.journal if r.entry.kind == "step"] == [("a", "2"), ("a#2", "1")]


def test_l3_default_task_name_comes_from_the_scope() -> None:
    names: list[str] = []

    async def inner() -> None:
        names.append(asyncio.current_task().get_name())

    async def code() -> None:
        names.append(asyncio.current_task().get_name())
        await asyncio.create_task(inner())
        await asyncio.create_task(inner(), name="mine")
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())
            group.create_task(inner(), name="ours")

    started(code)
    assert names == ["task ", "task 1/", "mine", "task 3/", "ours"]


def run_in_callback(register: Callable[[Callable[..., None]], object]) -> list[str]:
    """The keys of a step asked for in a task that a callback creates; `register` is called in the task of scope 1/."""

    async def code() -> None:
        done = asyncio.Event()
        made: list[asyncio.Task[Any]] = []

        def callback(*_: object) -> None:
            made.append(loop_here().create_task(step("called")))
            done.set()

        async def registrar() -> None:
            register(callback)
            await asyncio.sleep(0)

        await asyncio.gather(registrar(), step("other"))
        await done.wait()
        await made[0]

    return [key for key in Flow(code).play().keys("step") if "called" in key]


def test_l3_callback_has_the_scope_of_the_task_that_registered_it() -> None:
    assert run_in_callback(lambda call: loop_here().call_soon(call)) == ["1/1/called"]
    assert run_in_callback(lambda call: loop_here().call_later(0.001, call)) == ["1/1/called"]
    assert run_in_callback(lambda call: loop_here().call_soon(lambda: loop_here().call_soon(call))) == ["1/1/called"]


def test_l3_done_callback_has_the_scope_of_the_task_that_registered_it() -> None:
    def on_task(call: Callable[..., None]) -> None:
        other = next(t for t in asyncio.all_tasks() if t.get_name() == "task 2/")
        other.add_done_callback(call)  # it runs in a turn that the other task causes

    def on_future(call: Callable[..., None]) -> None:
        future = loop_here().create_future()
        future.add_done_callback(call)
        loop_here().call_soon(future.set_result, None)

    assert run_in_callback(on_task) == ["1/1/called"]
    assert run_in_callback(on_future) == ["1/1/called"]


def test_l3_operation_outside_any_task_is_refused_for_good() -> None:
    async def code() -> None:
        await step("a")

    flow = started(code)
    flow.machine.loop.call_soon(lambda: here().scope())
    flow.end("a")
    fault = fault_of(flow.go)
    assert fault.kind is FaultKind.DIVERGED
    assert "outside any task" in fault.message


def test_l3_task_created_outside_any_task_is_refused() -> None:
    async def code() -> None:
        await step("a")

    flow = started(code)
    flow.machine.loop.call_soon(lambda: asyncio.create_task(asyncio.sleep(0)))
    flow.end("a").go()
    assert flow.outcome is not None
    assert [type(r["exception"]) for r in flow.reports] == [DefinitionError]


def test_l3_fault_is_kept_though_flow_code_swallows_what_is_raised() -> None:
    async def code(name: str = "a") -> None:
        try:
            await asyncio.gather(step(name, 1), step("b"))
        except BaseException:
            await asyncio.sleep(0)

    async def renamed() -> None:
        await code("renamed")

    journal = Flow(code).play().journal
    flow = Flow(renamed, journal)
    assert fault_of(flow.begin).kind is FaultKind.DIVERGED
    assert flow.machine.outcome_unknown is not None
    assert not flow.machine.done


# --- L4
def test_l4_task_nobody_holds_survives_the_garbage_collector() -> None:
    async def waits(done: asyncio.Event) -> None:
        future = asyncio.get_running_loop().create_future()
        cycle = [future]
        cycle.append(cycle)
        loop_here().call_later(1, future.set_result, None)
        await future
        done.set()

    async def code() -> str:
        done = asyncio.Event()
        asyncio.create_task(waits(done))  # noqa: RUF006  the loop is to hold it
        gc.collect()
        await done.wait()
        return "held"

    assert Flow(code).play().result == "held"


def test_l4_generator_left_half_way_is_not_closed_by_the_garbage_collector() -> None:
    order: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            order.append("closed")
            await step("close")

    async def code() -> None:
        async for _ in items():
            break
        gc.collect()
        await step("work")
        gc.collect()
        order.append("worked")

    flow = Flow(code).play()
    assert order == ["worked", "closed"]
    assert flow.keys() == ["work", "1/close"]


def test_l4_asyncgen_hooks_and_running_loop_are_restored_after_a_drain() -> None:
    hooks = sys.get_asyncgen_hooks()

    async def code() -> None:
        assert sys.get_asyncgen_hooks() != hooks
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        started(code)
    assert sys.get_asyncgen_hooks() == hooks
    assert asyncio._get_running_loop() is None


def test_l4_contextvars_of_tasks_are_their_own() -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    seen: list[str] = []

    async def look(value: str) -> None:
        seen.append(var.get())
        var.set(value)
        await step(value)
        seen.append(var.get())

    async def code() -> None:
        var.set("main")
        bare, other = contextvars.Context(), contextvars.copy_context()
        other.run(var.set, "other")
        await asyncio.create_task(look("a"))
        await asyncio.create_task(look("b"), context=other)
        await asyncio.create_task(look("c"), context=bare)
        seen.append(var.get())
        seen.append(other[var])
        seen.append(bare[var])

    flow = Flow(code)
    contextvars.Context().run(flow.play)
    assert seen == ["main", "a", "other", "b", "none", "c", "main", "b", "c"]


# --- L5
def test_l5_flow_that_never_waits_is_a_spinning_fault() -> None:
    async def code() -> None:
        while True:
            await asyncio.sleep(0)

    fault = fault_of(Flow(code).begin)
    assert fault.kind is FaultKind.SPINNING
    assert "100,000" in fault.message


def test_l5_tasks_born_without_end_after_the_flow_function_are_a_spinning_fault() -> None:
    async def hydra() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            asyncio.create_task(hydra())  # noqa: RUF006

    async def code() -> None:
        asyncio.create_task(hydra())  # noqa: RUF006
        await asyncio.sleep(0)

    assert fault_of(Flow(code).begin).kind is FaultKind.SPINNING
