"""Scenarios of code and lives: patches, chance and time, continuing as new, and flow retries."""

from __future__ import annotations

import asyncio

from ergon_runtime import (
    RetryPolicy,
    continue_as_new,
    flow,
    invoke,
    now,
    patched,
    random,
    sleep,
    step,
    uuid4,
    wait_signal,
)
from ergon_runtime.core.flows import Status
from tests.faults.children import fault_child, fault_endless_child
from tests.faults.effects import begin, present, work
from tests.faults.person import Person
from tests.faults.scenario import CANCELLED, completed, failed, scenario
from tests.faults.steps import Broken, pay, plain

AGAIN = RetryPolicy(max_attempts=3, initial=0.2, multiplier=2)


@flow
async def fault_patched() -> str:
    first = "new" if patched("change") else "old"
    await plain(first)
    await sleep(0.2)
    return first + await plain("new" if patched("change") else "old")


@scenario(fault_patched, ends={"f": completed("newplain#2(new)")})
async def patches(person: Person) -> None:
    await person.start(fault_patched())


@flow
async def fault_chance() -> bool:
    drawn, when = f"{random().random()} {uuid4()}", now()
    same = await plain(drawn) == f"plain({drawn})"
    await sleep(0.2)
    again = f"{random().random()}"
    return same and now() >= when and await plain(again) == f"plain#2({again})"


@scenario(fault_chance, ends={"f": completed(True)})
async def chance_and_time(person: Person) -> None:
    await person.start(fault_chance())


@flow
async def fault_continued(left: int) -> str:
    await plain(str(left))
    if left:
        await sleep(0.1)
        continue_as_new(fault_continued(left - 1))
    return await plain("end")


@scenario(fault_continued, ends={"f": completed("plain#2(end)")}, delicate=True)
async def continued(person: Person) -> None:
    await person.start(fault_continued(2))


@step
async def moody(told: str = "") -> str:
    """Fails in the first two lives."""
    info = begin(told)
    await asyncio.sleep(0.01)
    if info.flow_attempt < 3:
        raise Broken(f"life {info.flow_attempt}")
    return f"{info.key}({told})"


@flow(retry=AGAIN)
async def fault_retried_keeping() -> str:
    found = await plain("kept"), await invoke(fault_child("kept"))
    await sleep(0.1)
    return " ".join([*found, await moody("then")])


KEPT = "plain(kept) plain(kept) moody(then)"


@scenario(
    fault_retried_keeping,
    fault_child,
    ends={"f": completed(KEPT), "f/fault_child": completed("plain(kept)")},
    delicate=True,
)
async def flow_retry_keeps(person: Person) -> None:
    await person.start(fault_retried_keeping())


@flow(retry=AGAIN)
async def fault_retried_parent() -> str:
    invoke(fault_endless_child())
    await sleep(0.1)
    return await moody("then")


@scenario(
    fault_retried_parent,
    fault_endless_child,
    ends={"f": completed("moody(then)")} | {f"f/fault_endless_child{life}": CANCELLED for life in ("", "~2", "~3")},
    racy=True,
)
async def flow_retry_with_children(person: Person) -> None:
    """Each life's child is cancelled; whether it had begun, and so has to tidy up, depends."""
    await person.start(fault_retried_parent())


@flow(retry=AGAIN, keep=False)
async def fault_retried_afresh() -> str:
    await pay("1 EUR")
    try:
        return await moody("then")
    except Broken:
        await plain("refund")
        raise


@scenario(
    fault_retried_afresh,
    ends={"f": (completed("moody(then)"), failed("OutcomeUnknown"), completed("moody(then)"))},
)
async def flow_retry_afresh(person: Person) -> None:
    await person.start(fault_retried_afresh())


@flow(retry=RetryPolicy(max_attempts=2, initial=0.1))
async def fault_retried_in_vain() -> str:
    await plain()
    raise Broken("always")


@scenario(fault_retried_in_vain, ends={"f": failed("Broken")})
async def flow_retry_in_vain(person: Person) -> None:
    await person.start(fault_retried_in_vain())


@flow
async def fault_stuck() -> str:
    await plain("before")
    if "freed" not in present[-1].marks:
        await asyncio.Event().wait()
    return await plain("after")


@scenario(fault_stuck, ends={"f": completed("plain#2(after)")}, delicate=True)
async def blocked_and_retried(person: Person) -> None:
    await person.start(fault_stuck())
    await person.stands(Status.BLOCKED)
    person.mark("freed")
    await person.retry()


@flow
async def fault_rewritten() -> str:
    if "rewritten" in present[-1].marks:
        await plain("checked")
    await work_of("order")
    answer = await wait_signal("answer", str)
    return await work_of(answer)


@step
async def work_of(told: str = "") -> str:
    return await work(told)


@scenario(fault_rewritten, ends={"f": completed("work_of#2(yes)")}, residents=0)
async def diverged_and_adopted(person: Person) -> None:
    await person.start(fault_rewritten())
    await person.waits("signal:answer")
    await person.once("rewritten", lambda: person.replace(fingerprint="code 2"))
    await person.signal("answer", "yes", to="f")
    await person.stands(Status.BLOCKED)
    await person.retry(adopt=True)


@scenario(fault_rewritten, ends={"f": completed("work_of#2(yes)")}, residents=0)
async def diverged_and_rolled_back(person: Person) -> None:
    """The flow goes on by itself when code that fits is served (P4)."""
    await person.start(fault_rewritten())
    await person.waits("signal:answer")
    await person.once("rewritten", lambda: person.replace(fingerprint="code 2"))
    await person.signal("answer", "yes", to="f")
    await person.until(lambda: person.world.stood("f", Status.BLOCKED))

    async def roll_back() -> None:
        person.world.effects.marks.discard("rewritten")
        await person.replace(fingerprint="code 1")

    await person.once("rolled back", roll_back)
