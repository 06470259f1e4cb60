"""`run_dag` cancelled (D4), outlived by its flow, and dropped from memory (L6)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.dag import run_dag
from ergon_runtime.definitions import FlowDefinition, flow, flow_definition, flow_type, registry, step
from ergon_runtime.primitives import sleep
from tests.runtime.dags import ALL, Sums, all_of_it, log, run, sums
from tests.runtime.rigs import rig, virtual

tasks: list[asyncio.Task[Any]] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    tasks.clear()
    with registry.isolated():
        yield


# --- cancels


def test_d4_timeout_stops_what_runs_and_starts_nothing_more() -> None:
    async def code(self: Any) -> Any:
        try:
            async with asyncio.timeout(2):
                await run_dag(self)
        except TimeoutError:
            return await self.side()

    result, kinds = run(sums(code), {"a": 1, "double": 5, "b": 9})
    assert result == 7
    assert log == ["a 0", "b 0", "side 0", "double 1", "side 2"]
    assert kinds == ["step side", "step a", "timer timeout", "stopped b", "stopped double", "step side#2"]


def test_d4_cancel_awaits_the_end_of_every_step_also_when_it_comes_again() -> None:
    class Stubborn(Sums):
        @step(depends_on=[])
        async def side(self) -> int:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(3)
            return 1

    async def code(self: Any) -> Any:
        loop = asyncio.get_running_loop()
        begun, task = loop.time(), asyncio.create_task(run_dag(self, "side"))
        for _ in range(3):
            await sleep(1)
            task.cancel()
        await asyncio.wait([task])
        return task.cancelled() and loop.time() - begun

    result, kinds = run(sums(code, base=Stubborn))
    assert result == pytest.approx(4, abs=0.1)
    assert kinds == ["timer sleep", "timer sleep#2", "timer sleep#3", "stopped 1/side"]


def test_d4_cancel_in_the_turn_of_the_start_starts_nothing() -> None:
    async def code(self: Any) -> Any:
        task = asyncio.create_task(run_dag(self))
        for _ in range(self.fails["yields"]):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    for yields in range(5):
        assert run(sums(code), {}, {"yields": yields}) == (True, [])
    assert log == []


def test_d4_cancel_after_a_failure_is_a_cancel() -> None:
    async def code(self: Any) -> Any:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await run_dag(self)

    result, kinds = run(sums(code), {"a": 9, "b": 1}, {"b": 1})
    assert result is None
    assert kinds == ["step side", "step b", "timer timeout", "stopped a"]


def test_dag_still_running_when_the_flow_ends_is_stopped() -> None:
    async def code(self: Any) -> Any:
        asyncio.create_task(run_dag(self))  # noqa: RUF006  the loop holds it
        await sleep(1)

    result, kinds = run(sums(code), {"a": 9, "b": 0.5, "side": 9})
    assert result is None
    assert kinds == ["step 1/b", "step 1/last", "timer sleep", "stopped 1/a", "stopped 1/side"]


def test_cancelled_flow_stops_its_dag() -> None:
    cls = sums(all_of_it)

    async def main() -> list[str]:
        async with rig(cls) as here:
            handle = await here.scheduler.schedule(cls({"a": 100, "b": 100}), id="f")
            while len(log) < 3:
                await asyncio.sleep(0.01)
            await handle.cancel()
            with pytest.raises(Exception, match="cancelled"):
                await handle.result()
            return await here.kinds()

    assert [kind.split()[:2] for kind in virtual(main)] == [
        ["step", "side"],
        ["cancel", "cancel"],
        ["stopped", "a"],
        ["stopped", "b"],
    ]


# --- out of memory and back


@flow_type
@dataclass
class DagWaits(Sums):
    """A flow that leaves memory in the middle of its DAG, while a step waits for its next try."""

    @step(retry=RetryPolicy(max_attempts=2, initial=30), depends_on=Sums.a)
    async def double(self, x: int = 1) -> int:
        return await self.work("double", 2 * x)

    @flow
    async def run(self) -> dict[str, Any]:
        loop: Any = asyncio.get_running_loop()
        loop.call_later(10, lambda: tasks.extend(loop.alive()))
        return await run_dag(self)


def test_flow_dropped_in_the_middle_goes_on_from_its_journal() -> None:
    definition: FlowDefinition = flow_definition(DagWaits)

    async def main() -> tuple[Any, list[str]]:
        async with rig() as here:
            here.start(definition, residents=0)
            result = await here.result(DagWaits({"b": 3}, {"double": 1}))
            return result, await here.kinds()

    result, kinds = virtual(main)
    assert result == ALL
    assert log == ["a 0", "b 0", "side 0", "double 0", "last 3", "double 30", "total 30"]
    assert kinds.count("step a") == 1


def test_l6_flow_dropped_in_the_middle_leaves_no_task_behind() -> None:
    async def main() -> None:
        async with rig() as here:
            here.start(flow_definition(DagWaits), residents=0)
            await here.result(DagWaits({}, {"double": 1}))

    virtual(main)
    assert [task.get_name() for task in tasks[:2]] == ["task ", "step double"]
    coroutines: list[Any] = [task.get_coro() for task in tasks[:2]]
    assert [coroutine.cr_frame for coroutine in coroutines] == [None, None]
