"""Replay: the code of today over journals of yesterday, run by a real worker on a memory store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest

from ergon_runtime import Scheduler, Status, Worker, flow, invoke, patched, sleep, step, wait_signal
from ergon_runtime.core.entries import CancelReceived, pack
from ergon_runtime.core.faults import FaultKind
from ergon_runtime.core.flows import ENDED, ClaimRequest, Commit, FlowRow
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import FlowDefinition, registry
from ergon_runtime.replay import ReplayReport, replay_flow
from ergon_runtime.stores.memory import MemoryStore

bodies: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Generator[None]:
    bodies.clear()
    with registry.isolated():
        yield


@step
async def charge(n: int) -> int:
    bodies.append("charge")
    return n


@step
async def ship(n: int) -> int:
    bodies.append("ship")
    return n


@step
async def refuse(n: int) -> int:
    raise ValueError(f"no {n}")


@flow
async def letter(n: int) -> int:
    return n


async def charge_then_ship(n: int) -> int:
    await charge(n)
    return await ship(n)


Code = Callable[[int], Coroutine[Any, Any, Any]]


def order(code: Code, **given: Any) -> FlowDefinition:
    """The code as the flow type `order`."""
    flow(name="order", **given)(code)
    found = registry.get("order", None)
    assert found is not None
    return found


async def record(store: MemoryStore, code: Code, *, ends: bool = True, **given: Any) -> FlowRow:
    """Run the code as flow `a`, to its end or until it waits, and give its row."""
    value = order(code, **given).value(n=1)
    running = await Worker(store).register(letter).register_all().start()
    while not await store.workers():  # its leases are kept from now on
        await store.wait("test", 0.02)
    handle = await Scheduler(store).schedule(value, id="a")
    wanted = ENDED if ends else {Status.WAITING}
    while await handle.status() not in wanted:
        await store.wait("test", 0.02)
    await running.shutdown()
    row = await store.get("a")
    assert row is not None
    return row


def replay(then: Code, now: Code | None = None, *, ends: bool = True, **given: Any) -> ReplayReport:
    """What `now` makes of a recording of `then`."""

    async def scenario() -> ReplayReport:
        store = MemoryStore()
        row = await record(store, then, ends=ends, **given)
        bodies.clear()
        with registry.isolated():
            definition = order(now or then)
            report = await replay_flow(store, row, lambda type_, version: definition)
        assert await store.get("a") == row
        assert bodies == []
        return report

    return asyncio.run(scenario())


def test_replay_of_equal_code_is_same_and_runs_no_step() -> None:
    report = replay(charge_then_ship)
    assert (report.verdict, report.position, report.total, report.message) == ("same", 2, 2, None)
    assert report.delivered == ('step charge("n":1)', 'step ship("n":1)')


def test_replay_of_a_failed_flow_is_same() -> None:
    async def fails(n: int) -> int:
        return await refuse(n)

    assert replay(fails).verdict == "same"


def test_replay_of_changed_arguments_names_both_sides_and_the_line() -> None:
    async def ships_another(n: int) -> int:
        await charge(n)
        return await ship(n + 1)

    report = replay(charge_then_ship, ships_another)
    assert (report.verdict, report.kind, report.key, report.position) == ("diverged", FaultKind.DIVERGED, "ship", 1)
    assert (report.recorded, report.current) == ('step ship("n":1)', ('step ship("n":2)',))
    assert report.where == f"{__file__}:{ships_another.__code__.co_firstlineno + 2}"


def test_replay_of_steps_in_another_order_diverges_at_the_first() -> None:
    async def ships_first(n: int) -> int:
        await ship(n)
        return await charge(n)

    report = replay(charge_then_ship, ships_first)
    assert (report.position, report.recorded, report.current) == (0, 'step charge("n":1)', ('step ship("n":1)',))


def test_replay_of_an_ended_flow_that_asks_for_more_diverges() -> None:
    async def charges_twice(n: int) -> int:
        await charge_then_ship(n)
        return await charge(n)

    report = replay(charge_then_ship, charges_twice)
    assert (report.verdict, report.position, report.recorded) == ("diverged", 2, "the end (completed)")
    assert report.current == ('step charge#2("n":1)',)
    assert report.where == f"{__file__}:{charges_twice.__code__.co_firstlineno + 2}"


def test_replay_of_an_ended_flow_that_starts_another_child_diverges() -> None:
    async def sends_letter(n: int) -> int:
        shipped = await charge_then_ship(n)
        invoke(letter(n), detached=True)
        return shipped

    report = replay(charge_then_ship, sends_letter)
    assert (report.verdict, report.current) == ("diverged", ('child letter("n":1)',))


def test_replay_of_code_that_ends_before_the_recording_diverges() -> None:
    async def only_charges(n: int) -> int:
        return await charge(n)

    report = replay(charge_then_ship, only_charges)
    assert (report.verdict, report.key, report.current) == ("diverged", "ship", ("the end",))


def test_replay_of_an_ended_flow_takes_no_new_patch() -> None:
    async def patches(n: int) -> int:
        await charge(n)
        return await ship(n + 1 if patched("more") else n)

    assert replay(charge_then_ship, patches).verdict == "same"


def test_replay_that_ends_in_another_way_diverges() -> None:
    async def fails_at_last(n: int) -> int:
        await charge_then_ship(n)
        raise KeyError("x")

    report = replay(charge_then_ship, fails_at_last)
    assert (report.verdict, report.recorded) == ("diverged", "the end (completed)")
    assert report.current == ("the end (failed: KeyError: 'x')",)
    assert report.where == f"{__file__}:{fails_at_last.__code__.co_firstlineno + 2}"


def test_replay_of_a_live_flow_may_go_on_past_the_recording() -> None:
    async def waits(n: int) -> int:
        await charge(n)
        return await wait_signal("go", int)

    async def goes_on(n: int) -> int:
        await charge(n)
        return await ship(n)

    async def ends(n: int) -> int:
        return await charge(n)

    for code in (waits, goes_on, ends):
        assert replay(waits, code, ends=False).verdict == "same"
    assert replay(waits, charge_then_ship_swapped, ends=False).verdict == "diverged"


async def charge_then_ship_swapped(n: int) -> int:
    await ship(n)
    return await charge(n)


def test_replay_ends_what_still_waits_at_once() -> None:
    async def waits(n: int) -> int:
        try:
            return await wait_signal("go", int)
        finally:
            bodies.append("left")

    async def scenario() -> None:
        store = MemoryStore()
        row = await record(store, waits, ends=False)
        definition = registry.get("order", None)
        bodies.clear()
        await replay_flow(store, row, lambda type_, version: definition)
        await asyncio.sleep(0)
        assert bodies == ["left"]

    asyncio.run(scenario())


def test_replay_of_a_flow_never_started_is_same() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        await Scheduler(store).schedule(order(charge_then_ship).value(n=1), id="a")
        row = await store.get("a")
        assert row is not None
        report = await replay_flow(store, row, registry.get)
        assert (report.verdict, report.total) == ("same", 0)

    asyncio.run(scenario())


def test_replay_of_a_later_life_takes_what_earlier_ones_left() -> None:
    async def fails_once(n: int) -> int:
        await charge(n)
        bodies.append("life")
        if bodies.count("life") == 1:
            raise OSError("first life")
        return await ship(n)

    async def kept(n: int) -> int:
        await charge(n)
        return await ship(n)

    report = replay(fails_once, kept, retry=RetryPolicy(max_attempts=2, initial=0))
    assert (report.verdict, report.delivered, report.total) == ("same", ('step ship("n":1)',), 1)


def test_replay_of_gathered_sleeps_and_children_is_same() -> None:
    async def mixed(n: int) -> list[int]:
        child, charged, _ = await asyncio.gather(invoke(letter(n)), charge(n), sleep(0.01))
        return [child, charged]

    report = replay(mixed)
    assert (report.verdict, report.position) == ("same", 3)


def test_replay_leaves_out_a_cancel_that_came_while_no_code_ran() -> None:
    async def waits(n: int) -> int:
        try:
            await charge(n)
            return await wait_signal("go", int)
        finally:
            await ship(n)

    async def scenario() -> None:
        store = MemoryStore()
        row = await record(store, waits, ends=False)
        claim = (await store.claim(ClaimRequest("operator", 1000, 1, ids=("a",), operator=True))).claims[0]
        cancel = pack(CancelReceived("cancel", claim.now, "operator", before=True), 99)
        await store.commit(
            Commit("c", claim.lease, claim.head, claim.length, 1000, Status.CANCELLED, (cancel,), release=True)
        )
        ended = await store.get("a")
        assert ended is not None
        assert ended.status is Status.CANCELLED
        assert (await replay_flow(store, ended, registry.get)).verdict == "same"
        assert row.length + 1 == ended.length

    asyncio.run(scenario())


def test_what_code_prints_as_it_leaves_memory_is_printed_within_the_replay_and_once() -> None:
    async def tidies(n: int) -> int:
        try:
            await charge(n)
            return await wait_signal("go", int)
        finally:
            print("tidied")

    async def tidies_another(n: int) -> int:
        try:
            await charge(n + 1)
            return await wait_signal("go", int)
        finally:
            print("tidied")

    async def scenario() -> None:
        store = MemoryStore()
        row = await record(store, tidies, ends=False)
        for code, verdict in ((tidies, "same"), (tidies_another, "diverged")):
            with registry.isolated(), redirect_stdout(StringIO()) as printed:
                order(code)
                report = await replay_flow(store, row, registry.get)
            assert (report.verdict, printed.getvalue()) == (verdict, "tidied\n")

    asyncio.run(scenario())


def test_replay_of_code_that_does_not_do_the_same_each_time_says_so() -> None:
    runs: list[int] = []

    async def wavers(n: int) -> int:
        runs.append(n)
        await (charge(n) if len(runs) == 1 else ship(n))
        return await ship(n + 1)

    report = replay(charge_then_ship, wavers)
    assert "the code does not do the same each time" in (report.message or "")


def test_replay_of_arguments_that_no_longer_fit_is_unreadable() -> None:
    async def renamed(m: int) -> int:
        return m

    report = replay(charge_then_ship, renamed)
    assert (report.verdict, report.kind) == ("unreadable", FaultKind.UNREADABLE)
    assert "argument" in (report.message or "")


def test_replay_of_a_damaged_journal_is_unreadable() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        row = await record(store, charge_then_ship)
        store.state.flows["a"].journal[1] = b"{"
        report = await replay_flow(store, row, registry.get)
        assert (report.verdict, report.message is not None) == ("unreadable", True)

    asyncio.run(scenario())


def test_replay_of_a_journal_that_lost_its_end_is_unreadable() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        row = await record(store, charge_then_ship)
        store.state.flows["a"].journal.pop()
        report = await replay_flow(store, row, registry.get)
        assert (report.verdict, report.message) == ("unreadable", "the journal ends at entry 2 of 3")

    asyncio.run(scenario())


def test_replay_without_code_for_the_type_is_unserved() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        row = await record(store, charge_then_ship)
        report = await replay_flow(store, row, lambda type_, version: None)
        assert (report.verdict, report.message) == ("unserved", "no flow order in the modules loaded")

    asyncio.run(scenario())


def test_replay_of_code_that_spins_says_so() -> None:
    async def spins(n: int) -> int:
        while True:
            await asyncio.sleep(0)

    report = replay(charge_then_ship, spins)
    assert (report.verdict, report.kind) == ("diverged", FaultKind.SPINNING)
