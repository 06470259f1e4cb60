"""Flows whose histories are recorded here, by every release and Python, to be replayed by all later ones.

THIS FILE NEVER CHANGES once a history of a flow is recorded: not a name, not an order, not a default. What fails to
replay has found a mistake in the engine, never here. New flows may be added at the end, with new names.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ergon_runtime import (
    NonRetryableError,
    OutcomeUnknown,
    RetryPolicy,
    as_completed,
    continue_as_new,
    flow,
    flow_type,
    invoke,
    now,
    patched,
    random,
    run_dag,
    sleep,
    sleep_until,
    step,
    step_info,
    uuid4,
    wait_signal,
)

WORDS = {"ada", "bob", "cyd", "dan", "eve", "fay", "gil"}
"""They iterate in an order of their own under each hash seed."""


class Refused(Exception):
    """A step's own error."""


@dataclass(frozen=True)
class Decision:
    approved: bool
    by: str


@step
async def tell(word: str, seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return word


@step
async def keep(value: Any) -> Any:
    return value


@step(retry=RetryPolicy(max_attempts=3, initial=2.0))
async def connect(host: str) -> str:
    if step_info().attempt < 3:
        raise ConnectionError(host)
    return host


@step
async def refuse(reason: str) -> None:
    raise Refused(reason)


@step
async def refuse_first(reason: str) -> int:
    if step_info().flow_attempt == 1:
        raise Refused(reason)
    return step_info().flow_attempt


@step(at_most_once=True)
async def pay(amount: Decimal, seconds: float = 0.0) -> Decimal:
    await asyncio.sleep(seconds)
    return amount


# --- steps, values, timers, signals
@flow(name="history.order")
async def order(number: int) -> list[str]:
    said = [await tell("validate"), await connect(f"host-{number}")]
    if patched("with payment"):
        said.append(str(await pay(Decimal("9.50"))))
    began = now()
    await sleep(5)
    await asyncio.sleep(0.25)
    await sleep_until(datetime(2023, 11, 14, 22, 20, tzinfo=UTC))
    assert now() > began + timedelta(seconds=5)
    decision = await wait_signal("decide", Decision)
    said.append(decision.by)
    try:
        await wait_signal("never", int, timeout=10)
    except TimeoutError:
        said.append("nobody")
    try:
        await refuse("closed")
    except Refused as error:
        said.append(str(error))
    return said


@flow(name="history.values", version="2")
async def values(given: Any) -> Any:
    chance, name = random(), uuid4()
    found = [chance.random(), chance.randrange(10**30), str(name), now()]
    await keep(found)
    await keep({"a": Decimal(1), 2: (3, 4), "s": frozenset({"x"}), "b": b"\xff", "é": timedelta(days=1)})
    return await keep(given)


@flow(name="history.waits")
async def waits(number: int) -> str:
    await tell(f"waits {number}")
    async with asyncio.timeout(10**7):
        return await wait_signal("go", str)


# --- orders that are hard to keep
@flow(name="history.races")
async def races() -> list[object]:
    told: list[object] = list(await asyncio.gather(*(tell(word, len(WORDS) - n) for n, word in enumerate(WORDS))))
    async for each in as_completed([tell(word, n % 3) for n, word in enumerate(WORDS)]):
        told.append(await each)
    tasks = {asyncio.create_task(tell(word, 1 + n)) for n, word in enumerate(WORDS)}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    told += sorted(task.result() for task in done)
    for task in pending:
        task.cancel()
        told.append(len(await asyncio.gather(task, return_exceptions=True)))
    async with asyncio.TaskGroup() as group:
        for word in WORDS:
            group.create_task(tell(f"{word} again"))
    winner, _ = await asyncio.wait(
        [asyncio.create_task(sleep(3)), asyncio.create_task(wait_signal("early", int))],
        return_when=asyncio.FIRST_COMPLETED,
    )
    return [*told, len(winner)]


@dataclass
@flow_type(name="history.dag")
class Report:
    month: int

    @step
    async def sales(self) -> int:
        return 40 * self.month

    @step(depends_on=sales)
    async def costs(self) -> int:
        return 15 * self.month

    @step(inputs={"sold": sales, "spent": "costs"})
    async def profit(self, sold: int, spent: int) -> int:
        return sold - spent

    @flow
    async def run(self) -> dict[str, Any]:
        return await run_dag(self)


# --- ends
@flow(name="history.stopped")
async def stopped() -> str:
    try:
        async with asyncio.timeout(1):
            await tell("too late", 3600)
    except TimeoutError:
        return await tell("stopped")
    return "never"


@flow(name="history.cancelled")
async def cancelled() -> str:
    try:
        return await wait_signal("never", str)
    finally:
        await tell("clean up")


@flow(name="history.failed")
async def failed(reason: str) -> str:
    await tell("before")
    raise NonRetryableError(reason)


@flow(name="history.once")
async def once() -> str:
    try:
        await pay(Decimal(7), 3600)
    except OutcomeUnknown:
        return await tell("ask the bank")
    return "never"


# --- children
@flow(name="history.child")
async def child(number: int) -> int:
    if number < 0:
        await refuse(f"child {number}")
    return int(await keep(number * 10))


@flow(name="history.patient_child")
async def patient() -> str:
    return await wait_signal("never", str)


@flow(name="history.parent")
async def parent() -> list[object]:
    found: list[object] = [await invoke(child(1))]
    found += await asyncio.gather(*(invoke(child(n)) for n in (2, 3)))
    try:
        await invoke(child(-1))
    except Refused as error:
        found.append(str(error))
    invoke(patient(), detached=True)
    try:
        async with asyncio.timeout(2):
            await invoke(patient())
    except TimeoutError:
        found.append("too long")
    return found


# --- lives
@flow(name="history.rounds")
async def rounds(number: int) -> int:
    await keep([number, random().random()])
    await sleep(1)
    if number < 3:
        continue_as_new(rounds(number + 1))
    return number


@flow(name="history.retried", retry=RetryPolicy(max_attempts=3, initial=4.0))
async def retried() -> int:
    await tell("once")
    await sleep(2)
    return await refuse_first("the first attempt")


@flow(name="history.undone", retry=RetryPolicy(max_attempts=3, initial=4.0), keep=False)
async def undone() -> int:
    await tell("each time")
    try:
        return await refuse_first("the first attempt")
    except Refused:
        await tell("undo")
        raise


broken = [True]
"""Until a person mends it."""


@step
async def use() -> str:
    if broken:
        raise Refused("it is broken")
    return "used"


@flow(name="history.mended")
async def mended() -> str:
    await tell("kept")
    await tell("again")
    return await use()


@flow(name="history.adopted")
async def adopted() -> str:
    await tell("new at the start")
    await tell("first")
    return await wait_signal("go", str)
