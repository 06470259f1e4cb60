"""The machine: time (E3, E4), randomness (E5), replay and divergence (E6), patches (E8)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.core.entries import CancelReceived
from ergon_runtime.core.faults import FaultKind
from ergon_runtime.core.machine import milliseconds
from tests.core.asks import child, here, loop_here, signal, step
from tests.core.driver import START, Code, Delivery, Flow, fault_of, replayed, started


def steps_named(*names: str) -> Code:
    async def code() -> None:
        for name in names:
            await step(name)

    return code


def diverges(code: Code, flow: Flow, *, ended: bool = False) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Key, recorded and current side of the divergence that code meets with a flow's journal."""
    fault = fault_of(Flow(code, flow.journal, ended=ended).begin)
    assert fault.kind is FaultKind.DIVERGED
    return fault.key, fault.recorded, fault.current


# --- E1, E3, E4
def test_e1_entry_0_is_started_with_the_seed_in_the_first_commit() -> None:
    flow = started(steps_named("a")).end("a").go()
    first = flow.journal[0]
    assert (first.entry.kind, first.commit, first.entry.at) == ("started", 1, START)
    assert first.entry.seed == "seed"
    assert flow.drafts[0].entries[0].kind == "started"


def test_e3_time_stands_still_between_deliveries() -> None:
    async def code() -> list[float]:
        times = [loop_here().time()]
        await asyncio.sleep(0)
        times.append(loop_here().time())
        await step("a")
        times.append(loop_here().time())
        return times

    flow = Flow(code, latency=lambda key: 7).play()
    assert flow.result == [START / 1000, START / 1000, START / 1000 + 0.007]


def test_e4_timer_is_due_at_the_time_asked_plus_delay_rounded_up_to_milliseconds() -> None:
    async def code() -> None:
        await step("a")
        await asyncio.gather(asyncio.sleep(0.0101), asyncio.sleep(0.010), asyncio.sleep(1e30), asyncio.sleep(0.1 + 0.2))

    flow = Flow(code, latency=lambda key: 5).play(stop=2)
    dues = [op.due for op in flow.machine.open if op.kind == "timer"]
    assert [due - START - 5 for due in dues[:2]] == [11, 10]
    assert dues[2] == 253_402_300_799_000
    assert dues[3] - START - 5 == 300


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 10**9))
def test_e4_float_noise_below_a_microsecond_adds_no_millisecond(now: int, delay: int) -> None:
    assert milliseconds(now / 1000 + delay / 1000) == now + delay


def test_e4_timer_asked_after_a_crash_is_due_when_it_was() -> None:
    async def code() -> None:
        await step("a")
        await asyncio.sleep(10)

    flow = started(code).end("a").go()
    due = flow.machine.open.due()
    flow.clock += 5_000
    assert flow.load().go().machine.open.due() == due


# --- E5
async def draws() -> list[float]:
    async def draw() -> float:
        return here().random().random()

    machine = here()
    assert machine.random() is machine.random()
    return [machine.random().random(), machine.random().random(), *await asyncio.gather(draw(), draw())]


def test_e5_randomness_is_one_generator_per_seed_and_scope() -> None:
    first = started(draws).result
    assert started(draws).result == first
    assert len(set(first)) == 4
    assert not set(started(draws, seed="other").result) & set(first)


# --- E6: replay
def test_e6_entry_of_an_abandoned_operation_is_skipped_live_and_in_replay() -> None:
    async def code() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        await step("after")

    flow = started(code).wait(10).end("after").go()
    assert [(how, key) for how, key, _ in flow.delivered] == [
        ("timer", "timeout"),
        ("skip", "sleep"),
        ("step", "after"),
    ]
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_e6_entry_of_an_operation_outlived_by_the_flow_is_no_divergence() -> None:
    async def code() -> None:
        loop_here().call_later(0.01, print)
        await step("a")

    flow = started(code).end("a").wait(10)
    assert flow.outcome is not None
    assert flow.kinds() == ["started", "step", "timer"]
    assert replayed(code, flow.journal, ended=True).machine.done


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (steps_named("a", "c"), ("b", "step b(null)", ("step c(null)",))),
        (steps_named("a"), ("b", "step b(null)", ("the end",))),
        (steps_named(), ("a", "step a(null)", ("the end",))),
    ],
)
def test_e6_entry_never_asked_for_is_divergence(code: Code, expected: tuple[str, str, tuple[str, ...]]) -> None:
    assert diverges(code, Flow(steps_named("a", "b")).play()) == expected


def test_e6_entry_asked_for_with_other_arguments_is_divergence() -> None:
    async def code() -> None:
        await step("a", [1])

    async def changed() -> None:
        await step("a", [2])

    assert diverges(changed, Flow(code).play()) == ("a", "step a(1)", ("step a(2)",))


def test_e6_entry_asked_for_with_another_kind_is_divergence() -> None:
    async def code() -> None:
        await signal("a")

    assert diverges(steps_named("a"), started(code).signal("a").go())[:2] == ("a", "signal a")


def test_e6_flow_that_needs_more_than_an_ended_flow_recorded_is_seen_by_the_reader() -> None:
    flow = replayed(steps_named("a", "b"), Flow(steps_named("a")).play().journal, ended=True)
    assert not flow.machine.done


