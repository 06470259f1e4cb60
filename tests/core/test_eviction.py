"""The loop: flows that leave memory (L6), what is refused, and ways to end badly."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ergon_runtime.core.loop import Evicted, FlowLoop
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.errors import DefinitionError
from tests.core.asks import child, here, loop_here, signal, step
from tests.core.driver import Flow, fault_of, replayed, started


class Watch:
    """What `finally` blocks did while their flow left memory."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.refused: list[type[BaseException]] = []

    async def hold(self, name: str) -> None:
        try:
            await step(name)
        finally:
            try:
                await step("cleanup")
            except BaseException as error:
                self.refused.append(type(error))
            self.ended.append(name)


def evict(machine: FlowMachine) -> None:
    machine.evict()
    machine.evict()


def test_l6_eviction_ends_every_task_and_refuses_durable_operations() -> None:
    watch = Watch()

    async def code() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(watch.hold("a"))
                group.create_task(watch.hold("b"))
                await watch.hold("body")  # the group awaits its tasks again: one round is not enough
        finally:
            watch.ended.append("group")

    flow = started(code)
    keys = [op.key for op in flow.machine.open]
    evict(flow.machine)
    assert sorted(watch.ended) == ["a", "b", "body", "group"]
    assert watch.refused == [Evicted] * 3
    assert [op.key for op in flow.machine.open] == keys


def test_l6_eviction_refuses_new_tasks_timers_patches_and_randomness() -> None:
    refused: list[str] = []

    async def code() -> None:
        machine = here()
        try:
            await signal("never")
        finally:
            asks: list[Callable[[], Any]] = [
                lambda: asyncio.create_task(asyncio.sleep(0)),
                lambda: loop_here().call_later(1, print),
                lambda: machine.patched("p"),
                machine.random,
            ]
            for ask in asks:
                try:
                    ask()
                except Evicted:
                    refused.append("refused")

    evict(started(code).machine)
    assert refused == ["refused"] * 4


def test_l6_eviction_ends_each_task_in_its_own_context() -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    seen: list[str] = []

    async def hold(value: str) -> None:
        var.set(value)
        try:
            await signal(value)
        finally:
            seen.append(var.get())

    async def code() -> None:
        await asyncio.gather(hold("a"), hold("b"))

    evict(started(code).machine)
    assert seen == ["a", "b"]


def test_l6_eviction_ends_generators_suspended_at_a_yield_and_inside_an_await() -> None:
    ended: list[str] = []

    async def items(name: str, wait: bool) -> AsyncIterator[int]:
        try:
            yield 1
            if wait:
                await signal("never")
            yield 2
        finally:
            ended.append(name)

    async def code() -> None:
        async for _ in items("at yield", wait=False):
            break
        async for _ in items("in await", wait=True):
            pass

    evict(started(code).machine)
    assert sorted(ended) == ["at yield", "in await"]


def test_l6_evicted_flow_is_free_to_be_collected_and_reports_nothing() -> None:
    async def code() -> None:
        await asyncio.gather(step("a"), signal("b"), asyncio.sleep(5))

    flow = started(code)
    machine = weakref.ref(flow.machine)
    flow.close()
    flow._machine = None
    flow.running.clear()
    flow._events.clear()
    gc.collect()
    assert machine() is None
    assert flow.reports == []


def test_l6_diverged_flow_reports_no_error_of_its_own_leaving() -> None:
    async def code(arg: int = 1) -> None:
        child("kid", arg)
        await step("a")

    async def other() -> None:
        await code(2)

    flow = Flow(other, Flow(code).play().journal)
    fault_of(flow.begin)
    flow.close()
    flow._machine = None
    gc.collect()
    assert flow.reports == []


def test_l6_flow_lost_after_its_error_and_before_its_end_is_committed_reports_nothing() -> None:
    async def code() -> None:
        raise LookupError("told by whoever runs it again")

    flow = Flow(code).begin()
    assert flow.machine.done
    flow.close()
    flow._machine = None
    gc.collect()
    assert flow.reports == []


# --- what a flow's loop refuses
def refusals() -> dict[str, Callable[[], Any]]:
    def loop() -> FlowLoop:
        return loop_here()

    return {
        "run_in_executor": lambda: loop().run_in_executor(None, print),
        "to_thread": lambda: asyncio.to_thread(print),
        "open_connection": lambda: asyncio.open_connection("localhost", 1),
        "start_server": lambda: asyncio.start_server(lambda *_: None, "localhost", 1),
        "subprocess": lambda: asyncio.create_subprocess_exec("true"),
        "shell": lambda: asyncio.create_subprocess_shell("true"),
        "getaddrinfo": lambda: loop().getaddrinfo("localhost", 1),
        "add_reader": lambda: loop().add_reader(0, print),
        "signal_handler": lambda: loop().add_signal_handler(2, print),
        "threadsafe": lambda: loop().call_soon_threadsafe(print),
        "stop": lambda: loop().stop(),
    }


@pytest.mark.parametrize("name", refusals())
def test_io_in_a_flow_is_refused_with_the_way_out(name: str) -> None:
    async def code() -> str:
        try:
            found = refusals()[name]()
            if found is not None:
                await found
        except DefinitionError as error:
            return str(error)
        return "allowed"

    assert "put it in a step" in started(code).result


def test_every_method_of_a_loop_that_flows_lack_is_refused_by_table() -> None:
    own = set(vars(FlowLoop)) | {"default_exception_handler", "get_exception_handler"}
    assert {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("_")} - own == set()


# --- ways to end badly
def test_sys_exit_in_flow_code_fails_the_flow_and_not_the_process() -> None:
    async def code() -> None:
        await step("a")
        sys.exit(3)

    flow = Flow(code).play()
    assert flow.outcome is not None
    assert (flow.outcome.status, flow.outcome.error) == ("failed", "SystemExit: 3")
    assert replayed(code, flow.journal, ended=True).machine.done


def test_sys_exit_in_a_task_reaches_the_one_who_awaits_it() -> None:
    async def quits() -> None:
        sys.exit(3)

    async def code() -> str:
        try:
            await asyncio.create_task(quits())
        except SystemExit as error:
            return f"caught {error.code}"
        return "lost"

    assert started(code).result == "caught 3"


def test_error_of_a_forgotten_task_is_reported() -> None:
    async def fails() -> None:
        raise ValueError("forgotten")

    async def code() -> None:
        asyncio.create_task(fails())  # noqa: RUF006
        await step("a")

    flow = started(code).end("a").go()
    gc.collect()
    assert flow.outcome is not None
    assert [str(r["exception"]) for r in flow.reports] == ["forgotten"]


def test_error_in_a_callback_is_reported_and_the_flow_goes_on() -> None:
    async def code() -> str:
        loop_here().call_soon(lambda: 1 / 0)
        await step("a")
        return "went on"

    flow = Flow(code).play()
    assert flow.result == "went on"
    assert [type(r["exception"]) for r in flow.reports] == [ZeroDivisionError]
