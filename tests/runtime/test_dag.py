"""`run_dag`: when steps start, their keys (D2), failures and retries (D3), and where it is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.dag import run_dag
from ergon_runtime.definitions import flow, flow_type, registry, step
from ergon_runtime.errors import CodecError, DefinitionError
from tests.runtime.dags import ALL, Boom, Sums, all_of_it, log, run, sums
from tests.runtime.rigs import rig


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


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


@pytest.mark.parametrize("error", [Boom("x"), asyncio.CancelledError("x")], ids=repr)
def test_d3_error_of_any_kind_is_raised_as_itself(error: BaseException) -> None:
    class Raises(Sums):
        @step
        async def b(self) -> int:
            raise error

    async def code(self: Any) -> Any:
        try:
            await run_dag(self)
        except BaseException as caught:
            return [type(caught).__name__, str(caught)]

    result, kinds = run(sums(code, base=Raises), {"a": 1})
    assert result == [type(error).__name__, "x"]
    assert sorted(kinds) == ["step a", "step b", "step side"]


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
    assert [message.rpartition("; ")[2] for message in result[:2]] == ["did you mean double?", "several go into a list"]
    assert "not Sums(" in result[2]
