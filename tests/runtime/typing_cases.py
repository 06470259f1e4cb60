# pyright: strict, reportUnusedCoroutine=false
"""What type checkers are to infer. Lines marked `# error` are mistakes of users: each checker finds exactly those.

Never run: `test_typing.py` gives it to mypy and pyright.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NewType, TypedDict, assert_type

from ergon_runtime import (
    ChildHandle,
    Executor,
    FlowHandle,
    FlowValue,
    RetryPolicy,
    RunningWorker,
    Scheduler,
    Status,
    Store,
    Worker,
    as_completed,
    continue_as_new,
    flow,
    flow_type,
    invoke,
    now,
    open_store,
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


async def loops() -> None:
    assert_type(await asyncio.gather(*(note("a") for _ in range(3))), list[str])
    many = [invoke(ship("a")), invoke(ship_fast("b"))]
    assert_type(await asyncio.gather(*many), list[str])
    for ended in as_completed([note("a"), note("b")]):
        assert_type(await ended, str)
    mixed = await asyncio.gather(note("a"), pay("b", Decimal(1)), return_exceptions=True)
    assert_type(mixed, tuple[str | BaseException, int | BaseException])
    assert_type(await asyncio.wait_for(pay("a", Decimal(1)), 3), int)


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


async def running() -> None:
    async with open_store("memory://") as store:
        assert_type(store, Store)
        scheduler = Scheduler(store, version="2")
        handle = await scheduler.schedule(ship("a"))
        assert_type(handle, FlowHandle[str])
        assert_type(await handle.result(timeout=timedelta(seconds=3)), str)
        assert_type(await handle.status(), Status)
        assert_type(await handle.signal("x", {"a": 1}, id="k"), bool)
        assert_type(await scheduler.schedule(ship_fast("a"), version="2"), FlowHandle[str])
        assert_type(await scheduler.schedule(Order(1), id="x", delay=3), FlowHandle[Decimal])
        assert_type(await scheduler.schedule(Order(1).run(), at=datetime.now(UTC)), FlowHandle[Decimal])
        assert_type(await scheduler.schedule(Return(1)), FlowHandle[int])
        assert_type(await scheduler.schedule(Renamed().process()), FlowHandle[int])
        assert_type(scheduler.handle("x"), FlowHandle[Any])
        assert_type(scheduler.handle("x", int), FlowHandle[int])
        assert_type(scheduler.handle("x", list[Order]), FlowHandle[list[Order]])
        assert_type(await scheduler.handle("x", Parcel).result(), Parcel)
        assert_type(await scheduler.retry("x", from_step="pay"), FlowHandle[Any])
        assert_type(await scheduler.retry("x", adopt=True), FlowHandle[Any])
        assert_type(await scheduler.fork("x", from_step="pay", id="y", results={"pay": "1"}), FlowHandle[Any])
        assert_type(await asyncio.gather(handle.result(), scheduler.handle("x", int).result()), tuple[str, int])
        assert_type(await Executor(ship("a"), store, id="x").run(), str)
        assert_type(await Executor(Order(1), store).run(), Decimal)
        worker = Worker(store, name="w", concurrency=3, lease=timedelta(seconds=3)).register(ship, Order)
        assert_type(worker, Worker)
        assert_type(await worker.start(), RunningWorker)
        async with await worker.register_all().start(only=["x"]) as started:
            assert_type(started, RunningWorker)
        await scheduler.schedule(ship)  # error
        await scheduler.schedule(pay("a", Decimal(1)))  # error
        await scheduler.schedule(Renamed())  # error
        await scheduler.schedule(ship("a"), id=3)  # error
        await scheduler.schedule(ship("a"), delay="3s")  # error
        await scheduler.retry("x", "pay")  # error
        await scheduler.fork("x")  # error
        await scheduler.fork("x", from_step="pay", results={"pay": 1})  # error
        await handle.result(timeout="3s")  # error
        number: int = await handle.result()  # error
        Executor(Order, store)  # error
        Worker("memory://")  # error
        Worker(store, concurrency="3")  # error
        del number


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
