"""Where flows stand: their tasks, what these wait for and through which lines, and the moment a key is asked for."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import pytest

from ergon_runtime import Status, flow, invoke, patched, sleep, step, wait_signal
from ergon_runtime.definitions import FlowDefinition, flow_definition, registry
from ergon_runtime.histories import read_history
from ergon_runtime.replay import Look, Standing, TaskStack, stand
from tests.runtime.rigs import rig, virtual

Code = Callable[[], Coroutine[Any, Any, Any]]
ran: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Generator[None]:
    ran.clear()
    with registry.isolated():
        yield


@step
async def charge(n: int) -> int:
    ran.append(f"charge {n}")
    return n


@step
async def ship(n: int) -> int:
    ran.append(f"ship {n}")
    return n


@flow
async def parcel() -> int:
    return await wait_signal("sent", int)


def order(code: Code) -> FlowDefinition:
    """The code as the flow type `order`."""
    with registry.isolated():
        return flow_definition(flow(name="order")(code))


def standing(
    then: Code, now: Code | None = None, *, status: str = "waiting", look: Look | None = None, until: str | None = None
) -> Standing:
    """How `now` stands over a recording of `then`, a flow that got to this status. No step runs for it."""

    async def scenario() -> Standing:
        recorded = order(then)
        async with rig(recorded, parcel) as made:
            handle = await made.scheduler.schedule(recorded.value(), id="f")
            while await handle.status() != status:
                await asyncio.sleep(0.01)
            await made.close()
            history = await read_history(made.store, await made.row("f"))
        served = recorded if now is None else order(now)
        ran.clear()
        found = await stand(history, lambda type_, version: served, until=until, look=look)
        assert [each for each in ran if each.startswith(("charge", "ship"))] == []
        return found

    return virtual(scenario)


def sources(task: TaskStack) -> list[str | None]:
    return [frame.source for frame in task.frames]


async def approves() -> str:
    async def asks(name: str) -> str:
        return await wait_signal(name, str)

    await charge(1)
    return await asks("approve")


def test_waiting_flow_stands_in_its_innermost_line_below_the_flow_function() -> None:
    found = standing(approves)
    assert (found.state, found.status, found.message) == ("waits", Status.WAITING, None)
    assert (found.position, found.total) == (1, 1)
    (task,) = found.tasks
    assert (task.scope, task.name, task.waits, task.running) == ("", None, ("signal approve",), False)
    assert sources(task) == ['return await asks("approve")', "return await wait_signal(name, str)"]
    assert [frame.function for frame in task.frames] == ["approves", "approves.<locals>.asks"]
    first = inspect.getsourcelines(approves)[1]
    assert [(frame.file, frame.line - first) for frame in task.frames] == [(__file__, 5), (__file__, 2)]


async def gathers() -> None:
    async def third() -> None:
        async with asyncio.timeout(60):
            await wait_signal("c")

    named = asyncio.create_task(third(), name="the third")
    await asyncio.gather(wait_signal("a"), invoke(parcel()), named)


def test_each_task_of_a_flow_says_what_it_waits_for() -> None:
    found = standing(gathers)
    assert [(task.scope, task.name, sorted(task.waits)) for task in found.tasks] == [
        ("", None, ["task 1/", "task 2/", "task 3/"]),
        ("1/", "the third", ["signal 1/c", "timer 1/timeout"]),
        ("2/", None, ["signal 2/a"]),
        ("3/", None, ["child parcel"]),
    ]
    assert [sources(task)[-1:] for task in found.tasks] == [
        ['await asyncio.gather(wait_signal("a"), invoke(parcel()), named)'],
        ['await wait_signal("c")'],
        [],
        [],
    ]


async def streams() -> None:
    @asynccontextmanager
    async def held() -> AsyncIterator[int]:
        await wait_signal("open")
        yield 1

    async def each() -> AsyncIterator[int]:
        async with held() as n:
            yield n

    async for _ in each():
        pass


def test_async_generators_and_context_managers_are_part_of_the_stack() -> None:
    (task,) = standing(streams).tasks
    assert sources(task) == ["async for _ in each():", "async with held() as n:", 'await wait_signal("open")']


def test_flow_that_has_ended_says_how_and_stands_nowhere() -> None:
    async def fails() -> None:
        await charge(1)
        raise ValueError("no luck")

    found = standing(fails, status="failed")
    assert (found.state, found.message, found.tasks) == ("ended", "failed: ValueError: no luck", ())

    async def ends() -> None:
        await charge(1)

    assert standing(ends, status="completed").message == "completed"


def test_flow_that_never_ran_stood_nowhere() -> None:
    async def scenario() -> None:
        recorded = order(approves)
        async with rig() as made:
            handle = await made.scheduler.schedule(recorded.value(), id="f")
            await handle.cancel()
            made.start(recorded)
            while await handle.status() != "cancelled":
                await asyncio.sleep(0.01)
            history = await read_history(made.store, await made.row("f"))
        found = await stand(history, lambda type_, version: recorded)
        assert (found.state, found.message, found.tasks) == ("ended", "cancelled", ())

    virtual(scenario)


def test_flow_whose_code_differs_stands_where_it_does() -> None:
    async def changed() -> str:
        await ship(1)
        return await wait_signal("approve", str)

    found = standing(approves, changed)
    assert (found.state, found.key, found.position) == ("diverged", "charge", 0)
    assert found.message == "the code does not ask for charge"
    assert found.where == f"{__file__}:{changed.__code__.co_firstlineno + 1}"
    (task,) = found.tasks
    assert (sources(task), task.waits) == (["await ship(1)"], ('step ship("n":1)',))


def test_fault_found_while_flow_code_runs_shows_the_line_that_runs() -> None:
    async def then() -> None:
        handle = invoke(parcel())
        await handle

    @flow(name="parcel")
    async def bigger(n: int) -> int:
        return n

    async def now() -> None:
        handle = invoke(bigger(1))
        await handle

    found = standing(then, now)
    assert found.state == "diverged"
    assert [(sources(task), task.running) for task in found.tasks] == [(["handle = invoke(bigger(1))"], True)]


def test_flow_without_code_or_with_a_damaged_journal_says_so() -> None:
    async def scenario() -> None:
        recorded = order(approves)
        async with rig(recorded) as made:
            await made.scheduler.schedule(recorded.value(), id="f")
            fresh = await read_history(made.store, await made.row("f"))
            assert (await stand(fresh, lambda type_, version: None)).state == "unserved"
            found = await stand(fresh, lambda type_, version: recorded)
            assert (found.state, found.message) == ("waits", "it has not begun; so far its code gets at first")
            assert sources(found.tasks[0]) == ["await charge(1)"]
            while await made.kinds() != ["step charge"]:
                await asyncio.sleep(0.01)
            history = await read_history(made.store, await made.row("f"))
            damaged = type(history)(history.row, (history.entries[0], b"{"), history.hash_seed)
            assert (await stand(damaged, lambda type_, version: recorded)).state == "unreadable"

    virtual(scenario)


# --- until a key is asked for


async def works() -> None:
    async def one(n: int) -> int:
        label = f"no {n}"
        try:
            return await charge(n)
        finally:
            ran.append(f"cleaned {label}")

    total = await ship(7)
    late = ship(9)
    await asyncio.gather(one(total), one(total + 1))
    ran.append("past it")
    await late
    if patched("longer"):
        child = invoke(parcel())
        await sleep(60, name="pause")
        await child


@pytest.mark.parametrize(
    ("until", "key", "source", "values"),
    [
        ("ship", "ship", "total = await ship(7)", {}),
        ("ship#1", "ship", "total = await ship(7)", {}),
        ("charge", "1/charge", "return await charge(n)", {"label": "'no 7'", "n": "7"}),
        ("2/charge", "2/charge", "return await charge(n)", {"label": "'no 8'", "n": "8"}),
        ("ship#2", "ship#2", "await late", {"total": "7"}),
        ("longer", "longer", 'if patched("longer"):', {"total": "7"}),
        ("pause", "pause", 'await sleep(60, name="pause")', {"total": "7"}),
        ("parcel", "parcel", "child = invoke(parcel())", {"total": "7"}),
    ],
)
def test_code_stops_where_a_key_is_asked_for_with_its_variables(
    until: str, key: str, source: str, values: dict[str, str]
) -> None:
    found = standing(works, until=until)
    assert (found.state, found.key) == ("reached", key)
    (task,) = [task for task in found.tasks if task.running]
    assert task.frames[-1].source == source
    shown = dict(task.frames[-1].values)
    assert {name: shown[name] for name in values} == values


def test_nothing_of_the_code_runs_after_that_but_to_clean_up() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = standing(works, until="1/charge")
    assert ran == ["cleaned no 7"], "the other task never had its turn"
    assert [(task.scope, task.waits, task.frames) for task in found.tasks[2:]] == [("2/", ("its turn",), ())]
    assert [str(each.message) for each in warned] == [], "what was made and never awaited is no news"


def test_key_that_is_never_asked_for_names_those_that_are() -> None:
    found = standing(works, until="charge#2")
    assert (found.state, found.asked) == (
        "unreached",
        ("ship", "1/charge", "2/charge", "ship#2", "longer", "parcel", "pause"),
    )


def test_who_looks_gets_the_frames_from_the_flow_function_to_the_line_that_asks() -> None:
    met: list[tuple[str, list[str], dict[str, Any]]] = []

    def look(key: str, frames: Sequence[FrameType]) -> None:
        met.append((key, [frame.f_code.co_name for frame in frames], dict(frames[-1].f_locals)))

    standing(works, until="2/charge", look=look)
    standing(gathers, until="2/a", look=look)
    standing(streams, until="open", look=look)
    assert [(key, names) for key, names, _ in met] == [
        ("2/charge", ["works", "one"]),
        ("2/a", ["gathers"]),
        ("open", ["streams", "each", "held"]),
    ]
    assert met[0][2]["n"] == 8


def test_code_does_not_go_on_when_who_looks_fails() -> None:
    def look(key: str, frames: Sequence[FrameType]) -> None:
        raise OSError("the terminal is gone")

    async def catches() -> None:
        try:
            await charge(1)
        except OSError:
            ran.append("caught")
        await wait_signal("go")
        ran.append("past it")

    found = standing(catches, until="charge", look=look)
    assert (found.state, ran) == ("reached", ["caught"])


class Odd:
    def __repr__(self) -> str:
        raise OSError("no words")


def test_values_that_are_long_or_cannot_say_what_they_are_do_no_harm() -> None:
    async def holds() -> None:
        long, odd, giant, many = "x" * 10_000, Odd(), 10**5_000, list(range(1_000))
        await charge(len(long) + len(many) + (giant > 0) + bool(odd))
        await wait_signal("go")

    (task,) = standing(holds, until="charge").tasks
    shown = dict(task.frames[-1].values)
    assert len(shown["long"]) <= 200
    assert shown["odd"].startswith("<Odd instance at ")
    assert shown["many"] == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]"
    assert len(shown["giant"]) <= 200
