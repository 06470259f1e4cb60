"""What flow code asks for: steps that are cancelled (T3) or begun once (T5), signals, children (K1, K4), timers."""

from __future__ import annotations

import asyncio
import json

import pytest

from ergon_runtime.core import asking
from ergon_runtime.core.entries import ChildCreated
from ergon_runtime.core.faults import FaultKind
from tests.core.asks import ChildFailed, StepUnknown, child, here, invoke, signal, step, value_of
from tests.core.driver import Fails, Flow, fault_of, replayed, started


# --- T3
async def cancels_in_the_same_turn() -> str:
    await step("before")
    task = asyncio.create_task(step("never"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else "done"


def test_t3_step_cancelled_in_the_turn_that_asked_never_starts() -> None:
    flow = Flow(cancels_in_the_same_turn).play()
    assert flow.result == "cancelled"
    assert flow.keys() == ["before"]


async def cancels_in_a_later_turn() -> list[object]:
    task = asyncio.create_task(step("slow"))
    await step("fast")
    task.cancel()
    await asyncio.wait([task])
    return [task.cancelled(), here().now - here().history.origin]


def test_t3_step_cancelled_later_is_asked_to_stop_and_its_end_is_awaited() -> None:
    flow = started(cancels_in_a_later_turn).end("fast").go()
    assert flow.outcome is None
    op = flow.running["1/slow"]
    assert op.stopping
    flow.wait(30)
    assert flow.outcome is None
    flow.stop("1/slow").go()
    assert flow.keys() == ["fast", "1/slow"]
    assert flow.kinds()[-1] == "stopped"
    assert flow.result == [True, 30]


@pytest.mark.parametrize("how", ["value", "error"])
def test_t3_result_of_a_step_asked_to_stop_is_recorded_and_the_wait_still_cancelled(how: str) -> None:
    flow = started(cancels_in_a_later_turn).end("fast").go()
    (flow.end if how == "value" else flow.fail)("1/slow")
    flow.go()
    assert flow.kinds() == ["started", "step", "step"]
    assert flow.result == [True, 0]
    assert replayed(cancels_in_a_later_turn, flow.journal, ended=True).delivered == flow.delivered


def test_t3_step_that_had_not_begun_gets_a_stop_all_the_same() -> None:
    flow = started(cancels_in_a_later_turn).try_failed("1/slow", again=1000).end("fast").go()
    assert flow.kinds() == ["started", "attempt", "step", "stopped"]
    assert flow.result == [True, 0]


def test_t3_further_cancels_do_not_shorten_the_wait() -> None:
    async def code() -> object:
        task = asyncio.create_task(step("slow"))
        for name in ("a", "b"):
            await step(name)
            task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    flow = started(code).end("a").go().end("b").go()
    assert flow.outcome is None
    assert flow.stop("1/slow").go().result is True


def test_t3_step_asked_to_stop_is_not_started_again_after_a_crash() -> None:
    flow = started(cancels_in_a_later_turn).end("fast").go().load()
    flow.go()
    assert flow.running == {}
    assert flow.kinds() == ["started", "step", "stopped"]


def test_t3_result_after_a_stop_is_recorded_and_skipped() -> None:
    async def code() -> None:
        await cancels_in_a_later_turn()
        await step("after")

    flow = started(code).end("fast").go()
    late = flow.running["1/slow"]
    flow.stop("1/slow").go()
    flow.running["1/slow"] = late
    flow.end("1/slow").go()
    assert flow.kinds() == ["started", "step", "stopped", "step"]
    flow.end("after").go()
    assert flow.delivered[2][:2] == ("skip", "1/slow")
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_t3_stop_that_the_code_no_longer_asks_for_is_divergence() -> None:
    async def changed() -> None:
        task = asyncio.create_task(step("slow"))
        await step("fast")
        await task

    journal = started(cancels_in_a_later_turn).end("fast").go().stop("1/slow").go().journal
    fault = fault_of(Flow(changed, journal).begin)
    assert (fault.kind, fault.key) == (FaultKind.DIVERGED, "1/slow")


# --- T5
async def once() -> object:
    try:
        return await step("pay", 5, once=True)
    except StepUnknown:
        return "unknown"


def test_t5_start_is_recorded_in_a_commit_before_the_end() -> None:
    flow = Flow(once).play()
    assert flow.kinds() == ["started", "begun", "step"]
    assert [draft.entries[-1].kind for draft in flow.drafts if draft.entries] == ["begun", "step"]
    assert flow.result == "did pay"


def test_t5_crash_after_the_start_makes_the_outcome_unknown() -> None:
    flow = started(once)
    assert flow.kinds() == ["started", "begun"]
    flow.load().go()
    assert flow.result == "unknown"
    assert flow.running == {}
    assert replayed(once, flow.journal, ended=True).delivered == flow.delivered


def test_t5_crash_before_the_start_was_recorded_runs_it() -> None:
    flow = Flow(once).begin()
    flow.decide()
    assert [marker.kind for marker in flow.machine.markers] == ["started", "begun"]
    assert flow.load().play().result == "did pay"


def test_t5_start_with_other_arguments_is_divergence() -> None:
    async def changed() -> None:
        await step("pay", 6, once=True)

    fault = fault_of(Flow(changed, started(once).journal).begin)
    assert (fault.kind, fault.key) == (FaultKind.DIVERGED, "pay")


# --- signals
def test_signal_gives_messages_first_in_first_out() -> None:
    async def code() -> list[object]:
        return [await signal("go"), await signal("go")]

    assert started(code).signal("go", 1).signal("other", 2).signal("go", 3).go().result == [1, 3]


def test_signal_cancelled_in_its_wait_leaves_the_message_for_the_next() -> None:
    async def code() -> object:
        task = asyncio.create_task(signal("go"))
        await step("a")
        task.cancel()
        await asyncio.wait([task])
        return await signal("go")

    flow = started(code).end("a").go().signal("go", 1).go()
    assert flow.result == 1
    assert flow.keys("signal") == ["go"]


def test_signal_waits_of_one_name_are_served_in_the_order_of_asking() -> None:
    async def code() -> object:
        return await asyncio.gather(signal("go"), signal("go"))

    assert started(code).signal("go", "first").signal("go", "second").go().result == ["first", "second"]


# --- K1
def test_k1_child_id_is_parent_slash_key() -> None:
    async def code() -> None:
        await asyncio.gather(invoke(), invoke("other"))
        child()
        child()

    assert Flow(code).play().created == ["f/1/kid", "f/2/other", "f/kid", "f/kid#2"]


def test_k1_child_id_carries_the_life_from_the_second_on() -> None:
    async def code() -> None:
        child()
        await step("bad")

    flow = Flow(code, answer=lambda key, n: Fails(), retries=2).play()
    assert flow.created == ["f/kid", "f/kid~2", "f/kid~3"]


def test_k1_creation_is_marked_at_the_call_though_never_awaited() -> None:
    async def code() -> None:
        child("kid", 7)
        await signal("never")

    flow = started(code)
    assert flow.kinds() == ["started", "created"]
    assert [(new.id, new.type, new.args) for draft in flow.drafts for new in draft.creates] == [("f/kid", "kid", b"7")]
    assert flow.load().go().kinds() == ["started", "created"]


def test_k1_child_with_other_arguments_is_divergence_naming_both() -> None:
    async def code(arg: int = 1) -> None:
        child("kid", [arg])
        await signal("never")

    async def changed() -> None:
        await code(2)

    fault = fault_of(Flow(changed, started(code).journal).begin)
    assert (fault.kind, fault.key, fault.recorded, fault.current) == (
        FaultKind.DIVERGED,
        "kid",
        "child kid(1)",
        ("child kid(2)",),
    )


def test_child_that_failed_raises_in_the_one_who_awaits() -> None:
    async def code() -> str:
        try:
            await invoke()
        except ChildFailed as error:
            return str(error)
        return "lost"

    assert Flow(code, answer=lambda key, n: Fails()).play().result == "failed"


def test_child_is_listened_to_only_while_awaited() -> None:
    async def code() -> None:
        kid = child()
        await step("a")
        await kid.end()

    flow = started(code)
    assert flow.drafts[-1].waits == frozenset()
    assert flow.end("a").go().drafts[-1].waits == {"child:f/kid"}
    assert flow.child_end("f/kid", 1).go().outcome is not None


# --- K4
def abandoning(detached: bool) -> Flow:
    async def code() -> None:
        kid = child("kid", detached=detached)
        try:
            async with asyncio.timeout(1):
                await kid.end()
        except TimeoutError:
            await signal("never")

    return started(code).wait(1000)


def test_k4_cancelling_the_await_of_a_child_cancels_it_in_the_markers_commit() -> None:
    flow = abandoning(detached=False)
    assert flow.kinds() == ["started", "created", "timer", "child_cancelled"]
    sends = [(send.to, send.message.channel) for draft in flow.drafts for send in draft.sends]
    assert sends == [("f/kid", "cancel")]
    assert flow.drafts[-1].sends
    assert flow.drafts[-1].entries[0].kind == "child_cancelled"


def test_k4_detached_child_is_left_alone() -> None:
    flow = abandoning(detached=True)
    assert flow.kinds() == ["started", "created", "timer"]
    assert not any(draft.sends for draft in flow.drafts)


def test_k4_child_is_cancelled_only_when_its_last_waiter_is() -> None:
    async def code() -> None:
        kid = child()
        waiters = [asyncio.create_task(kid.end()) for _ in range(2)]
        for waiter, name in zip(waiters, "ab", strict=True):
            await step(name)
            waiter.cancel()
            await asyncio.wait([waiter])
        await signal("never")

    flow = started(code).end("a").go()
    assert "child_cancelled" not in flow.kinds()
    assert flow.end("b").go().kinds()[-1] == "child_cancelled"


def test_k4_child_remembered_from_an_earlier_life_is_not_cancelled_with_its_await() -> None:
    """No child of this life was created, so there is nobody to cancel."""

    async def code() -> None:
        await invoke()
        await step("bad")

    async def changed() -> None:
        task = asyncio.create_task(invoke_kid())
        await asyncio.sleep(0)
        task.cancel()
        await signal("never")

    requests: list[asking.ChildRequest] = []

    async def invoke_kid() -> None:
        await requests[0].end()

    async def second() -> None:
        requests.append(child())
        await changed()

    first = Flow(code, answer=lambda key, n: Fails() if key == "bad" else key, retries=1)
    while first.machine.life == 1:
        first.play(len(first.drafts) + 1)
    flow = started(second, journal=first.journal)
    assert not any(draft.sends for draft in flow.drafts)


def test_child_end_skipped_between_two_awaits_is_given_to_the_later_one() -> None:
    """Its message is consumed with the entry; nothing else would ever end the second await."""

    async def code() -> list[object]:
        kids = [child(name, detached=True) for name in ("a", "b")]
        tasks = [asyncio.create_task(kid.end()) for kid in kids]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await step("work")
        return [len(done), *[value_of(await kid.end()) for kid in kids]]

    flow = started(code).child_end("f/a", 1).child_end("f/b", 2).go().end("work").go()
    assert flow.result == [1, 1, 2]
    assert [how for how, _, _ in flow.delivered] == ["child", "skip", "step"]
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


# --- timers and machine_here
def test_timer_has_a_name_of_its_own_and_its_cancel_drops_it() -> None:
    async def code() -> None:
        machine = here()
        await asking.timer(machine, "nap", machine.time() + 1)
        task = asyncio.create_task(asking.timer(machine, "nap", machine.time() + 1))
        await step("a")
        task.cancel()
        await signal("never")

    flow = started(code).wait(1000)
    assert flow.keys("timer") == ["nap"]
    assert flow.machine.open.due() is not None
    flow.end("a").go()
    assert flow.machine.open.due() is None


def test_machine_here_outside_flow_code_is_none() -> None:
    async def main() -> bool:
        return asking.machine_here() is None

    assert asking.machine_here() is None
    assert asyncio.run(main())


def test_created_entry_repeats_what_was_asked() -> None:
    async def code() -> None:
        child("kid", {"a": 1}, detached=True)
        await signal("never")

    (entry,) = [r.entry for r in started(code).journal if isinstance(r.entry, ChildCreated)]
    assert (entry.child, entry.type, json.loads(entry.args), entry.detached) == ("f/kid", "kid", {"a": 1}, True)
