"""Scenarios of steps: plain, sync, retried, failing, at most once, with heartbeats and time limits, many at once."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from ergon_runtime import (
    CodecError,
    OutcomeUnknown,
    RetryPolicy,
    as_completed,
    flow,
    flow_type,
    heartbeat,
    run_dag,
    step,
)
from tests.faults.effects import begin, name_of, work, work_in_thread
from tests.faults.person import Person
from tests.faults.scenario import completed, failed, scenario

TRIES = RetryPolicy(max_attempts=4, initial=0.1, multiplier=2)


class Broken(Exception):
    """A step's own failure."""


@step
async def plain(told: str = "") -> str:
    return await work(told)


@step
def threaded(told: str = "") -> str:
    return work_in_thread(told)


@step(retry=TRIES)
async def flaky(told: str = "") -> str:
    info = begin(told)
    await asyncio.sleep(0.01)
    if info.attempt < 3:
        raise Broken(f"try {info.attempt}")
    return f"{name_of(info)} in try {info.attempt}"


@step
async def broken(told: str = "") -> str:
    await work(told)
    raise Broken(told)


@step(at_most_once=True)
async def pay(told: str = "") -> str:
    return await work(told, once=True)


@step(retry=TRIES)
async def counting(told: str = "") -> int:
    info = begin(told)
    done = info.heartbeat or 0
    while done < 4:
        done += 1
        heartbeat(done)
        await asyncio.sleep(0.4)
        if done == 2 and info.attempt == 1:
            raise Broken("half way")
    return int(done)


@step(timeout=0.2, retry=TRIES)
async def slow(told: str = "") -> str:
    info = begin(told)
    await asyncio.sleep(5 if info.attempt == 1 else 0.01)
    return f"{name_of(info)} in try {info.attempt}"


@step(retry=TRIES)
async def unfit(told: str = "") -> str:
    begin(told)
    return object()  # type: ignore[return-value]  # on purpose: it cannot be stored


@step
async def lasting(told: str = "") -> str:
    return await work(told, seconds=0.8)


@flow
async def fault_plain_steps() -> str:
    return await plain(await plain("a"))


@scenario(fault_plain_steps, ends={"f": completed("plain#2(plain(a))")}, delicate=True)
async def plain_steps(person: Person) -> None:
    await person.start(fault_plain_steps())


@flow
async def fault_sync_steps() -> str:
    return await threaded(await threaded("a"))


@scenario(fault_sync_steps, ends={"f": completed("threaded#2(threaded(a))")})
async def sync_steps(person: Person) -> None:
    await person.start(fault_sync_steps())


@flow
async def fault_retried_step() -> str:
    return await flaky("x")


@scenario(fault_retried_step, ends={"f": completed("flaky in try 3")}, delicate=True)
async def retried_step(person: Person) -> None:
    await person.start(fault_retried_step())


@flow
async def fault_failing_step() -> str:
    await plain()
    try:
        return await broken("why")
    finally:
        await plain("undo")


@scenario(fault_failing_step, ends={"f": failed("Broken")})
async def failing_step(person: Person) -> None:
    await person.start(fault_failing_step())


@flow
async def fault_at_most_once() -> str:
    try:
        return await pay("1 EUR")
    except OutcomeUnknown:
        return "unknown"


@scenario(fault_at_most_once, ends={"f": (completed("pay(1 EUR)"), completed("unknown"))}, delicate=True)
async def at_most_once(person: Person) -> None:
    await person.start(fault_at_most_once())


@flow
async def fault_heartbeats() -> int:
    return await counting()


@scenario(fault_heartbeats, ends={"f": completed(4)})
async def heartbeats(person: Person) -> None:
    await person.start(fault_heartbeats())


@flow
async def fault_step_timeout() -> str:
    return await slow()


@scenario(fault_step_timeout, ends={"f": completed("slow in try 2")})
async def step_timeout(person: Person) -> None:
    await person.start(fault_step_timeout())


@flow
async def fault_unfit_result() -> str:
    try:
        return await unfit()
    except CodecError:
        return await plain("after")


@scenario(fault_unfit_result, ends={"f": completed("plain(after)")})
async def unfit_result(person: Person) -> None:
    await person.start(fault_unfit_result())


@flow
async def fault_gather() -> list[str]:
    return list(await asyncio.gather(plain("a"), flaky("b"), threaded("c"), lasting("d")))


GATHERED = ["plain(a)", "flaky in try 3", "threaded(c)", "lasting(d)"]


@scenario(fault_gather, ends={"f": completed(GATHERED)}, delicate=True)
async def gather(person: Person) -> None:
    await person.start(fault_gather())


@flow
async def fault_as_completed() -> list[str]:
    found = [await each async for each in as_completed([lasting("slow"), plain("quick")])]
    return sorted(found)


@scenario(fault_as_completed, ends={"f": completed(["lasting(slow)", "plain(quick)"])})
async def completed_in_turn(person: Person) -> None:
    await person.start(fault_as_completed())


@flow
async def fault_task_group() -> str:
    with contextlib.suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(lasting("stopped"))
            group.create_task(broken("first"))
    return await plain("undo")


@scenario(fault_task_group, ends={"f": completed("plain(undo)")}, racy=True)
async def task_group(person: Person) -> None:
    await person.start(fault_task_group())


@flow
async def fault_first_of_two() -> str:
    tasks = [asyncio.create_task(lasting("slow")), asyncio.create_task(plain("quick"))]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return await done.pop()


ONE_OF_TWO = {"f": (completed("plain(quick)"), completed("lasting(slow)"))}


@scenario(fault_first_of_two, ends=ONE_OF_TWO, racy=True)
async def first_of_two(person: Person) -> None:
    await person.start(fault_first_of_two())


@dataclass
@flow_type
class FaultDag:
    start: str

    @step
    async def read(self) -> str:
        return await work()

    @step(inputs={"told": read})
    async def left(self, told: str) -> str:
        return await work(told)

    @step(inputs={"told": read}, retry=TRIES)
    async def right(self, told: str) -> str:
        if begin(told).attempt == 1:
            raise Broken("once")
        return "right"

    @step(inputs={"told": left}, depends_on=right)
    async def join(self, told: str) -> str:
        return await work(told)

    @flow
    async def run(self) -> str:
        await run_dag(self)
        return await plain(self.start)


@scenario(FaultDag, ends={"f": completed()})
async def dag(person: Person) -> None:
    await person.start(FaultDag("end"))
