"""The machine: cancels, and the end of the flow function (L7)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

from ergon_runtime.core.flows import Status
from tests.core.asks import child, signal, step
from tests.core.driver import Code, Flow, fault_of, replayed, started


# --- cancel
async def cleans_up() -> str:
    try:
        await step("work")
    finally:
        await step("cleanup")
    return "done"


def test_cancel_ends_the_flow_after_its_cleanup() -> None:
    flow = started(cleans_up).cancel().go().stop("work").go().end("cleanup").go()
    assert flow.outcome is not None
    assert flow.outcome.status is Status.CANCELLED
    assert flow.kinds() == ["started", "cancel", "stopped", "step"]
    assert replayed(cleans_up, flow.journal, ended=True).delivered == flow.delivered


def test_cancel_while_the_first_is_unacknowledged_is_ignored() -> None:
    flow = started(cleans_up).cancel().go().stop("work").go().cancel().go()
    assert not flow.running["cleanup"].stopping
    flow.end("cleanup").go()
    assert flow.kinds() == ["started", "cancel", "stopped", "cancel", "step"]
    assert flow.outcome is not None
    assert flow.outcome.status is Status.CANCELLED


def test_cancel_acknowledged_by_the_code_can_be_followed_by_another() -> None:
    async def code() -> None:
        try:
            await signal("never")
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        await signal("never")

    flow = started(code).cancel().go()
    assert flow.outcome is None
    assert flow.cancel().go().outcome is not None


def test_cancel_while_a_timeout_unwinds_still_cancels_the_flow() -> None:
    async def code() -> str:
        try:
            async with asyncio.timeout(1):
                await cleans_up()
        except TimeoutError:
            pass
        await signal("never")
        return "lost"

    flow = started(code).wait(1000).stop("work").go().cancel().go()
    flow.stop("cleanup").go()
    assert flow.outcome is not None
    assert flow.outcome.status is Status.CANCELLED


def test_cancel_before_recorded_first_runs_no_code() -> None:
    async def code() -> None:
        raise AssertionError("ran")

    flow = Flow(code).cancel().go()
    assert flow.kinds() == ["cancel"]
    machine = replayed(code, flow.journal, ended=True).machine
    assert machine.done
    assert machine.cancelled_before
    assert machine.main is None


# --- L7
async def hold(order: list[str], name: str) -> None:
    try:
        await signal("never")
    finally:
        await step(name)
        order.append(name)


def test_l7_tasks_left_over_are_cancelled_and_may_do_durable_cleanup() -> None:
    order: list[str] = []

    async def code() -> str:
        asyncio.create_task(hold(order, "cleanup"))  # noqa: RUF006
        await step("a")
        return "value"

    flow = started(code).end("a").go()
    assert flow.outcome is None
    assert flow.end("1/cleanup").go().result == "value"
    assert order == ["cleanup"]
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_l7_tasks_born_during_the_end_are_cancelled_too() -> None:
    order: list[str] = []

    async def bears() -> None:
        try:
            await signal("never")
        finally:
            asyncio.create_task(hold(order, "born"))  # noqa: RUF006

    async def code() -> None:
        asyncio.create_task(bears())  # noqa: RUF006
        await step("a")

    assert Flow(code).play().keys() == ["a", "1/1/born"]
    assert order == ["born"]


def test_l7_generators_are_closed_in_creation_order_in_the_scope_that_began_them() -> None:
    async def items(name: str) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await step(name)

    async def begin(name: str) -> None:
        async for _ in items(name):
            break

    async def code() -> None:
        await begin("first")
        await asyncio.create_task(begin("second"))
        await begin("third")

    flow = Flow(code).play()
    assert flow.keys() == ["2/first", "1/1/second", "3/third"]
    assert flow.reports == []


def test_l7_error_of_a_generator_that_closes_is_reported() -> None:
    async def items() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("closing")

    async def code() -> None:
        async for _ in items():
            break

    flow = started(code)
    assert flow.outcome is not None
    flow.close()
    flow._machine = None
    gc.collect()
    assert [str(report["exception"]) for report in flow.reports] == ["closing"]


def test_l7_fault_met_while_the_flow_ends_is_raised_as_such() -> None:
    async def items() -> AsyncIterator[int]:
        yield 1

    async def leaves(arg: int) -> None:
        async for _ in items():
            break
        try:
            await signal("never")
        finally:
            child("kid", arg)

    def code(arg: int) -> Code:
        async def run() -> None:
            asyncio.create_task(leaves(arg))  # noqa: RUF006
            await step("a")

        return run

    journal = started(code(1)).end("a").go().journal
    assert journal[-1].entry.kind == "created"
    assert fault_of(Flow(code(2), journal).begin).key == "1/kid"


def test_l7_error_of_the_flow_function_stands_whatever_the_cleanup_does() -> None:
    order: list[str] = []

    async def code() -> None:
        asyncio.create_task(hold(order, "cleanup"))  # noqa: RUF006
        await asyncio.sleep(0)
        raise ValueError("first")

    flow = Flow(code).play()
    assert flow.outcome is not None
    assert flow.outcome.error == "ValueError: first"
