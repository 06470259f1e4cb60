"""Scenarios of waiting: sleeps, time limits, and signals to a flow or to whoever waits on a name."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ergon_runtime import flow, now, sleep, sleep_until, wait_signal
from ergon_runtime.core.flows import Status
from tests.faults.person import Person
from tests.faults.scenario import completed, scenario
from tests.faults.steps import lasting, plain

if TYPE_CHECKING:
    from tests.faults.world import World


@flow
async def fault_sleep() -> str:
    await sleep(0.5)
    await sleep(timedelta(seconds=0.5), name="nap")
    return await plain("awake")


@scenario(fault_sleep, ends={"f": completed("plain(awake)")})
async def sleeping(person: Person) -> None:
    await person.start(fault_sleep())


@flow
async def fault_sleep_until() -> bool:
    when = now() + timedelta(seconds=0.7)
    await sleep_until(when)
    await plain()
    return now() >= when


@scenario(fault_sleep_until, ends={"f": completed(True)})
async def sleeping_until(person: Person) -> None:
    await person.start(fault_sleep_until())


@flow
async def fault_wait_timeout() -> str:
    try:
        return await wait_signal("never", str, timeout=0.5)
    except TimeoutError:
        return await plain("late")


@scenario(fault_wait_timeout, ends={"f": completed("plain(late)")})
async def wait_timeout(person: Person) -> None:
    await person.start(fault_wait_timeout())


@flow
async def fault_step_cut_off() -> str:
    try:
        async with asyncio.timeout(0.3):
            return await lasting("cut off")
    except TimeoutError:
        return await plain("late")


CUT_OFF = {"f": (completed("plain(late)"), completed("lasting(cut off)"))}


@scenario(fault_step_cut_off, ends=CUT_OFF, racy=True, delicate=True)
async def step_cut_off(person: Person) -> None:
    await person.start(fault_step_cut_off())


@flow
async def fault_signal() -> str:
    return await plain(await wait_signal("go", str))


@scenario(fault_signal, ends={"f": completed("plain(yes)")}, delicate=True)
async def signal_to_flow(person: Person) -> None:
    await person.start(fault_signal())
    await person.waits("signal:go")
    await person.signal("go", "yes", to="f")


@scenario(fault_signal, ends={"f": completed("plain(yes)")}, delicate=True)
async def signal_by_name(person: Person) -> None:
    await person.start(fault_signal())
    await person.waits("signal:go")
    await person.signal("go", "yes")


@scenario(fault_signal, ends={"f": completed("plain(early)")})
async def signal_kept_before_the_flow(person: Person) -> None:
    await person.signal("go", "early")
    await person.start(fault_signal())


@flow
async def fault_signals_in_turn(count: int) -> list[str]:
    return [await wait_signal("go", str) for _ in range(count)]


@scenario(fault_signals_in_turn, ends={"f": completed(["a", "b", "c"])}, delicate=True)
async def signals_against_suspend(person: Person) -> None:
    """Each comes about when the flow begins to wait anew."""
    await person.start(fault_signals_in_turn(3))
    for payload in "abc":
        await person.signal("go", payload, to="f")
        await person.sleep(0.003)


@scenario(fault_signals_in_turn, ends={"f": completed(["a", "b"])})
async def signal_sent_twice(person: Person) -> None:
    await person.start(fault_signals_in_turn(2))
    for payload, key in (("a", "1"), ("a", "1"), ("b", "2"), ("b", "2")):
        await person.signal("go", payload, key=key)


@scenario(fault_signals_in_turn, ends={"f": completed(["a", "b", "c", "d"])}, workers=2, delicate=True)
async def signals_on_two_workers(person: Person) -> None:
    """Each worker has the flow in memory while the other goes on with it."""
    await person.start(fault_signals_in_turn(4))
    for payload in "abcd":
        await person.waits("signal:go")
        await person.signal("go", payload, to="f")
        await person.until(lambda: payload in person.received())  # noqa: B023  it is awaited before the next


@flow
async def fault_typed_signal() -> int:
    return await wait_signal("number", int)


def one_is_aside(world: World) -> str | None:
    row = world.core.do("get", "f")
    return None if len(row.aside) == 1 else f"aside are {row.aside}, and should be what did not fit (S4)"


@scenario(fault_typed_signal, ends={"f": completed(7)}, check=one_is_aside)
async def signal_set_aside(person: Person) -> None:
    await person.start(fault_typed_signal())
    await person.signal("number", "no number", to="f")
    await person.waits("signal:number")
    await person.signal("number", 7, to="f")


@flow
async def fault_gives_up() -> str:
    try:
        return await wait_signal("shared", str, timeout=0.4)
    except TimeoutError:
        await plain("gave up")
        return "none"


@flow
async def fault_patient() -> str:
    return await wait_signal("shared", str)


@scenario(
    fault_gives_up,
    fault_patient,
    ends={"f": (completed("none"), completed("one")), "g": (completed("one"), completed("two"))},
    racy=True,
    delicate=True,
)
async def reservation_given_back(person: Person) -> None:
    """The signal comes about when the first in line gives up; another for whoever was left without."""
    await person.start(fault_gives_up())
    await person.waits("signal:shared")
    await person.start(fault_patient(), id="g")
    await person.waits("signal:shared", "g")
    await person.sleep(0.36)
    await person.catch(lambda: (row := person.row()) and row.status is Status.RUNNING)
    await person.signal("shared", "one")
    await person.stands(Status.COMPLETED)
    await person.signal("shared", "two")


@flow
async def fault_signal_or_sleep() -> str:
    async def nap() -> str:
        await sleep(0.3)
        return "slept"

    tasks = [asyncio.create_task(wait_signal("go", str)), asyncio.create_task(nap())]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return await plain(done.pop().result())


@scenario(
    fault_signal_or_sleep, ends={"f": (completed("plain(slept)"), completed("plain(called)"))}, racy=True, delicate=True
)
async def signal_against_sleep(person: Person) -> None:
    await person.start(fault_signal_or_sleep())
    await person.waits("signal:go")
    await person.sleep(0.27)
    await person.signal("go", "called", to="f")


@flow
async def fault_wide_mail(count: int) -> int:
    found = [await wait_signal("many", int) for _ in range(count)]
    return sum(found)


@scenario(fault_wide_mail, ends={"f": completed(sum(range(12)))})
async def wide_mail(person: Person) -> None:
    await person.start(fault_wide_mail(12))
    for n in range(12):
        await person.signal("many", n, to="f")


@scenario(fault_sleep, ends={"f": completed("plain(awake)")})
async def mail_that_nobody_waits_for(person: Person) -> None:
    await person.start(fault_sleep())
    await person.signal("unheard", "anybody?", to="f")
    await person.signal("unheard", "anybody?")


@flow
async def fault_everybody_waits() -> list[str]:
    waits = [wait_signal(f"part {n}", str) for n in range(5)]
    return list(await asyncio.gather(*waits, work_later()))


async def work_later() -> str:
    await sleep(0.2)
    return await plain("later")


PARTS = [f"p{n}" for n in range(5)] + ["plain(later)"]


@scenario(fault_everybody_waits, ends={"f": completed(PARTS)})
async def many_waits(person: Person) -> None:
    await person.start(fault_everybody_waits())
    for n in range(5):
        await person.signal(f"part {n}", f"p{n}", to="f" if n % 2 else None)
