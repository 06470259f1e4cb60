"""Plain asyncio in flow code: what each construct gives, and that every cut and other latencies replay to the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.core.asks import StepFailed, child, here, invoke, loop_here, signal, step, value_of
from tests.core.driver import Code, Fails, Flow, replayed


async def gather() -> object:
    return await asyncio.gather(step("a"), step("b"), invoke("c"))


async def gather_exceptions() -> object:
    found = await asyncio.gather(step("bad"), step("b"), return_exceptions=True)
    return [type(found[0]).__name__, found[1]]


async def gather_error_leaves_others_running() -> object:
    try:
        await asyncio.gather(step("bad"), step("slow"))
    except StepFailed as error:
        return [str(error), await step("after")]


async def group() -> object:
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(step(name)) for name in "abc"]
    return [task.result() for task in found]


async def group_error_cancels_the_others() -> object:
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(step("bad"))
            slow = tasks.create_task(step("slow"))
    except ExceptionGroup as errors:
        return [len(errors.exceptions), slow.cancelled()]


async def wait_first() -> object:
    tasks = [asyncio.create_task(step(name)) for name in ("slow", "fast")]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return [[t.get_name() for t in done], [t.get_name() for t in rest]]


async def wait_first_exception() -> object:
    tasks = [asyncio.create_task(step(name)) for name in ("fast", "bad", "slow")]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    return [sorted(type(t.exception()).__name__ for t in done), len(rest)]


async def wait_all() -> object:
    tasks = {asyncio.create_task(step(name)) for name in ("a", "b", "c")}
    done, rest = await asyncio.wait(tasks, return_when=asyncio.ALL_COMPLETED)
    return [sorted(t.result() for t in done), len(rest)]


async def wait_timeout() -> object:
    task = asyncio.create_task(step("slow"))
    done, rest = await asyncio.wait([task], timeout=0.05)
    return [len(done), len(rest), await task]


async def wait_for_late() -> object:
    try:
        await asyncio.wait_for(signal("never"), 2)
    except TimeoutError:
        return here().now - here().history.origin


async def wait_for_in_time() -> object:
    return await asyncio.wait_for(step("fast"), 2)


async def timeout_late() -> object:
    try:
        async with asyncio.timeout(2):
            await signal("never")
    except TimeoutError:
        return "late"


async def timeout_in_time() -> object:
    async with asyncio.timeout(2) as limit:
        value = await step("fast")
    return [value, limit.expired()]


async def timeout_moved() -> object:
    async with asyncio.timeout(0.005) as limit:
        limit.reschedule(loop_here().time() + 5)
        return await step("slow")


async def sleep() -> object:
    begin = loop_here().time()
    value = await asyncio.sleep(1.5, "value")
    await asyncio.sleep(0)
    return [value, loop_here().time() - begin]


async def queue() -> object:
    items: asyncio.Queue[str] = asyncio.Queue(1)

    async def put(name: str) -> None:
        await items.put(await step(name))

    tasks = [asyncio.create_task(put(name)) for name in ("slow", "fast")]
    found = [await items.get(), await items.get()]
    await asyncio.gather(*tasks)
    return found


async def event() -> object:
    ready = asyncio.Event()

    async def wait() -> Any:
        await ready.wait()
        return await step("after")

    tasks = [asyncio.create_task(wait()) for _ in range(2)]
    await step("before")
    ready.set()
    return await asyncio.gather(*tasks)


async def lock() -> object:
    order: list[str] = []
    guard = asyncio.Lock()

    async def work(name: str) -> None:
        async with guard:
            order.append(f"in {name}")
            await step(name)
            order.append(f"out {name}")

    await asyncio.gather(work("slow"), work("fast"))
    return order


async def semaphore() -> object:
    running: list[int] = []
    guard, now = asyncio.Semaphore(2), [0]

    async def work(name: str) -> None:
        async with guard:
            now[0] += 1
            running.append(now[0])
            await step(name)
            now[0] -= 1

    await asyncio.gather(*(work(name) for name in "abcd"))
    return max(running)


async def condition() -> object:
    changed = asyncio.Condition()

    async def wait() -> str:
        async with changed:
            await changed.wait()
            return "woken"

    task = asyncio.create_task(wait())
    await step("a")
    async with changed:
        changed.notify_all()
    return await task


async def shield() -> object:
    task = asyncio.create_task(step("slow"))
    try:
        await asyncio.wait_for(asyncio.shield(task), 0.02)
    except TimeoutError:
        return ["gave up", await task]


async def completed() -> object:
    return [await value for value in asyncio.as_completed([step("slow"), step("fast"), step("mid")])]


async def generator_left_half_way() -> object:
    async def items() -> AsyncIterator[object]:
        try:
            for name in "abc":
                yield await step(name)
        finally:
            await step("close")

    found: list[object] = []
    async for value in items():
        found.append(value)
        break
    return found


async def callbacks() -> object:
    order: list[str] = []
    loop, done = loop_here(), asyncio.Event()
    loop.call_later(0.2, order.append, "later")
    loop.call_soon(order.append, "soon")
    loop.call_at(loop.time() + 0.1, order.append, "at")
    loop.call_later(0.15, order.append, "never").cancel()
    loop.call_later(0.3, done.set)
    await done.wait()
    return order


async def race_of_signal_and_sleep() -> object:
    tasks = [asyncio.create_task(signal("go")), asyncio.create_task(asyncio.sleep(3, "slept"))]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return [t.result() for t in done]


async def child_awaited_twice() -> object:
    kid = child("kid")
    ends = await asyncio.gather(kid.end(), kid.end())
    return [value_of(end) for end in [*ends, await kid.end()]]


async def names() -> object:
    tasks = [asyncio.create_task(step("a")), asyncio.create_task(step("b"), name="mine")]
    await asyncio.wait(tasks)
    return [task.get_name() for task in tasks]


async def all_tasks() -> object:
    tasks = [asyncio.create_task(step(name)) for name in "ab"]
    await asyncio.sleep(0)
    found = sorted(task.get_name() for task in asyncio.all_tasks())
    await asyncio.gather(*tasks)
    return found


CONSTRUCTS: list[tuple[Code, object]] = [
    (gather, ["did 1/a", "did 2/b", "did f/3/c"]),
    (gather_exceptions, ["StepFailed", "did 2/b"]),
    (gather_error_leaves_others_running, ["boom", "did after"]),
    (group, ["did 1/a", "did 2/b", "did 3/c"]),
    (group_error_cancels_the_others, [1, True]),
    (wait_first, [["task 2/"], ["task 1/"]]),
    (wait_first_exception, [["NoneType", "StepFailed"], 1]),
    (wait_all, [["did 1/a", "did 2/b", "did 3/c"], 0]),
    (wait_timeout, [0, 1, "did 1/slow"]),
    (wait_for_late, 2000),
    (wait_for_in_time, "did fast"),
    (timeout_late, "late"),
    (timeout_in_time, ["did fast", False]),
    (timeout_moved, "did slow"),
    (sleep, ["value", 1.5]),
    (queue, ["did 2/fast", "did 1/slow"]),
    (event, ["did 1/after", "did 2/after"]),
    (lock, ["in slow", "out slow", "in fast", "out fast"]),
    (semaphore, 2),
    (condition, "woken"),
    (shield, ["gave up", "did 1/slow"]),
    (completed, ["did 2/fast", "did 3/mid", "did 1/slow"]),
    (generator_left_half_way, ["did a"]),
    (callbacks, ["soon", "at", "later"]),
    (race_of_signal_and_sleep, ["slept"]),
    (child_awaited_twice, ["did f/kid"] * 3),
    (names, ["task 1/", "mine"]),
    (all_tasks, ["task ", "task 1/", "task 2/"]),
]


def answer(key: str, attempt: int) -> object:
    return Fails() if key.endswith("bad") else f"did {key}"


def latency(key: str) -> int:
    name = key.rpartition("/")[2]
    return {"slow": 500, "mid": 60, "bad": 20, "fast": 10}.get(name, 30)


def by_name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("code", "expected"), CONSTRUCTS, ids=by_name)
def test_construct_gives_what_asyncio_gives_and_replays_alike(code: Code, expected: object) -> None:
    flow = Flow(code, answer=answer, latency=latency).play()
    assert flow.result == expected
    assert flow.reports == []
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


@pytest.mark.parametrize("code", [code for code, _ in CONSTRUCTS], ids=by_name)
def test_construct_cut_at_every_commit_goes_on_with_other_latencies(code: Code) -> None:
    whole = Flow(code, answer=answer, latency=latency).play()
    for cut in range(1, len(whole.drafts)):
        flow = Flow(code, answer=answer, latency=latency).play(stop=cut)
        before = flow.delivered
        flow.latency = lambda key: 700 - latency(key)
        assert flow.load().begin().delivered == before
        flow.play()
        assert flow.outcome is not None
        assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_waiting_for_some_of_many_again_and_again_leaves_nothing_behind() -> None:
    async def code() -> list[int]:
        tasks = [asyncio.create_task(step("s", n)) for n in range(20)]
        pending: set[asyncio.Task[object]] = set(tasks)
        while pending:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        return [len(task.registered) for task in tasks]  # type: ignore[attr-defined]  # a FlowTask

    assert set(Flow(code).play().result) == {0}