def test_e6_marker_not_asked_for_is_divergence_when_nothing_recorded_is_left() -> None:
    async def code() -> None:
        here().patched("new")
        await step("a")
        await signal("never")

    fault = diverges(steps_named("a", "b"), started(code).end("a").go())
    assert fault == ("new", "patched new", ("step b(null)",))


def test_e6_marker_not_asked_for_is_divergence_when_the_flow_ends() -> None:
    async def code() -> None:
        here().patched("new")
        await signal("never")

    assert diverges(steps_named(), started(code)) == ("new", "patched new", ("the end",))


def test_e6_marker_asked_for_late_is_no_divergence_before_that() -> None:
    async def code() -> None:
        await step("a")
        child()
        await signal("never")

    journal = started(code).end("a").go().journal
    assert journal[-1].entry.kind == "created"
    assert replayed(code, journal).machine.markers == []


def test_e6_step_that_was_tried_and_is_not_asked_for_again_is_divergence() -> None:
    flow = started(steps_named("a")).try_failed("a", again=1000).go()
    assert diverges(steps_named("b"), flow) == ("a", "step a(null)", ("step b(null)",))


def test_e6_step_that_was_tried_with_other_arguments_is_divergence() -> None:
    async def changed() -> None:
        await step("a", [2])

    flow = started(steps_named("a")).try_failed("a", again=1000).go()
    assert diverges(changed, flow) == ("a", "step a(null)", ("step a(2)",))


def test_e6_divergence_names_the_waiting_line() -> None:
    fault = fault_of(Flow(steps_named("c"), Flow(steps_named("a")).play().journal).begin)
    assert fault.where is not None
    assert "/tests/core/asks.py:" in fault.where


def test_e6_cancel_is_exempt() -> None:
    flow = Flow(steps_named("a")).play()
    entry = CancelReceived("cancel m", flow.clock, "m")
    journal = [*flow.journal, type(flow.journal[0])(len(flow.journal), flow.commits + 1, entry)]
    assert replayed(steps_named("a"), journal, ended=True).machine.done


# --- E8
async def upgraded() -> list[object]:
    seen = []
    for name in ("a", "b", "c"):
        await step(name)
        seen.append(here().patched("new"))
    return seen


async def before_upgrade() -> list[object]:
    for name in ("a", "b", "c"):
        await step(name)
    return []


def test_e8_fresh_flow_takes_the_patch_and_records_it_once() -> None:
    flow = Flow(upgraded).play()
    assert flow.result == [True] * 3
    assert flow.keys("patched") == ["new"]
    assert replayed(upgraded, flow.journal, ended=True).delivered == flow.delivered


def test_e8_marker_goes_into_the_next_commit_before_completions() -> None:
    flow = started(upgraded).end("a").go().end("b").go()
    assert flow.kinds() == ["started", "step", "patched", "step"]


def test_e8_flow_that_has_recorded_only_its_start_is_live() -> None:
    async def patched_first() -> object:
        found = here().patched("new")
        await before_upgrade()
        return found

    journal = started(before_upgrade).journal
    assert [record.entry.kind for record in journal] == ["started"]
    assert Flow(patched_first, journal).play().result is True


@pytest.mark.parametrize("done", [1, 2])
def test_e8_flow_in_flight_is_patched_only_where_it_is_live(done: int) -> None:
    flow = started(before_upgrade)
    for name in ("a", "b")[:done]:
        flow.end(name).go()
    resumed = Flow(upgraded, flow.journal).play()
    assert resumed.result == [done == 1] * 3  # the first call of an id decides for the life
    assert replayed(upgraded, resumed.journal, ended=True).delivered == resumed.delivered


def test_e8_replay_of_an_ended_flow_is_never_live() -> None:
    async def code() -> object:
        await step("a")
        return here().patched("new")

    flow = Flow(steps_named("a")).play()
    machine = replayed(code, flow.journal, ended=True).machine
    assert machine.done
    assert machine.main is not None
    assert machine.main.result() is False
    assert machine.markers == []


# --- what is told
def test_observer_hears_kind_key_and_flow_time_of_each_delivery() -> None:
    async def code() -> None:
        await step("a")
        await asyncio.sleep(1)
        await signal("s")

    flow = started(code).wait(5).end("a").go().wait(1000).signal("s").go()
    expected: list[Delivery] = [
        ("step", "a", START + 5),
        ("timer", "sleep", START + 1005),
        ("signal", "s", START + 1005),
    ]
    assert flow.delivered == expected


def test_replaying_is_true_until_what_was_loaded_is_delivered() -> None:
    seen: list[bool] = []

    async def code() -> None:
        for name in ("a", "b", "c"):
            seen.append(here().replaying)
            await step(name)

    flow = started(code).end("a").go().end("b").go()
    seen.clear()
    flow.load().go().end("c").go()
    assert seen == [True, True, False]


def test_divergence_of_a_wide_flow_names_some_of_what_it_asks_for_and_counts_the_rest() -> None:
    async def recorded() -> None:
        await step("old")
        await signal("go")

    async def wide() -> None:
        await asyncio.gather(*(signal(f"s{n}") for n in range(1000)))

    flow = started(recorded).end("old").go()
    fault = fault_of(Flow(wide, flow.journal).begin)
    assert (len(fault.current), fault.current[-1]) == (21, "980 more")
