"""Plain asyncio in flow code, first run and replay: gather, TaskGroup, wait, timeouts, queues, locks, races."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.definitions import flow, registry, step
from tests.harness import Drive


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


@step
async def double(n: int) -> int:
    return 2 * n


@step
def plain(n: int) -> int:
    return n + 1


@step
async def fail(text: str) -> int:
    raise ValueError(text)


@step
async def slow(n: int) -> int:
    return n


async def gathers() -> object:
    return await asyncio.gather(double(1), plain(1), double(3))


async def gathers_errors() -> object:
    one, error = await asyncio.gather(double(1), fail("no"), return_exceptions=True)
    return [one, str(error)]


async def groups() -> object:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(double(n)) for n in range(3)]
    return [task.result() for task in tasks]


async def groups_fail() -> object:
    found: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("broken"))
            group.create_task(slow(1))
    except* ValueError as errors:
        found += [str(error) for error in errors.exceptions]
    return found


async def waits_first() -> object:
    tasks = [asyncio.create_task(slow(1), name="slow"), asyncio.create_task(double(2), name="quick")]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return [[task.get_name() for task in done], [task.get_name() for task in pending]]


async def waits_for() -> object:
    try:
        return await asyncio.wait_for(slow(1), 1)
    except TimeoutError:
        return "late"


async def times_out() -> object:
    try:
        async with asyncio.timeout(0.5):
            await slow(1)
    except TimeoutError:
        return "late"
    return "in time"


async def sleeps() -> object:
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(5)
    await asyncio.sleep(0)
    return asyncio.get_running_loop().time() - began


async def queues() -> object:
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for n in range(3):
            await queue.put(await double(n))

    task = asyncio.create_task(produce())
    found = [await queue.get() for _ in range(3)]
    await task
    return found


async def locks() -> object:
    lock, event, seen = asyncio.Lock(), asyncio.Event(), list[str]()

    async def work(name: str) -> None:
        await event.wait()
        async with lock:
            seen.append(f"{name} in")
            await double(1)
            seen.append(f"{name} out")

    tasks = [asyncio.create_task(work(name)) for name in "ab"]
    await plain(1)
    event.set()
    await asyncio.gather(*tasks)
    return seen


async def completes() -> object:
    return [await each for each in asyncio.as_completed([slow(1), double(2), plain(3)])]


CASES: list[tuple[Callable[[], Any], object]] = [
    (gathers, [2, 2, 6]),
    (gathers_errors, [2, "no"]),
    (groups, [0, 2, 4]),
    (groups_fail, ["broken"]),
    (waits_first, [["quick"], ["slow"]]),
    (waits_for, "late"),
    (times_out, "late"),
    (sleeps, 5.0),
    (queues, [0, 2, 4]),
    (locks, ["a in", "a out", "b in", "b out"]),
    (completes, [4, 4, 1]),
]
DURATIONS = {"slow": 2_000, "1/slow": 2_000, "2/slow": 2_000}


@pytest.mark.parametrize(("code", "expected"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_asyncio_in_flow_code_runs_and_replays_alike(code: Callable[[], Any], expected: object) -> None:
    drive = Drive(flow(code)(), durations=DURATIONS)
    assert drive.result() == expected
    assert drive.replayed() == expected
    assert drive.reports == []


@pytest.mark.parametrize(("code", "expected"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_flow_cut_anywhere_ends_as_the_journal_says(code: Callable[[], Any], expected: object) -> None:
    whole = Drive(flow(code)(), durations=DURATIONS).run()
    for cut in range(len(whole.journal)):
        rest = Drive(whole.value, journal=whole.journal[:cut], durations=DURATIONS)
        assert rest.result() == expected
        assert rest.journal[:cut] == whole.journal[:cut]
        assert rest.replayed() == expected


@pytest.mark.parametrize(
    "call",
    [
        lambda: asyncio.to_thread(print),
        lambda: asyncio.open_connection("localhost", 1),
        lambda: asyncio.create_subprocess_exec("true"),
    ],
    ids=["thread", "socket", "process"],
)
def test_io_in_flow_code_is_refused_with_the_remedy(call: Callable[[], Any]) -> None:
    @flow
    async def does_io() -> str:
        try:
            await call()
        except Exception as error:
            return str(error)
        return "done"

    assert "put it in a step" in Drive(does_io()).result()


def test_spinning_flow_code_is_a_fault() -> None:
    @flow
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Fault) as caught:
        Drive(spins()).run()
    assert caught.value.kind is FaultKind.SPINNING


def test_flow_that_waits_for_nothing_is_stuck() -> None:
    @flow
    async def hangs() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Fault) as caught:
        Drive(hangs()).run()
    assert caught.value.kind is FaultKind.STUCK
    assert "test_flow_code.py" in (caught.value.where or "")


def test_journal_of_other_code_is_a_divergence_that_names_both_sides() -> None:
    @flow(name="changes")
    async def first() -> int:
        return await double(1)

    journal = Drive(first()).run().journal

    @flow(name="changes", version="2")
    async def second() -> int:
        return await plain(7)

    with pytest.raises(Fault) as caught:
        Drive(second(), journal=journal).run()
    fault = caught.value
    assert fault.kind is FaultKind.DIVERGED
    assert fault.recorded == 'step double("n":1)'
    assert fault.current == ('step plain("n":7)',)
    assert "test_flow_code.py" in (fault.where or "")


def test_journal_with_other_arguments_is_a_divergence() -> None:
    @flow
    async def doubles(n: int) -> int:
        return await double(n)

    journal = Drive(doubles(1)).run().journal
    with pytest.raises(Fault) as caught:
        Drive(doubles(2), journal=journal).run()
    assert (caught.value.recorded, caught.value.current) == ('step double("n":1)', ('step double("n":2)',))


def test_journal_longer_than_the_flow_is_a_divergence() -> None:
    @flow(name="shrinks")
    async def first() -> None:
        await double(1)

    journal = Drive(first()).run().journal

    @flow(name="shrinks", version="2")
    async def second() -> None:
        return None

    with pytest.raises(Fault) as caught:
        Drive(second(), journal=journal).run()
    assert (caught.value.kind, caught.value.current) == (FaultKind.DIVERGED, ("the end",))


def test_fault_is_not_caught_by_flow_code() -> None:
    @flow(name="stubborn")
    async def first() -> int:
        return await double(1)

    journal = Drive(first()).run().journal

    @flow(name="stubborn", version="2")
    async def second() -> int:
        try:
            return await plain(1)
        except BaseException:
            return 0

    with pytest.raises(Fault):
        Drive(second(), journal=journal).run()
