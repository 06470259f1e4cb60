"""What a replay tells of `patched`: which path a flow's code takes in its present life, and what its journal holds."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from ergon_runtime import RetryPolicy, continue_as_new, flow, patched, step, wait_signal
from ergon_runtime.definitions import FlowDefinition, registry
from ergon_runtime.replay import PatchUse, ReplayReport, replay_flow
from tests.runtime.rigs import Rig, rig, stands, virtual

Code = Callable[[int], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def own_registry() -> Generator[None]:
    with registry.isolated():
        yield


@step
async def mark(n: int) -> int:
    return n


async def plain(n: int) -> int:
    await mark(n)
    return await wait_signal("go", int)


async def patched_first(n: int) -> int:
    if patched("new"):
        await mark(n + 1)
    return await plain(n)


async def patched_last(n: int) -> int:
    await mark(n)
    if patched("new"):
        return await wait_signal("new go", int)
    return await wait_signal("go", int)


def order(code: Code, **given: Any) -> FlowDefinition:
    """The code as the flow type `order`."""
    flow(name="order", **given)(code)
    found = registry.get("order", None)
    assert found is not None
    return found


async def recorded(shop: Rig, code: Code, *statuses: str, **given: Any) -> None:
    """Run the code as flow `f` until it waits, or has one of these statuses."""
    definition = order(code, **given)
    worker = shop.start(definition)
    await stands(await shop.scheduler.schedule(definition.value(n=1), id="f"), *(statuses or ("waiting",)))
    await worker.shutdown()


def replay(then: Code, now: Code, *statuses: str, **given: Any) -> ReplayReport:
    """What `now` makes of a recording of `then`."""

    async def scenario() -> ReplayReport:
        async with rig() as shop:
            await recorded(shop, then, *statuses, **given)
            with registry.isolated():
                definition = order(now)
                return await replay_flow(shop.store, await shop.row(), lambda type_, version: definition)

    return virtual(scenario)


def test_flow_that_has_passed_the_call_without_it_is_on_the_old_path() -> None:
    report = replay(plain, patched_first)
    assert (report.verdict, report.patches) == ("same", (PatchUse("new", "old", recorded=False),))


def test_flow_that_stands_at_the_call_takes_the_new_path_and_remembers_nothing_yet() -> None:
    report = replay(plain, patched_last)
    assert (report.verdict, report.patches) == ("same", (PatchUse("new", "new", recorded=False),))


def test_flow_that_recorded_the_marker_takes_the_new_path() -> None:
    report = replay(patched_first, patched_first)
    assert (report.verdict, report.patches) == ("same", (PatchUse("new", "new", recorded=True),))


def test_marker_that_the_code_no_longer_asks_for_is_told_with_the_divergence() -> None:
    async def without_the_call(n: int) -> int:
        await mark(n + 1)
        return await plain(n)

    report = replay(patched_first, without_the_call)
    assert (report.verdict, report.patches) == ("diverged", (PatchUse("new", None, recorded=True),))


async def patched_after(n: int) -> bool:
    await plain(n)
    return patched("new")


def test_flow_whose_code_has_the_call_ahead_says_nothing_of_it() -> None:
    report = replay(plain, patched_after)
    assert (report.verdict, report.patches) == ("same", ())


def test_flow_that_comes_to_the_call_later_takes_the_new_path() -> None:
    async def scenario() -> None:
        async with rig() as shop:
            await recorded(shop, plain)
            with registry.isolated():
                shop.start(order(patched_after))
                handle = shop.scheduler.handle("f", bool)
                await handle.signal("go", 1)
                assert await handle.result() is True

    virtual(scenario)


def test_several_ids_come_in_the_order_of_the_calls() -> None:
    async def twice(n: int) -> int:
        early = patched("z")
        await mark(n)
        assert not early
        assert patched("a")
        assert not patched("z")
        return await wait_signal("go", int)

    uses = replay(plain, twice).patches
    assert uses == (PatchUse("z", "old", recorded=False), PatchUse("a", "new", recorded=False))


def test_only_the_present_life_counts() -> None:
    async def fails(n: int) -> int:
        patched("early")
        await mark(n)
        raise OSError("again")

    async def now(n: int) -> int:
        patched("late")
        return await plain(n)

    report = replay(fails, now, retry=RetryPolicy(max_attempts=2, initial=60))
    assert (report.verdict, report.patches) == ("same", (PatchUse("late", "new", recorded=False),))


def test_flow_that_continued_as_new_has_forgotten_its_markers() -> None:
    async def continues(n: int) -> int:
        if n == 1:
            patched("new")
            await mark(n)
            continue_as_new(order_again.value(n=2))
        return await plain(n)

    with registry.isolated():
        order_again = order(continues)
        report = replay(continues, continues)
    assert (report.verdict, report.patches) == ("same", ())


def test_ended_flow_is_on_the_old_path_unless_it_has_the_marker() -> None:
    async def ends(n: int) -> int:
        return await mark(n)

    async def asks(n: int) -> int:
        asked = patched("new")
        return await mark(n) if not asked else 0

    report = replay(ends, asks, "completed")
    assert (report.verdict, report.patches) == ("same", (PatchUse("new", "old", recorded=False),))


def test_report_as_json_names_status_and_patches() -> None:
    told = replay(plain, patched_first).to_json()
    assert (told["status"], told["patches"]) == ("waiting", [{"id": "new", "path": "old", "recorded": False}])
