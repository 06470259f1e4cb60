"""Lives and the memo pool: retries and continuing as new (M1 to M5), seen through journals and through flows."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ergon_runtime.core.entries import (
    AttemptFailed,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Patched,
    Recorded,
    Retried,
    SignalReceived,
    Started,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.flows import Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ContinueAsNew
from ergon_runtime.core.operations import TimerOp
from tests.core.asks import StepFailed, StepUnknown, child, here, invoke, loop_here, signal, step, value_of
from tests.core.driver import START, Fails, Flow, replayed, started

GOOD = StepEnded("a", 1, "d", "a", "[]", "1", None, 1, 1, 1, "w")
BEGIN = Started("", 0, "seed", None, 1, "3")
AGAIN = Retried("", 50, 2, 2, 1, keep=True, due=60)
BEGUN = StepBegun("a", 1, "d", "a")


def history(*entries: Entry) -> History:
    return History([Recorded(n, n + 1, entry) for n, entry in enumerate(entries)], started=10)


# --- M1
def test_m1_fresh_journal_is_the_first_life() -> None:
    found = history()
    assert (found.life, found.attempt, found.epoch, found.begins, found.origin) == (1, 1, 1, 10, 10)
    assert found.empty


def test_m1_what_lies_before_the_last_marker_is_the_pool_and_the_rest_is_strict() -> None:
    later = replace(GOOD, key="b")
    found = history(BEGIN, GOOD, AGAIN, later)
    assert [record.entry for record in found.pool.values()] == [GOOD]
    assert [record.entry for record in found.strict] == [later]
    assert (found.life, found.attempt, found.begins) == (2, 2, 60)
    assert (found.length, found.commits, found.last_commit) == (4, 4, 4)


def test_m1_pool_keeps_a_success_while_the_key_runs_with_other_arguments() -> None:
    other = replace(GOOD, digest="other")
    found = history(BEGIN, GOOD, AGAIN, other, replace(AGAIN, life=3))
    assert [record.entry for record in found.pool.values()] == [GOOD, other]


def test_m1_pool_keeps_the_latest_success_of_a_key() -> None:
    latest = replace(GOOD, value="2")
    found = history(BEGIN, GOOD, AGAIN, latest, replace(AGAIN, life=3))
    assert [record.entry for record in found.pool.values()] == [latest]


def test_m1_markers_and_failed_tries_belong_to_their_life() -> None:
    failed = AttemptFailed("a", 1, "d", "a", "[]", 1, 9, "{}", 1, 1, "w")
    found = history(BEGIN, failed, Patched("p", 1), AGAIN)
    assert (found.failures, found.marks) == ({}, {})
    found = history(BEGIN, failed, Patched("p", 1))
    assert (list(found.failures), list(found.marks)) == (["a"], [("patched", "p")])


def test_m1_continued_forgets_all_and_has_new_arguments() -> None:
    found = history(BEGIN, GOOD, BEGUN, Continued("", 70, 2, 2, '{"n":1}'))
    assert (found.pool, found.open_starts, found.args) == ({}, set(), '{"n":1}')
    assert (found.life, found.attempt, found.epoch, found.begins, found.origin) == (2, 1, 2, 70, 70)


def test_m1_journal_read_from_its_base_is_the_same_life() -> None:
    marker = Continued("", 70, 2, 2, "{}")
    whole, based = history(BEGIN, GOOD, marker), history(marker)
    assert (based.life, based.epoch, based.args, based.origin) == (whole.life, whole.epoch, whole.args, whole.origin)


def test_last_commit_counts_no_started() -> None:
    assert history(BEGIN).last_commit == 0
    assert history(BEGIN, GOOD).last_commit == 2


# --- M3
@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (GOOD, True),
        (replace(GOOD, value=None, error="{}"), False),
        (StepStopped("a", 1, "d", "a", "[]", 1, 1, "w"), False),
        (ChildEnded("a", 1, "d", "m", "f/a", Status.COMPLETED, "1", None), True),
        (ChildEnded("a", 1, "d", "m", "f/a", Status.FAILED, None, "{}"), False),
        (ChildEnded("a", 1, "d", "m", "f/a", Status.CANCELLED, None, None), False),
        (SignalReceived("a", 1, "", "a", "m", "1"), True),
        (TimerFired("a", 1, "", "sleep", True, 0, 1), True),
        (TimerFired("a", 1, "", "timeout", False, 0, 1), False),
    ],
)
def test_m3_pool_holds_successes_only(entry: Entry, kept: bool) -> None:
    assert bool(history(BEGIN, entry, AGAIN).pool) is kept


def test_m3_detached_children_that_have_not_failed_are_attached() -> None:
    created = ChildCreated("a", 1, "d", "f/a", "a", None, "[]", detached=True)
    failed = ChildEnded("a", 1, "d", "m", "f/a", Status.FAILED, None, "{}")
    assert list(history(BEGIN, created, AGAIN).attached.values()) == [created]
    assert history(BEGIN, replace(created, detached=False), AGAIN).attached == {}
    assert history(BEGIN, created, failed, AGAIN).attached == {}


# --- M5, T5
def test_m5_retry_that_keeps_nothing_begins_an_epoch_with_an_empty_pool() -> None:
    found = history(BEGIN, GOOD, BEGUN, replace(AGAIN, keep=False, epoch=2))
    assert (found.pool, found.open_starts, found.epoch, found.origin) == ({}, set(), 2, 60)


@pytest.mark.parametrize(
    ("entry", "still_open"),
    [
        (GOOD, False),
        (replace(GOOD, value=None, error="{}"), False),
        (replace(GOOD, value=None, error="{}", unknown=True), True),
        (StepStopped("a", 1, "d", "a", "[]", 1, 1, "w"), True),
    ],
)
def test_t5_only_the_bodys_own_end_closes_a_start(entry: Entry, still_open: bool) -> None:
    assert (("a", "d") in history(BEGIN, BEGUN, entry, AGAIN).open_starts) is still_open


def test_t5_open_start_survives_a_flow_retry() -> None:
    async def code() -> object:
        try:
            return await step("pay", once=True)
        except StepUnknown:
            if here().attempt == 1:
                raise
            return "unknown again"

    flow = started(code, retries=1).load().go()
    assert flow.kinds() == ["started", "begun", "step", "retried", "step"]
    assert flow.result == "unknown again"
    assert flow.running == {}


# --- flows that are retried
class Twice:
    """Flow code that fails in its first life, and what it saw."""

    def __init__(self, *, keep: bool = True) -> None:
        self.asked: list[str] = []
        self.flow = Flow(self.code, answer=self.answer, retries=1, keep=keep)

    def answer(self, key: str, attempt: int) -> object:
        self.asked.append(key)
        return Fails() if key == "bad" and self.flow.machine.life == 1 else f"{key} in life {self.flow.machine.life}"

    async def code(self) -> object:
        found = await asyncio.gather(step("a"), step("b"))
        return [*found, await step("bad")]


def test_m2_retry_takes_successes_from_the_pool_lowest_sequence_first() -> None:
    twice = Twice()
    twice.flow.latency = lambda key: 5 if key == "2/b" else 10
    flow = twice.flow.play()
    assert flow.result == ["1/a in life 1", "2/b in life 1", "bad in life 2"]
    assert twice.asked == ["2/b", "1/a", "bad", "bad"]
    assert [(how, key) for how, key, _ in flow.delivered] == [("pool", "2/b"), ("pool", "1/a"), ("step", "bad")]
    assert replayed(twice.code, flow.journal, ended=True).delivered == flow.delivered


def test_m5_retry_without_keep_runs_all_again() -> None:
    twice = Twice(keep=False)
    assert twice.flow.play().result == ["1/a in life 2", "2/b in life 2", "bad in life 2"]
    assert twice.flow.machine.epoch == 2


def test_m2_success_with_another_digest_is_not_taken() -> None:
    async def code() -> object:
        value = await step("a", here().life)
        await step("bad")
        return value

    flow = Flow(code, retries=1)
    flow.answer = lambda key, n: Fails() if key == "bad" and flow.machine.life == 1 else flow.machine.life
    assert flow.play().result == 2
    assert [how for how, _, _ in flow.delivered] == ["step", "step"]


def test_m2_pool_is_asked_before_the_strict_entries() -> None:
    async def code() -> object:
        if here().life == 1:
            await step("kept")
            raise StepFailed
        task = asyncio.create_task(step("x"))
        await step("y")
        kept = await step("kept")
        return [kept, await task]

    flow = started(code, retries=1).end("kept").go().end("y").end("1/x").go()
    assert [(how, key) for how, key, _ in flow.delivered] == [("step", "y"), ("pool", "kept"), ("step", "1/x")]
    assert len(flow.drafts[-2].entries) == 2  # y and x came in one commit
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_m2_remembered_operation_abandoned_before_its_turn_stays_in_the_pool_unused() -> None:
    async def code() -> object:
        if here().life == 1:
            await asyncio.gather(step("a"), step("b"))
            raise StepFailed
        tasks = [asyncio.create_task(step(name)) for name in "ab"]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.wait(tasks)
        return [len(done), *[task.cancelled() for task in tasks]]

    flow = Flow(code, retries=1).play()
    assert flow.result == [1, False, True]
    assert replayed(code, flow.journal, ended=True).delivered == flow.delivered


def test_m3_child_that_completed_is_remembered_and_not_created_again() -> None:
    async def code() -> object:
        value = await invoke()
        if here().life == 1:
            raise StepFailed
        return value

    flow = Flow(code, retries=1).play()
    assert flow.created == ["f/kid"]
    assert flow.result == "did f/kid"


def test_m3_detached_child_still_running_is_attached_to() -> None:
    async def code() -> object:
        kid = child(detached=True)
        if here().life == 1:
            await step("a")
            raise StepFailed
        return [kid.id, value_of(await kid.end())]

    flow = Flow(code, retries=1, latency=lambda key: 5000 if key == "f/kid" else 1).play()
    assert flow.created == ["f/kid"]
    assert flow.result == ["f/kid", "did f/kid"]


def test_m3_timeout_that_fired_is_not_remembered() -> None:
    async def code() -> object:
        async with asyncio.timeout(1):
            return await step("slow" if here().life == 1 else "fast")

    flow = Flow(code, retries=1, latency=lambda key: {"slow": 5000}.get(key, 10)).play()
    assert flow.result == "did fast"


# --- M4
def test_m4_time_of_a_retried_flow_begins_at_the_epochs_start_and_follows_the_pool() -> None:
    async def code() -> object:
        times = [loop_here().time()]
        await step("a")
        times.append(loop_here().time())
        if here().life == 1:
            raise StepFailed
        return [round(1000 * time) - START for time in times]

    assert Flow(code, retries=1, latency=lambda key: 40).play().result == [0, 40]


def test_m4_timer_of_a_retried_flow_runs_from_the_lifes_start() -> None:
    async def code() -> None:
        await step("a")
        if here().life == 1:
            raise StepFailed
        await asyncio.sleep(3)

    flow = Flow(code, retries=1, latency=lambda key: 40).play(stop=4)
    begins = flow.machine.begins
    assert begins == START + 40 + 1000
    assert flow.machine.open.due() == begins + 3000
    (timer,) = flow.machine.open
    assert isinstance(timer, TimerOp)
    assert timer.asked == begins, "what people are shown is not before the life"


def test_m4_entries_of_a_life_are_never_earlier_than_its_beginning() -> None:
    flow = Twice().flow
    while flow.machine.life == 1 or not flow.running:
        flow.play(len(flow.drafts) + 1)
    flow.clock -= 500  # another worker's clock, after a delay that was waited out
    flow.end("bad").go()
    times = [record.entry.at for record in flow.journal]
    assert times == sorted(times)
    assert times[-1] == flow.machine.begins


# --- continue as new
def test_continue_as_new_begins_with_the_new_arguments_and_nothing_else() -> None:
    lives: list[object] = []

    async def code() -> str:
        machine = here()
        value = await step("a")
        lives.append([machine.life, machine.epoch, machine.args, value, machine.random().random()])
        child()
        if machine.life < 3:
            raise ContinueAsNew(f"[{machine.life}]")
        return "done"

    flow = Flow(code).play()
    assert flow.result == "done"
    assert [life[:4] for life in lives] == [
        [
            1,
            1,
            "null",
            "did a",
        ],
        [2, 2, "[1]", "did a"],
        [3, 3, "[2]", "did a"],
    ]
    assert len({life[4] for life in lives}) == 3  # E5: randomness is the epoch's
    assert flow.created == ["f/kid", "f/kid~2", "f/kid~3"]
    assert flow.keys("step") == ["a"] * 3
    assert replayed(code, flow.journal[flow.base :]).machine.args == "[2]"


def test_e5_randomness_of_a_retry_is_that_of_its_epoch() -> None:
    drawn: list[float] = []

    async def code() -> None:
        drawn.append(here().random().random())
        raise StepFailed

    Flow(code, retries=1).play()
    Flow(code, retries=1, keep=False).play()
    assert drawn[0] == drawn[1] == drawn[2] != drawn[3]


def test_signal_of_an_earlier_life_is_remembered() -> None:
    async def code() -> object:
        value = await signal("go")
        if here().life == 1:
            raise StepFailed
        return value

    assert started(code, retries=1).signal("go", 7).go().result == 7
