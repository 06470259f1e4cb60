"""`run_dag`: when steps start, their keys (D2), failures (D3), cancels (D4), replays, retries and eviction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.dag import run_dag
from ergon_runtime.definitions import FlowDefinition, flow, flow_definition, flow_type, registry, step
from ergon_runtime.errors import CodecError, DefinitionError
from ergon_runtime.primitives import sleep
from ergon_runtime.replay import replay_flow
from tests.runtime.rigs import rig, virtual

log: list[str] = []
tasks: list[asyncio.Task[Any]] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    tasks.clear()
    with registry.isolated():
        yield


class Boom(Exception):
    """A step's own error."""


@dataclass
class Sums:
    """a -> double -> total <- b -> last, and side alone. Steps take the seconds and fail as often as they are told."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    fails: dict[str, int] = field(default_factory=dict[str, int])

    async def work(self, name: str, value: int) -> int:
        log.append(f"{name} {asyncio.get_running_loop().time():g}")
        await asyncio.sleep(self.seconds.get(name, 0))
        if sum(line.startswith(f"{name} ") for line in log) <= self.fails.get(name, 0):
            raise Boom(name)
        return value

    @step(depends_on="b")
    async def last(self) -> int:
        return await self.work("last", 0)

    @step
    async def a(self) -> int:
        return await self.work("a", 1)

    @step
    async def b(self) -> int:
        return await self.work("b", 5)

    @step(inputs={"x": a})
    async def double(self, x: int) -> int:
        return await self.work("double", 2 * x)

    @step(inputs={"x": "double", "y": b}, depends_on=[a])
    async def total(self, x: int, y: int, z: int = 100) -> int:
        return await self.work("total", x + y + z)

    @step(depends_on=())
    async def side(self) -> int:
        return await self.work("side", 7)


def sums(code: Callable[[Any], Coroutine[Any, Any, Any]], base: type = Sums, **options: Any) -> Any:
    """The flow type that has these steps and this code."""
    made: Any = type("DagSums", (base,), {"run": flow(**options)(code)})
    return flow_type(dataclass(made))


async def all_of_it(self: Any) -> Any:
    return await run_dag(self)


ALL = {"last": 0, "a": 1, "b": 5, "double": 2, "total": 107, "side": 7}


def run(cls: Any, *fields: Any) -> tuple[Any, list[str]]:
    """The result of a flow in virtual time, or its error, and its journal. The journal replays alike."""

    async def main() -> tuple[Any, list[str]]:
        async with rig(cls) as here:
            try:
                result = await here.result(cls(*fields))
            except (Exception, asyncio.CancelledError) as error:
                result = error
            begun = list(log)
            report = await replay_flow(here.store, await here.row(), lambda type_, version: flow_definition(cls))
            assert report.verdict == "same", report
            assert log == begun
            return result, await here.kinds()

    return virtual(main)


# --- starts and keys


def test_each_step_starts_as_soon_as_its_own_inputs_are_there() -> None:
    result, kinds = run(sums(all_of_it), {"a": 1, "b": 9, "double": 3, "total": 2, "last": 1, "side": 20})
    assert log == ["a 0", "b 0", "side 0", "double 1", "last 9", "total 9"]
    assert result == ALL
    assert kinds == ["step a", "step double", "step b", "step last", "step total", "step side"]


def test_results_and_starts_are_in_the_order_of_definition() -> None:
    result, _ = run(sums(all_of_it), {"a": 0.2, "b": 0.1, "side": 0.3})
    assert [*result] == [*ALL]
    assert [line.split()[0] for line in log] == ["a", "b", "side", "last", "double", "total"]


@pytest.mark.parametrize("final", ["double", Sums.double], ids=["by name", "as decorated"])
def test_d2_final_runs_only_what_it_needs_under_the_same_keys(final: Any) -> None:
    async def code(self: Any) -> Any:
        return await run_dag(self, final=final), await run_dag(self, final=self.b)

    result, kinds = run(sums(code))
    assert result == ({"a": 1, "double": 2}, {"b": 5})
    assert kinds == ["step a", "step double", "step b"]


def test_d2_second_dag_counts_its_keys_on() -> None:
    async def code(self: Any) -> Any:
        await self.a()
        first = await run_dag(self, final="double")
        return first == await run_dag(self, "double")

    result, kinds = run(sums(code))
    assert result is True
    assert kinds == ["step a", "step a#2", "step double", "step a#3", "step double#2"]


def test_d2_dags_side_by_side_have_the_scopes_of_their_tasks() -> None:
    async def code(self: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(run_dag(self, "a"))
            group.create_task(run_dag(self, "double"))
        return await asyncio.gather(run_dag(self, "double"), run_dag(self, "b"), self.b())

    result, kinds = run(sums(code), {"b": 1})
    assert result == [{"a": 1, "double": 2}, {"b": 5}, 5]
    assert kinds == ["step 1/a", "step 2/a", "step 2/double", "step 3/a", "step 3/double", "step 4/b", "step 5/b"]


def test_sync_step_runs_in_a_dag() -> None:
    @flow_type
    @dataclass
    class Mixed:
        @step
        def fetch(self) -> list[int]:
            return [1, 2]

        @step(inputs={"numbers": fetch})
        def total(self, numbers: list[int]) -> int:
            numbers.append(3)
            return sum(numbers)

        @flow
        async def run(self) -> dict[str, Any]:
            return await run_dag(self)

    async def main() -> Any:
        async with rig(Mixed) as here:
            return await here.result(Mixed())

    assert asyncio.run(main()) == {"fetch": [1, 2], "total": 6}


# --- failures


def test_d3_after_a_failure_nothing_starts_and_what_runs_is_recorded() -> None:
    result, kinds = run(sums(all_of_it), {"a": 2, "b": 1, "side": 5, "last": 1.5}, {"a": 1})
    assert (type(result), str(result)) == (Boom, "a")
    assert log == ["a 0", "b 0", "side 0", "last 1"]
    assert kinds == ["step b", "step a", "step last", "step side"]


@pytest.mark.parametrize(("seconds", "first"), [({"a": 2, "b": 1}, "b"), ({"a": 1, "b": 2}, "a")])
def test_d3_first_failure_delivered_is_raised(seconds: dict[str, float], first: str) -> None:
    result, _ = run(sums(all_of_it), seconds, {"a": 1, "b": 1})
    assert (type(result), str(result)) == (Boom, first)


def test_d3_arguments_that_cannot_be_stored_fail_the_step_and_let_others_end() -> None:
    @flow_type
    @dataclass
    class Unfit(Sums):
        @step
        async def b(self) -> Any:
            return "no number"

        @flow
        async def run(self) -> dict[str, Any]:
            return await run_dag(self)

    result, kinds = run(Unfit, {"side": 5})
    assert isinstance(result, CodecError)
    assert "argument y of step total" in str(result)
    assert sorted(kinds) == ["step a", "step b", "step double", "step last", "step side"]


def test_d3_flow_that_handles_the_failure_goes_on() -> None:
    async def code(self: Any) -> Any:
        try:
            await run_dag(self)
        except Boom as error:
            return [str(error), await self.side()]

    result, kinds = run(sums(code), {"b": 1}, {"b": 1})
    assert result == ["b", 7]
    assert kinds[-1] == "step side#2"


def test_retry_of_the_flow_reuses_what_was_done() -> None:
    again = RetryPolicy(max_attempts=3, initial=1)
    result, kinds = run(sums(all_of_it, retry=again), {"a": 0.1, "b": 0.2}, {"double": 2})
    assert result == ALL
    assert log == ["a 0", "b 0", "side 0", "double 0.1", "double 1.2", "last 1.2", "double 3.2", "total 3.2"]
    assert [kinds.count(f"step {name}") for name in ALL] == [1, 1, 1, 3, 1, 1]


def test_retry_that_keeps_nothing_runs_all_again() -> None:
    again = RetryPolicy(max_attempts=2, initial=1)
    result, _ = run(sums(all_of_it, retry=again, keep=False), {"double": 1}, {"double": 1})
    assert result == ALL
    assert [line.split()[0] for line in log].count("a") == 2


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
        task = asyncio.create_task(run_dag(self, "side"))
        for _ in range(3):
            await sleep(1)
            task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    result, kinds = run(sums(code, base=Stubborn))
    assert result is True
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
class Waits(Sums):
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
    definition: FlowDefinition = flow_definition(Waits)

    async def main() -> tuple[Any, list[str]]:
        async with rig() as here:
            here.start(definition, residents=0)
            result = await here.result(Waits({"b": 3}, {"double": 1}))
            return result, await here.kinds()

    result, kinds = virtual(main)
    assert result == ALL
    assert log == ["a 0", "b 0", "side 0", "double 0", "last 3", "double 30", "total 30"]
    assert kinds.count("step a") == 1


def test_l6_flow_dropped_in_the_middle_leaves_no_task_behind() -> None:
    async def main() -> None:
        async with rig() as here:
            here.start(flow_definition(Waits), residents=0)
            await here.result(Waits({}, {"double": 1}))

    virtual(main)
    assert [task.get_name() for task in tasks[:2]] == ["task ", "step double"]
    coroutines: list[Any] = [task.get_coro() for task in tasks[:2]]
    assert [coroutine.cr_frame for coroutine in coroutines] == [None, None]


# --- refusals


def test_run_dag_outside_flow_code_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"run_dag\(\) works in flow code only"):
        _ = run_dag(Sums())  # not awaited


def test_run_dag_in_a_step_says_to_drop_step() -> None:
    async def code(self: Any) -> Any:
        await self.helper()

    @step
    async def helper(self: Any) -> None:
        await run_dag(self)

    result, _ = run(sums(code, base=type("Base", (Sums,), {"helper": helper})))
    assert "run_dag() was called in step helper" in str(result)
    assert "drop @step" in str(result)


def test_wrong_final_and_wrong_objects_are_refused_at_the_call() -> None:
    async def code(self: Any) -> Any:
        said: list[str] = []
        wrong: list[Any] = [(self, "dubble"), (self, 3), (Sums(), None)]
        for flow_object, final in wrong:
            try:
                _ = run_dag(flow_object, final)  # not awaited
            except DefinitionError as error:
                said.append(str(error))
        return said

    result, _ = run(sums(code))
    assert [message.rpartition("; ")[2] for message in result[:2]] == ["did you mean double?", "put @step on it"]
    assert "not Sums(" in result[2]
