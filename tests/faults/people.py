"""Scenarios of people and workers: cancels, retries, forks, imports, prunes, delays, and workers that come and go."""

from __future__ import annotations

import asyncio

from ergon_runtime import Conflict, FlowCancelled, OutcomeUnknown, flow, invoke, sleep, step, wait_signal
from ergon_runtime.core.flows import NewFlow, Status
from ergon_runtime.definitions import flow_definition
from ergon_runtime.histories import read_history, restore_history
from tests.faults.effects import begin, present, work
from tests.faults.person import Person
from tests.faults.scenario import CANCELLED, blocked, completed, failed, scenario
from tests.faults.steps import Broken, fault_plain_steps, lasting, plain
from tests.faults.waits import fault_signal

PLAIN = completed("plain#2(plain(a))")


@flow
async def fault_cancelled() -> str:
    try:
        await lasting("work")
        return await wait_signal("never", str)
    finally:
        await plain("tidy")


@scenario(fault_cancelled, ends={"f": CANCELLED}, racy=True, delicate=True)
async def cancelled_while_running(person: Person) -> None:
    await person.start(fault_cancelled())
    await person.begun("lasting")
    await person.cancel("f")


@scenario(fault_cancelled, ends={"f": CANCELLED}, delicate=True)
async def cancelled_while_waiting(person: Person) -> None:
    await person.start(fault_cancelled())
    await person.waits("signal:never")
    await person.cancel("f")


@scenario(fault_plain_steps, ends={"f": CANCELLED})
async def cancelled_before_its_start(person: Person) -> None:
    await person.start(fault_plain_steps(), delay=120)
    await person.cancel("f")


@scenario(fault_plain_steps, ends={"f": (PLAIN, CANCELLED)}, racy=True)
async def cancelled_as_it_starts(person: Person) -> None:
    await person.start(fault_plain_steps())
    await person.cancel("f")


@step
async def mended(told: str = "") -> str:
    begin(told)
    await asyncio.sleep(0.01)
    if "mended" not in present[-1].marks:
        raise Broken(told)
    return "mended"


@flow
async def fault_mended() -> str:
    kept = await plain("kept")
    return f"{kept} {await mended('late')}"


@scenario(fault_mended, ends={"f": completed("plain(kept) mended")}, delicate=True)
async def failed_and_retried(person: Person) -> None:
    await person.start(fault_mended())
    await person.stands(Status.FAILED)
    person.mark("mended")
    await person.retry()
    await person.stands(Status.COMPLETED)


@scenario(fault_mended, ends={"f": completed("plain(kept) mended")})
async def retried_from_a_step(person: Person) -> None:
    await person.start(fault_mended())
    await person.stands(Status.FAILED)
    person.mark("mended")
    await person.retry(from_step="plain")
    await person.until(lambda: (row := person.row()) and row.status is Status.COMPLETED)


@scenario(fault_plain_steps, ends={"f": PLAIN, "g": PLAIN}, delicate=True)
async def forked(person: Person) -> None:
    await person.start(fault_plain_steps())
    await person.stands(Status.COMPLETED)
    await person.fork("f", "plain#2", "g")


@scenario(fault_signal, ends={"f": completed("plain(yes)"), "g": completed("plain(no)")})
async def forked_without_signals(person: Person) -> None:
    await person.start(fault_signal())
    await person.signal("go", "yes", to="f")
    await person.stands(Status.COMPLETED)
    await person.fork("f", "plain", "g", signals=False)
    await person.signal("go", "no", to="g")


@scenario(fault_signal, ends={"f": completed("plain(again)")}, delicate=True)
async def imported_and_retried(person: Person) -> None:
    """A flow that waited is taken out, ended, pruned, put back and freed: it waits again for its signal."""
    files, marks = person.world.files, person.world.effects.marks
    if "f" not in files:
        await person.start(fault_signal())
        await person.waits("signal:go")
        row = person.row()
        assert row is not None
        files["f"] = await read_history(person.store, row)
    if "pruned" not in marks and person.row() is not None:
        await person.cancel("f")
        await person.stands(Status.CANCELLED)
        await person.sleep(7)  # until nothing of it can be on its way any more
        await person.store.prune(person.world.clock())
    person.mark("pruned")
    if not _goes_on(person):
        await restore_history(person.store, files["f"], "a file")
    await person.retry()
    await person.waits("signal:go")
    await person.signal("go", "again", to="f", key="2")


def _goes_on(person: Person) -> bool:
    row = person.row()
    return row is not None and row.status is not Status.BLOCKED


@scenario(fault_plain_steps, fault_signal, ends={"g": completed("plain(yes)")})
async def pruned_beside(person: Person) -> None:
    """What has ended is deleted while another flow waits."""
    if "started" not in person.world.effects.marks:
        await person.start(fault_plain_steps())
        await person.start(fault_signal(), id="g")
        person.mark("started")
    if person.row() is not None:
        await person.stands(Status.COMPLETED)
        await person.waits("signal:go", "g")
        await person.sleep(7)  # until nothing of it can be on its way any more
        await person.store.prune(person.world.clock())
    await person.signal("go", "yes", to="g")


@scenario(fault_plain_steps, ends={"f": PLAIN})
async def delayed_start(person: Person) -> None:
    if person.row() is None:  # the delay counts from the first time that it was asked for
        await person.start(fault_plain_steps(), delay=1.5)


