"""The open operations: what is asked, due, listened to and retried."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from ergon_runtime.core.entries import AttemptFailed
from ergon_runtime.core.loop import FlowTimer
from ergon_runtime.core.operations import ChildOp, OpenOperations, SignalOp, StepOp, TimerOp

FUTURE = cast("asyncio.Future[Any]", None)


def step(key: str) -> StepOp:
    return StepOp(key, key, "d", "[]", None, False, 0, FUTURE)


def timer(key: str, due: int) -> TimerOp:
    return TimerOp(key, "sleep", 0, due, True, 0, cast(FlowTimer, None))


def signal(key: str, name: str) -> SignalOp:
    return SignalOp(key, name, lambda value: True, 0, 0, FUTURE)


def failure(key: str, due: int, attempt: int = 1) -> AttemptFailed:
    return AttemptFailed(key, 0, "d", key, "[]", attempt, due, "{}", 0, 0, "w")


def opened(*ops: StepOp | TimerOp | SignalOp | ChildOp) -> OpenOperations:
    found = OpenOperations({})
    for op in ops:
        found.add(op)
    return found


def test_holds_tells_an_operation_from_a_later_one_of_its_key() -> None:
    first, second = signal("s", "go"), signal("s", "go")
    found = opened(first)
    found.remove(first)
    found.add(second)
    assert not found.holds(first)
    assert found.holds(second)
    assert (found.get("s"), found.get("other"), len(found), list(found)) == (second, None, 1, [second])


def test_take_asked_gives_each_step_once_and_only_while_open() -> None:
    gone, kept = step("gone"), step("kept")
    found = opened(gone, kept, timer("t", 5))
    found.remove(gone)
    assert found.take_asked() == [kept]
    assert found.take_asked() == []


def test_take_stops_gives_each_step_asked_to_stop_once_and_only_while_open() -> None:
    gone, kept = step("gone"), step("kept")
    found = opened(gone, kept)
    found.ask_stop(gone)
    found.ask_stop(kept)
    found.remove(gone)
    assert kept.stopping
    assert found.take_stops() == [kept]
    assert found.take_stops() == []


def test_listeners_come_first_come_first_and_leave_with_their_operation() -> None:
    first, second = signal("a", "go"), signal("b", "go")
    child = ChildOp("k", "kid", "d", "f/k", 0, 0, FUTURE)
    found = opened(first, second, child)
    assert found.listeners("signal:go") == [first, second]
    found.remove(first)
    assert found.listeners("signal:go") == [second]
    found.remove(second)
    found.remove(child)
    assert found.listeners("signal:go") == []


def test_waits_are_those_that_changed_since_the_store_was_told() -> None:
    go, child = signal("a", "go"), ChildOp("k", "kid", "d", "f/k", 0, 0, FUTURE)
    found = opened(go, child)
    assert found.waits() == ({"signal:go", "child:f/k"}, frozenset())
    found.tell(*found.waits())
    assert found.waits() == (frozenset(), frozenset())
    found.remove(go)
    found.add(signal("b", "stop"))
    assert found.waits() == ({"signal:stop"}, {"signal:go"})


def test_wait_begun_and_dropped_between_two_commits_is_never_told() -> None:
    go = signal("a", "go")
    found = opened(go)
    found.remove(go)
    assert found.waits() == (frozenset(), frozenset())


def test_wait_that_a_commit_serves_is_dropped_or_begins_anew() -> None:
    found = opened(signal("a", "go"), signal("b", "stop"), signal("c", "stop"))
    found.tell(*found.waits())
    assert found.waits({"signal:go", "signal:stop"}) == ({"signal:stop"}, {"signal:go"})


def test_waits_are_all_when_it_is_not_known_what_the_store_was_told() -> None:
    go, found = signal("a", "go"), OpenOperations({}, None)
    found.add(go)
    found.add(signal("b", "stop"))
    assert found.waits({"signal:go"}) == ({"signal:stop"}, None)
    found.tell({"signal:stop"}, None)
    found.remove(go)
    assert found.waits() == (frozenset(), frozenset())


def test_due_is_that_of_the_earliest_open_timer_or_retry() -> None:
    early, late = timer("early", 5), timer("late", 9)
    found = opened(late, early, step("s"))
    assert found.due() == 5
    found.remove(early)
    found.add_failure(failure("s", 7))
    assert found.due() == 7
    found.remove(cast(StepOp, found.get("s")))
    assert found.due() == 9
    found.remove(late)
    assert found.due() is None


def test_timers_due_come_earliest_first_ties_as_asked_and_stay_open() -> None:
    ops = [timer("c", 5), timer("b", 3), timer("a", 5), timer("d", 6)]
    found = opened(*ops)
    for _ in range(2):
        assert [op.key for op in found.timers_due(5, 10)] == ["b", "c", "a"]
    assert [op.key for op in found.timers_due(5, 2)] == ["b", "c"]
    assert found.timers_due(2, 10) == []


def test_retry_is_taken_when_due_and_once() -> None:
    found = opened(step("s"))
    found.add_failure(failure("s", 7))
    assert found.take_retries(6) == []
    assert [op.key for op in found.take_retries(7)] == ["s"]
    assert found.take_retries(7) == []


def test_retry_put_off_by_a_later_failure_waits_for_that() -> None:
    found = opened(step("s"))
    found.add_failure(failure("s", 7))
    found.add_failure(failure("s", 20, attempt=2))
    assert found.take_retries(10) == []
    assert found.due() == 20
    assert [op.key for op in found.take_retries(20)] == ["s"]


def test_failures_of_a_loaded_journal_are_due_once_their_step_is_asked_for() -> None:
    found = OpenOperations({"s": failure("s", 7)})
    assert found.failures["s"].attempt == 1
    found.add(step("s"))
    assert found.due() == 7
    assert [op.key for op in found.take_retries(7)] == ["s"]
