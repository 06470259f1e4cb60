"""Scenarios of child flows: awaited, detached, failing, cancelled, awaited by several, and children of children."""

from __future__ import annotations

import asyncio

from ergon_runtime import FlowCancelled, flow, invoke, sleep, wait_signal
from ergon_runtime.core.flows import Status
from tests.faults.person import Person
from tests.faults.scenario import CANCELLED, completed, failed, scenario
from tests.faults.steps import Broken, broken, plain


@flow
async def fault_child(told: str) -> str:
    return await plain(told)


@flow
async def fault_slow_child(told: str) -> str:
    await sleep(0.3)
    return await plain(told)


@flow
async def fault_endless_child() -> str:
    try:
        return await wait_signal("never", str)
    finally:
        await plain("tidy")


@flow
async def fault_failing_child() -> str:
    return await broken("child")


@flow
async def fault_parent() -> str:
    return await plain(await invoke(fault_child("a")))


@scenario(
    fault_parent,
    fault_child,
    ends={"f": completed("plain(plain(a))"), "f/fault_child": completed("plain(a)")},
    delicate=True,
)
async def child_awaited(person: Person) -> None:
    await person.start(fault_parent())


@scenario(
    fault_parent,
    fault_child,
    workers=2,
    ends={"f": completed("plain(plain(a))"), "f/fault_child": completed("plain(a)")},
)
async def child_at_another_worker(person: Person) -> None:
    """A child's end against its parent's suspend, on two workers."""
    await person.start(fault_parent())


@flow
async def fault_letting_go() -> str:
    return invoke(fault_slow_child("alone"), detached=True).id


@scenario(
    fault_letting_go,
    fault_slow_child,
    ends={"f": completed("f/fault_slow_child"), "f/fault_slow_child": completed("plain(alone)")},
)
async def child_detached(person: Person) -> None:
    await person.start(fault_letting_go())


@flow
async def fault_impatient() -> str:
    try:
        async with asyncio.timeout(0.4):
            return await invoke(fault_endless_child())
    except TimeoutError:
        return await plain("late")


@scenario(
    fault_impatient, fault_endless_child, ends={"f": completed("plain(late)"), "f/fault_endless_child": CANCELLED}
)
async def child_await_cancelled(person: Person) -> None:
    await person.start(fault_impatient())


@flow
async def fault_consoling() -> str:
    try:
        return await invoke(fault_failing_child())
    except Broken as error:
        return await plain(str(error))


@scenario(
    fault_consoling,
    fault_failing_child,
    ends={"f": completed("plain(child)"), "f/fault_failing_child": failed("Broken")},
)
async def child_fails(person: Person) -> None:
    await person.start(fault_consoling())


@flow
async def fault_leaving() -> str:
    invoke(fault_endless_child())
    await sleep(0.2)
    return await broken("parent")


@scenario(fault_leaving, fault_endless_child, ends={"f": failed("Broken"), "f/fault_endless_child": CANCELLED})
async def parent_ends_first(person: Person) -> None:
    await person.start(fault_leaving())


@flow
async def fault_several_awaiters() -> list[str]:
    child = invoke(fault_slow_child("one"))

    async def wait(seconds: float | None) -> str:
        try:
            async with asyncio.timeout(seconds):
                return await child
        except TimeoutError:
            return "gave up"

    return list(await asyncio.gather(wait(0.1), wait(None), wait(None)))


@scenario(
    fault_several_awaiters,
    fault_slow_child,
    racy=True,
    ends={
        "f": (completed(["gave up", "plain(one)", "plain(one)"]), completed(["plain(one)"] * 3)),
        "f/fault_slow_child": completed("plain(one)"),
    },
)
async def several_awaiters(person: Person) -> None:
    await person.start(fault_several_awaiters())


@flow
async def fault_family() -> list[str]:
    return list(await asyncio.gather(*(invoke(fault_child(name)) for name in "abc")))


@scenario(
    fault_family,
    fault_child,
    workers=2,
    ends={
        "f": completed(["plain(a)", "plain(b)", "plain(c)"]),
        "f/fault_child": completed("plain(a)"),
        "f/fault_child#2": completed("plain(b)"),
        "f/fault_child#3": completed("plain(c)"),
    },
)
async def children_at_once(person: Person) -> None:
    await person.start(fault_family())


@flow
async def fault_grandparent() -> str:
    return await invoke(fault_parent())


@scenario(
    fault_grandparent,
    fault_parent,
    fault_child,
    ends={
        "f": completed("plain(plain(a))"),
        "f/fault_parent": completed("plain(plain(a))"),
        "f/fault_parent/fault_child": completed("plain(a)"),
    },
)
async def child_of_a_child(person: Person) -> None:
    await person.start(fault_grandparent())


@flow
async def fault_guardian() -> str:
    try:
        return await invoke(fault_endless_child())
    except FlowCancelled:
        return await plain("child was cancelled")


GUARDED = {
    "f": completed("plain(child was cancelled)"),
    "f/fault_endless_child": CANCELLED,
}


@scenario(fault_guardian, fault_endless_child, ends=GUARDED)
async def child_cancelled_by_a_person(person: Person) -> None:
    await person.start(fault_guardian())
    await person.waits("signal:never", "f/fault_endless_child")
    await person.cancel("f/fault_endless_child")


@scenario(fault_guardian, fault_endless_child, ends={"f": CANCELLED, "f/fault_endless_child": CANCELLED}, delicate=True)
async def parent_cancelled_by_a_person(person: Person) -> None:
    await person.start(fault_guardian())
    await person.waits("signal:never", "f/fault_endless_child")
    await person.stands(Status.WAITING)
    await person.cancel("f")