@scenario(fault_plain_steps, ends=dict.fromkeys("abcd", PLAIN), concurrency=1)
async def priorities(person: Person) -> None:
    definition = flow_definition(fault_plain_steps)
    for priority, name in ((9, "a"), (0, "b"), (5, "c"), (0, "d")):
        text = definition.encode_arguments(fault_plain_steps()).encode()
        asked = NewFlow(name, definition.name, None, definition.lane, text, f"seed {name}", priority=priority)
        await person.store.create(asked)


@scenario(fault_plain_steps, ends=dict.fromkeys("abcd", PLAIN), workers=2, concurrency=2)
async def two_workers(person: Person) -> None:
    for name in "abcd":
        await person.start(fault_plain_steps(), id=name)


@scenario(fault_plain_steps, ends={"f": PLAIN})
async def scheduled_twice(person: Person) -> None:
    handle = await person.start(fault_plain_steps())
    await person.start(fault_plain_steps())
    try:
        await person.start(fault_signal())
    except Conflict:
        person.mark("refused")
    assert await handle.result() == "plain#2(plain(a))"
    assert "refused" in person.world.effects.marks


@flow
async def fault_long() -> str:
    await plain("first")
    await lasting("second")
    return await plain("third")


@scenario(fault_long, ends={"f": completed("plain#2(third)")}, delicate=True)
async def worker_killed(person: Person) -> None:
    """A takeover by a second worker."""
    await person.start(fault_long())
    await person.begun("lasting")
    await person.once("killed", person.kill)


@scenario(fault_long, ends={"f": completed("plain#2(third)")}, delicate=True)
async def worker_drained(person: Person) -> None:
    await person.start(fault_long())
    await person.begun("lasting")
    await person.once("drained", person.replace)


@scenario(fault_long, ends={"f": completed("plain#2(third)")})
async def worker_aborted(person: Person) -> None:
    await person.start(fault_long())
    await person.begun("lasting")
    await person.once("aborted", lambda: person.replace(abort=True))


@flow
async def fault_very_long() -> str:
    return await very_long(await plain())


@step
async def very_long(told: str = "") -> str:
    return await work(told, seconds=4)


@scenario(fault_very_long, ends={"f": completed("very_long(plain())")}, workers=2, longest=4, delicate=True)
async def worker_outlived(person: Person) -> None:
    """Whoever lost the flow finds that another runs the same step."""
    await person.start(fault_very_long())


@flow
async def fault_paying() -> str:
    try:
        return await pay_long("1 EUR")
    except OutcomeUnknown:
        return await plain("ask")


@step(at_most_once=True)
async def pay_long(told: str = "") -> str:
    return await work(told, seconds=0.5, once=True)


@scenario(fault_paying, ends={"f": (completed("plain(ask)"), completed("pay_long(1 EUR)"))})
async def killed_at_most_once(person: Person) -> None:
    await person.start(fault_paying())
    await person.begun("pay_long")
    await person.once("killed", person.kill)


@flow
async def fault_poison() -> str:
    return await deadly()


@step
async def deadly(told: str = "") -> str:
    info = begin(told)
    if "harmless" not in present[-1].marks:
        present[-1].kill()
        await asyncio.sleep(1)
    return f"{info.key}()"


@scenario(fault_poison, fault_plain_steps, ends={"f": completed("deadly()"), "g": PLAIN})
async def crash_loop(person: Person) -> None:
    """It takes its workers down until it is blocked; its neighbour ends well; then it is freed."""
    await person.start(fault_poison())
    await person.start(fault_plain_steps(), id="g")
    await person.stands(Status.BLOCKED)
    person.mark("harmless")
    await person.retry()


@flow
async def fault_conflicting() -> str:
    await sleep(0.1)
    return await invoke(fault_taken("child"))


@flow
async def fault_taken(told: str) -> str:
    return await plain(told)


@scenario(fault_conflicting, fault_taken, ends={"f": blocked("conflict"), "f/fault_taken": completed("plain(other)")})
async def child_id_taken(person: Person) -> None:
    definition = flow_definition(fault_taken)
    args = definition.encode_arguments(fault_taken("other")).encode()
    await person.store.create(NewFlow("f/fault_taken", definition.name, None, definition.lane, args, "seed"))
    await person.start(fault_conflicting())


@scenario(fault_cancelled, ends={"f": CANCELLED})
async def result_of_a_cancelled_flow(person: Person) -> None:
    handle = await person.start(fault_cancelled())
    await person.waits("signal:never")
    await handle.cancel()
    try:
        await handle.result()
    except FlowCancelled:
        return
    raise AssertionError("the flow was cancelled, and had a result")


@flow
async def fault_hopeless() -> str:
    raise Broken("hopeless")


@scenario(fault_hopeless, ends={"f": failed("Broken")})
async def result_of_a_failed_flow(person: Person) -> None:
    handle = await person.start(fault_hopeless())
    try:
        await handle.result()
    except Broken:
        return
    raise AssertionError("the flow failed, and had a result")


@scenario(fault_signal, ends={"f": completed("plain(yes)")}, residents=0)
async def nothing_kept_in_memory(person: Person) -> None:
    await person.start(fault_signal())
    await person.waits("signal:go")
    await person.signal("go", "yes", to="f")
