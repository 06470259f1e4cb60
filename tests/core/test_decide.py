"""What the next commit holds: limits and waits (C3), times (E3), signals first (E7), ends (K3, K4), P3, L9."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from ergon_runtime.core.decide import (
    BACKOFF,
    MAX_BYTES,
    MAX_ENTRIES,
    Begin,
    Draft,
    End,
    Park,
    Situation,
    block,
    cancel_before,
    child_seed,
    decide,
)
from ergon_runtime.core.entries import ChildEnded, Outcome, SignalReceived, TimerFired
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import CANCEL, Message, Status
from tests.core.asks import StepFailed, child, invoke, signal, step
from tests.core.driver import START, Fails, Flow, fault_of, replayed, started


def draft_of(flow: Flow) -> Draft:
    draft = flow.decide()
    assert isinstance(draft, Draft)
    return draft


async def never() -> None:
    await signal("never")


def wide(count: int) -> Any:
    async def code() -> list[object]:
        return await asyncio.gather(*(step("s", n) for n in range(count)))

    return code


def end_all(flow: Flow, value: object = None) -> Flow:
    for key in list(flow.running):
        flow.end(key, value)
    return flow


# --- C3
def test_c3_commit_carries_at_most_100_entries() -> None:
    flow = end_all(started(wide(250))).go()
    assert flow.outcome is not None
    assert [len(draft.entries) for draft in flow.drafts] == [1, 100, 100, 50, 0]
    assert max(len(draft.entries) for draft in flow.drafts) == MAX_ENTRIES


def test_c3_markers_over_the_limit_are_split_before_any_completion() -> None:
    async def code() -> None:
        for _ in range(150):
            child(detached=True)
        await step("a")

    flow = started(code).end("a").go()
    assert [len(draft.entries) for draft in flow.drafts] == [100, 51, 1, 0]
    assert [len(draft.creates) for draft in flow.drafts] == [99, 51, 0, 0]
    assert replayed(code, flow.journal, ended=True).machine.done


@pytest.mark.parametrize("letter", ["x", "€"])
def test_c3_commit_carries_at_most_a_mebibyte(letter: str) -> None:
    flow = started(wide(10))
    for key in list(flow.running):
        flow.end(key)
        flow.results[-1] = replace(flow.results[-1], value=json.dumps(letter * (MAX_BYTES // 4), ensure_ascii=False))
    flow.go()
    expected = [1, 3, 3, 3, 1] if letter == "x" else [1, *[1] * 10]
    assert [len(draft.entries) for draft in flow.drafts if draft.entries] == expected


def test_c3_arguments_count_too() -> None:
    async def code() -> None:
        await asyncio.gather(*(step("s", "x" * (MAX_BYTES // 4)) for _ in range(10)))

    flow = end_all(started(code)).go()
    assert [len(draft.entries) for draft in flow.drafts if draft.entries] == [1, 3, 3, 3, 1]


def test_c3_children_with_large_arguments_are_split() -> None:
    async def code() -> None:
        for _ in range(10):
            child("kid", "x" * (MAX_BYTES // 4), detached=True)
        await never()

    flow = started(code)
    assert [len(draft.creates) for draft in flow.drafts if draft.entries] == [3, 3, 3, 1]


def test_c3_single_entry_over_a_mebibyte_goes_alone() -> None:
    flow = started(wide(2))
    flow.end("1/s", "x" * (2 * MAX_BYTES)).end("2/s", 1).go()
    assert flow.outcome is not None
    assert [len(draft.entries) for draft in flow.drafts if draft.entries] == [1, 1, 1]


def test_c3_lease_is_released_only_when_no_step_runs_and_nothing_is_left_to_do() -> None:
    async def code() -> None:
        await asyncio.gather(step("a"), never(), asyncio.sleep(5))

    flow = started(code)
    assert isinstance(flow.decide(), Park)
    assert flow.decide() == Park(START + 5000)
    last = flow.end("1/a").go().drafts[-1]
    assert (last.release, last.status, last.due) == (True, Status.WAITING, START + 5000)
    assert flow.waits == {"signal:never"}
    assert last.resident


def test_c3_retry_of_a_step_is_waited_for_without_a_lease() -> None:
    flow = started(wide(1)).try_failed("1/s", again=700).go()
    last = flow.drafts[-1]
    assert flow.kinds() == ["started", "attempt"]
    assert (last.release, last.due, last.waits) == (True, START + 700, frozenset())
    assert flow.wait(700).end("1/s").go().outcome is not None


def test_c3_retry_delay_of_a_flow_waits_on_no_signals() -> None:
    async def code() -> None:
        asyncio.create_task(never())  # noqa: RUF006
        await step("bad")

    flow = Flow(code, answer=lambda key, n: Fails(), retries=1).play(stop=3)
    last = flow.drafts[-1]
    assert (last.status, last.due, last.waits, last.release) == (Status.WAITING, START + 1010, frozenset(), True)


def test_drain_hands_the_flow_back_as_pending_with_what_has_arrived() -> None:
    flow = started(wide(2)).end("1/s")
    busy = decide(flow.machine, Situation(flow.clock, results=flow.results, busy=True, draining=True))
    assert isinstance(busy, Draft)
    assert not busy.release
    flow.go().end("2/s").go()
    flow = started(never).signal("never")
    draft = decide(flow.machine, Situation(flow.clock, mail=tuple(flow.mail), draining=True))
    assert isinstance(draft, Draft)
    assert (draft.release, draft.status, len(draft.entries)) == (True, Status.PENDING, 1)


# --- E3
def test_e3_entry_is_never_earlier_than_the_one_before() -> None:
    flow = started(wide(2))
    flow.clock += 9_000
    flow.end("1/s").go()
    flow.clock -= 5_000
    flow.end("2/s").go()
    assert [record.entry.at for record in flow.journal] == [START, START + 9_000, START + 9_000]


def test_e3_timer_is_never_fired_before_it_is_due_nor_recorded_earlier() -> None:
    async def code() -> None:
        await asyncio.gather(asyncio.sleep(2), asyncio.sleep(1), asyncio.sleep(1))

    flow = started(code).wait(999)
    assert flow.keys() == []
    flow.wait(5000)
    assert flow.keys() == ["2/sleep", "3/sleep", "1/sleep"]
    fired = [r.entry for r in flow.journal if isinstance(r.entry, TimerFired)]
    assert [(entry.at, entry.due, entry.asked) for entry in fired] == [
        (START + 5999, START + 1000, START),
        (START + 5999, START + 1000, START),
        (START + 5999, START + 2000, START),
    ]


# --- E7
def test_e7_signal_is_the_first_completion_of_its_commit_and_the_only_signal() -> None:
    async def code() -> None:
        await asyncio.gather(signal("a"), signal("b"), step("s"), invoke(), asyncio.sleep(1))

    flow = started(code).child_end("f/4/kid").signal("b").signal("a").end("3/s")
    flow.clock += 1000
    draft = draft_of(flow)
    assert [entry.kind for entry in draft.entries] == ["signal", "child", "step", "timer"]
    assert isinstance(draft.entries[0], SignalReceived)
    assert draft.entries[0].name == "b"
    assert draft.consumed == (flow.mail[1].id, flow.mail[0].id)
    flow.go()
    assert flow.outcome is not None
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_signal_nobody_waits_for_stays_in_the_mail() -> None:
    flow = started(never).signal("other").go()
    assert [message.channel for message in flow.mail] == ["signal:other"]


def test_message_that_does_not_fit_is_set_aside_and_the_next_is_taken() -> None:
    async def code() -> object:
        return await signal("n", lambda value: value.isdigit())

    flow = started(code).signal("n", "text").go()
    assert (flow.drafts[-2].aside, flow.drafts[-2].consumed) == (("m1",), ())
    assert flow.outcome is None
    assert flow.signal("n", "text").signal("n", 5).go().result == 5


# --- K3, K4
def test_k3_childs_end_is_recorded_with_its_message_consumed() -> None:
    flow = started(invoke).child_end("f/kid", 5).go()
    (entry,) = [r.entry for r in flow.journal if isinstance(r.entry, ChildEnded)]
    assert (entry.child, entry.status, entry.value) == ("f/kid", Status.COMPLETED, "5")
    assert entry.message in flow.drafts[-2].consumed
    assert flow.result == 5


def test_k3_result_of_a_child_not_awaited_stays_in_the_mail() -> None:
    async def code() -> None:
        child()
        await never()

    flow = started(code).child_end("f/kid").go()
    assert len(flow.mail) == 1
    assert flow.keys() == []


def test_unreadable_child_result_is_a_fault_naming_the_child() -> None:
    flow = started(invoke)
    flow.mail.append(Message("m", "child:f/kid", b"\xff"))
    fault = fault_of(flow.go)
    assert (fault.kind, fault.key) == (FaultKind.UNREADABLE, "kid")


@pytest.mark.parametrize("ending", ["completed", "failed", "retried"])
def test_k4_commit_that_ends_a_life_cancels_the_children_left_behind(ending: str) -> None:
    async def code() -> None:
        child("left")
        child("free", detached=True)
        await invoke("done")
        if ending != "completed":
            raise StepFailed

    flow = started(code, retries=ending == "retried").child_end("f/done").go()
    sends = [(send.to, send.message.channel) for draft in flow.drafts for send in draft.sends]
    assert sends[0] == ("f/left", CANCEL)
    assert ("f/left~2", CANCEL) in sends if ending == "retried" else len(sends) == 1
    assert {to for to, _ in sends} <= {"f/left", "f/left~2"}


def test_k4_child_created_in_the_turn_that_ends_the_life_is_created_and_cancelled() -> None:
    async def code() -> None:
        child()

    last = Flow(code).play().drafts[-1]
    assert ([new.id for new in last.creates], [send.to for send in last.sends]) == (["f/kid"], ["f/kid"])


def test_child_seed_is_a_pure_function_of_parent_and_id() -> None:
    assert child_seed("s", "f/a") == child_seed("s", "f/a")
    assert len({child_seed("s", "f/a"), child_seed("s", "f/b"), child_seed("t", "f/a")}) == 3


# --- P3
def test_p3_cancel_before_the_first_life_ends_the_flow_without_its_code() -> None:
    flow = Flow(never).cancel()
    draft = draft_of(flow)
    assert (draft.status, draft.consumed, draft.release) == (Status.CANCELLED, ("m1",), True)
    assert [(entry.kind, entry.before) for entry in draft.entries] == [("cancel", True)]
    assert draft.result is not None
    assert Outcome.unpack(draft.result).status is Status.CANCELLED


def retrying() -> Flow:
    async def code() -> None:
        await step("bad")

    flow = Flow(code, answer=lambda key, n: Fails(), retries=1).play(stop=3)
    flow.clock -= 1
    return flow


def test_p3_cancel_during_a_retrys_delay_ends_the_flow_without_its_code() -> None:
    flow = retrying()
    waiting = draft_of(flow)
    assert (waiting.status, waiting.due, waiting.release) == (Status.WAITING, flow.clock + 1, True)
    assert flow.cancel().go().kinds()[-1] == "cancel"
    assert replayed(flow.code, flow.journal, ended=True).machine.main is None


def test_p3_cancel_after_a_retrys_delay_is_delivered_to_the_code() -> None:
    flow = retrying()
    flow.clock += 1
    assert isinstance(flow.cancel().decide(), Begin)
    flow.play()
    assert flow.outcome is not None
    assert flow.outcome.status is Status.CANCELLED
    assert [getattr(r.entry, "before", None) for r in flow.journal if r.entry.kind == "cancel"] == [False]


def test_p3_operators_cancel_needs_no_message() -> None:
    draft = cancel_before(50, 40, None)
    assert (draft.entries[0].at, draft.consumed, draft.status) == (50, (), Status.CANCELLED)


def test_p3_after_a_delivered_cancel_there_is_no_flow_retry() -> None:
    async def code() -> None:
        try:
            await never()
        finally:
            raise StepFailed

    flow = started(code, retries=5).cancel().go()
    assert flow.outcome is not None
    assert flow.outcome.status is Status.FAILED
    assert flow.machine.was_cancelled


# --- L9 and blocked flows
def test_l9_flow_that_waits_for_nothing_is_stuck() -> None:
    async def code() -> None:
        await step("a")
        await asyncio.get_running_loop().create_future()

    fault = fault_of(started(code).end("a").go)
    assert fault.kind is FaultKind.STUCK
    assert fault.where is not None
    assert fault.where.startswith(__file__)


def test_blocked_flow_comes_due_for_other_code_ever_more_rarely() -> None:
    flow = started(never)
    fault = Fault(FaultKind.STUCK, "m")
    soonest, latest = BACKOFF
    note, waited = flow.drafts[-1].note, []
    for _ in range(40):
        draft = block(flow.machine, START, fault, "code", note)
        assert (draft.status, draft.fingerprint, draft.release, draft.waits) == (
            Status.BLOCKED,
            "code",
            True,
            frozenset(),
        )
        assert draft.due is not None
        waited.append(draft.due - START)
        note = draft.note
    assert waited[:3] == [soonest, 2 * soonest, 4 * soonest]
    assert waited[-1] == latest


def test_blocked_for_a_crash_loop_waits_for_a_person() -> None:
    draft = block(None, START, Fault(FaultKind.CRASH_LOOP, "m"), "code", None)
    assert (draft.due, draft.fingerprint) == (None, None)
    assert json.loads(draft.note or b"")["why"]["kind"] == "crash_loop"


def test_flow_that_has_ended_is_an_end_once_its_markers_are_in() -> None:
    async def code() -> None:
        for _ in range(150):
            child(detached=True)

    flow = Flow(code).begin()
    assert len(draft_of(flow).entries) == 100
    flow.apply(draft_of(flow))
    assert isinstance(flow.decide(), End)
