"""Steps: calls in and outside flow code, arguments, receivers, errors, retries, cancellation, at-most-once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from ergon_runtime.core.entries import StepEnded
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, flow_type, registry, step
from ergon_runtime.errors import CodecError, DefinitionError
from tests.harness import Drive


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


class CardError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"card refused: {code}")
        self.code = code


@step
async def price(item: str, count: int = 1, *, rate: Decimal = Decimal("1.5")) -> Decimal:
    return rate * count


@step
def shout(text: str, /, suffix: str = "!") -> str:
    return text.upper() + suffix


def args_of(drive: Drive) -> list[str]:
    return [entry.args for entry in drive.entries() if isinstance(entry, StepEnded)]


# --- calls


def test_step_outside_flow_code_is_its_plain_function() -> None:
    async def main() -> list[object]:
        return [await price("tea", 2), await shout("hi", suffix="?"), await shout("hi")]

    assert asyncio.run(main()) == [Decimal("3.0"), "HI?", "HI!"]


def test_step_inside_a_step_runs_as_part_of_it() -> None:
    @step
    async def outer() -> str:
        return await shout("in") + str(await price("tea"))

    @flow
    async def calls() -> str:
        return await outer()

    drive = Drive(calls())
    assert drive.result() == "IN!1.5"
    assert drive.ran == ["outer"]


def test_step_in_flow_code_records_all_arguments_in_declared_order() -> None:
    @flow
    async def calls() -> Decimal:
        await price(count=2, item="tea")
        return await price("tea", rate=Decimal(3))

    drive = Drive(calls())
    assert drive.result() == Decimal(3)
    assert args_of(drive) == ['{"item":"tea","count":2,"rate":"1.5"}', '{"item":"tea","count":1,"rate":"3"}']


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"price\(\) missing a required argument: 'item'"),
        (("a", 1, 2), {}, r"price\(\) too many positional arguments"),
        (("a",), {"cuont": 1}, r"price\(\) got an unexpected keyword argument 'cuont'"),
        (("a",), {"item": "b"}, r"price\(\) multiple values for argument 'item'"),
    ],
)
def test_wrong_arguments_raise_type_error_at_the_call(args: Any, kwargs: Any, message: str) -> None:
    @flow
    async def calls() -> str:
        try:
            price(*args, **kwargs)
        except TypeError as error:
            return str(error)
        return "accepted"

    assert re.fullmatch(message, Drive(calls()).result())


def test_positional_only_argument_by_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="text"):
        shout(text="a")  # type: ignore[call-arg]  # the mistake under test


def test_argument_that_cannot_be_stored_raises_codec_error_in_flow_code() -> None:
    @flow
    async def calls() -> str:
        try:
            return await shout(3)  # type: ignore[arg-type]  # the mistake under test
        except CodecError as error:
            return str(error)

    assert "argument text of step shout" in Drive(calls()).result()


def test_step_that_changes_its_argument_does_not_change_the_flows() -> None:
    @step
    async def fill(items: list[int]) -> int:
        items.append(1)
        return len(items)

    @flow
    async def calls() -> list[object]:
        items: list[int] = []
        return [await fill(items), await fill(items), items]

    drive = Drive(calls())
    assert drive.result() == [1, 1, []]
    assert drive.replayed() == [1, 1, []]


def test_result_comes_from_the_record_also_in_the_first_run() -> None:
    shared = [1, 2]

    @step
    async def gives() -> list[int]:
        return shared

    @flow
    async def calls() -> bool:
        return (await gives()) is shared

    assert Drive(calls()).result() is False


def test_result_that_does_not_fit_its_hint_fails_the_step() -> None:
    @step(retry=RetryPolicy.STANDARD)
    async def lies() -> int:
        return "three"  # type: ignore[return-value]  # the mistake under test

    @flow
    async def calls() -> int:
        return await lies()

    drive = Drive(calls())
    with pytest.raises(CodecError, match="result of step lies"):
        drive.result()
    assert drive.ran == ["lies"]


def test_recorded_result_that_no_longer_fits_blocks_the_flow() -> None:
    @step(name="count")
    async def before() -> int:
        return 3

    @step(name="count")
    async def after() -> str:
        return "three"

    @flow(version="1", name="counts")
    async def old() -> int:
        return await before()

    @flow(version="2", name="counts")
    async def new() -> str:
        return await after()

    with pytest.raises(Fault) as caught:
        Drive(new(), journal=Drive(old()).run().journal).run()
    assert (caught.value.kind, caught.value.key) == (FaultKind.UNREADABLE, "count")


# --- receivers


@dataclass
@flow_type(name="test_steps.Tally")
class Tally:
    start: int
    seen: list[int] = field(default_factory=list[int])

    @step
    async def add(self, n: int) -> int:
        return self.start + n

    @step
    def writes(self) -> None:
        self.start = 9

    @flow
    async def run(self) -> list[object]:
        first = await self.add(1)
        self.start = 100
        try:
            await self.writes()
        except DefinitionError as error:
            return [first, await self.add(1), str(error)]
        return []


def test_method_step_sees_the_object_and_cannot_change_it() -> None:
    drive = Drive(Tally(1))
    first, second, error = drive.result()
    assert (first, second) == (2, 101)
    assert "a step cannot change the flow object (Tally.start)" in error
    assert args_of(drive)[0] == '{"n":1}'
    assert drive.replayed() == [first, second, error]


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"slots": True}, {"frozen": True, "slots": True}])
def test_method_step_works_on_every_kind_of_dataclass(options: dict[str, bool]) -> None:
    made: list[str] = []

    class Base:
        def __init_subclass__(cls) -> None:
            made.append(cls.__name__)

    @dataclass(**options)
    @flow_type
    class Kind(Base):
        n: int

        @step
        def double(self) -> int:
            assert isinstance(self, Kind)
            return 2 * self.n

        @flow
        async def run(self) -> int:
            return await self.double()

    written = len(made)
    assert Drive(Kind(4)).result() == 8
    assert len(made) == written


def test_method_step_outside_flow_code_runs_on_the_object_itself() -> None:
    tally = Tally(1)
    asyncio.run(tally.writes())
    assert tally.start == 9


# --- errors and retries


def test_step_error_is_raised_rebuilt_in_first_run_and_replay() -> None:
    @step
    async def pay() -> None:
        raise CardError(42)

    @flow
    async def calls() -> int:
        try:
            await pay()
        except CardError as error:
            return error.code
        return 0

    drive = Drive(calls())
    assert drive.result() == 42
    assert drive.replayed() == 42


def test_failed_tries_are_journaled_and_the_next_waits() -> None:
    tries: list[int] = []

    @step(retry=RetryPolicy(max_attempts=3, initial=2))
    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise CardError(1)
        return len(tries)

    @flow
    async def calls() -> float:
        await flaky()
        return asyncio.get_running_loop().time()

    drive = Drive(calls())
    began = drive.clock
    assert drive.result() == (began + 6_000) / 1000
    assert drive.kinds() == ["started", "attempt flaky", "attempt flaky", "step flaky"]
    assert drive.replayed() == (began + 6_000) / 1000
