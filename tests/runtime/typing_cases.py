# pyright: strict, reportUnusedCoroutine=false
"""What type checkers are to infer. Lines marked `# error` are mistakes of users: each checker finds exactly those.

Never run: `test_typing.py` gives it to mypy and pyright.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NewType, TypedDict, assert_type

from ergon_runtime import (
    ChildHandle,
    FlowValue,
    RetryPolicy,
    continue_as_new,
    flow,
    flow_type,
    invoke,
    now,
    run_dag,
    sleep,
    step,
    wait_signal,
)


class Parcel(TypedDict):
    weight: int


class Colour(Enum):
    RED = 1


CustomerId = NewType("CustomerId", int)


@step
async def pay(order: str, amount: Decimal) -> int:
    return 1


@step(name="note", retry=RetryPolicy.STANDARD, timeout=timedelta(seconds=3))
def note(text: str, *, loud: bool = False) -> str:
    return text


@flow
async def ship(order: str) -> str:
    return order


@flow(version="2", retry=RetryPolicy.NONE, keep=False)
async def ship_fast(order: str) -> str:
    return order


@dataclass
@flow_type
class Order:
    number: int

    @step
    async def check(self, limit: int) -> bool:
        return self.number < limit

    @step(at_most_once=True)
    def label(self, text: str) -> bytes:
        return text.encode()

    @flow
    async def run(self) -> Decimal:
        assert_type(await self.check(3), bool)
        assert_type(await self.label("a"), bytes)
        await self.check("3")  # error
        continue_as_new(Order(2))


@flow_type(version="3")
@dataclass(frozen=True, slots=True)
class Return:
    number: int

    @flow(retry=RetryPolicy.STANDARD)
    async def run(self) -> int:
        return self.number


@dataclass
@flow_type
class Renamed:
    @flow
    async def process(self) -> int:
        return 1


@flow_type
@dataclass
class Wired:
    number: int

    @step
    async def start(self) -> None: ...

    @step(depends_on=start)
    async def fetch(self) -> int:
        return self.number

    @step(depends_on=[start, "fetch"], inputs={"x": fetch}, timeout=3)
    def text(self, x: int, loud: bool = False) -> str:
        return str(x)

    @step(depends_on=("start",), inputs={"x": "fetch", "y": text})
    async def total(self, x: int, y: str) -> Decimal:
        return Decimal(x)

    @step(depends_on=3)  # error
    async def wrong(self) -> None: ...

    @step(inputs=[fetch])  # error
    async def wrong_too(self, x: int) -> None: ...

    @flow
    async def run(self) -> int:
        assert_type(await run_dag(self), dict[str, Any])
        assert_type(await run_dag(self, self.total), dict[str, Any])
        assert_type(await run_dag(self, final=Wired.text), dict[str, Any])
        assert_type(await self.text(3, loud=True), str)
        await run_dag(self, final=3)  # error
        return 1


async def steps() -> None:
    paying: Coroutine[object, None, int] = pay("a", Decimal(1))
    assert_type(await paying, int)
    assert_type(await note("a", loud=True), str)
    both = await asyncio.gather(pay("a", Decimal(1)), note("b"), invoke(ship("c")))
    assert_type(both, tuple[int, str, str])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(note("a"))
    assert_type(task.result(), str)
    await pay("a")  # error
    await note("a", True)  # error


async def flows() -> None:
    assert_type(ship("a"), FlowValue[str])
    assert_type(ship_fast("a"), FlowValue[str])
    assert_type(Order(1).run(), FlowValue[Decimal])
    assert_type(Return(1), Return)
    assert_type(invoke(ship("a")), ChildHandle[str])
    assert_type(await invoke(ship("a"), detached=True), str)
    assert_type(await invoke(Order(1)), Decimal)
    assert_type(await invoke(Return(1)).result(), int)
    assert_type(await invoke(Renamed().process()), int)
    invoke(Renamed())  # error
    invoke(ship)  # error
    invoke(pay("a", Decimal(1)))  # error
    await ship("a")  # error
    ship(3)  # error
    Order("a")  # error


async def signals() -> None:
    assert_type(await wait_signal("x"), Any)
    assert_type(await wait_signal("x", timeout=3), Any)
    assert_type(await wait_signal("x", Order), Order)
    assert_type(await wait_signal("x", Colour, timedelta(days=1)), Colour)
    assert_type(await wait_signal("x", Parcel), Parcel)
    customer: CustomerId = await wait_signal("x", CustomerId)  # pyright infers Any here
    assert_type(customer, CustomerId)
    assert_type(await wait_signal("x", list[int], timeout=1.5), list[int])
    answer: Literal["yes", "no"] = await wait_signal("x", Literal["yes", "no"])
    assert_type(answer, Literal["yes", "no"])
    await sleep(now())  # error


@step(retry=3)  # error
async def three_times() -> None: ...


@flow  # error
def not_async() -> int:
    return 1
