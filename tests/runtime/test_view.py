"""The read model: steps from entries, and the JSON that other programs rely on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ergon_runtime.core.entries import (
    CancelReceived,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Outcome,
    Patched,
    Retried,
    SignalReceived,
    StepBegun,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.flows import Status
from ergon_runtime.view import FlowView, iso
from tests.runtime.views import START, STARTED, Scene, beating, ended, error, run, tried, waits


def view_of(entries: list[Entry | bytes], status: Status = Status.RUNNING, **given: Any) -> FlowView:
    async def scenario(scene: Scene) -> FlowView:
        scene.now = given.pop("now", START)
        outcome = Outcome(status) if status.ended else None
        await scene.place("a", status, entries, outcome=outcome, **given)
        return await scene.view("a")

    return run(scenario(Scene()))


def rows(view: FlowView) -> list[tuple[str, str, str]]:
    return [(step.key, step.kind, step.status) for step in view.steps]


def test_step_with_tries_becomes_one_step() -> None:
    (step,) = view_of([STARTED, tried("pay", 1, 0), tried("pay", 2, 0), ended("pay", attempts=3)]).steps
    assert (step.key, step.kind, step.status, step.attempts) == ("pay", "step", "completed", 3)
    assert [(each.n, each.worker, each.error and each.error.message) for each in step.tries] == [
        (1, "w1", "busy"),
        (2, "w1", "busy"),
        (3, "w1", None),
    ]
    assert (step.args, step.result, step.error) == ({"n": 1}, 1, None)
    assert (step.started_at, step.finished_at) == (START + 5, START + 30)


def test_step_that_failed_for_good_has_its_error() -> None:
    (step,) = view_of([ended("pay", None, error("ValueError", "no money"))]).steps
    assert step.status == "failed"
    assert step.error is not None
    assert (step.error.type, step.error.message, step.error.traceback) == (
        "ValueError",
        "no money",
        "ValueError: no money\n",
    )


def test_open_retry_waits_with_its_tries_and_runs_when_due() -> None:
    entries: list[Entry | bytes] = [STARTED, tried("pay", 1, START + 20)]
    (step,) = view_of(entries).steps
    assert (step.status, step.attempts, len(step.tries), step.due) == ("waiting", 1, 1, START + 20)
    assert view_of(entries, now=START + 20).steps[0].status == "running"
    assert view_of(entries, Status.WAITING, now=START + 20, due=START + 20).steps[0].status == "waiting"
    assert rows(view_of(entries, Status.CANCELLED)) == [("pay", "step", "failed")]


def test_stopped_step_stays_failed_when_its_result_comes_late() -> None:
    stopped = StepStopped("pay", START, "d", "pay", "{}", 1, START, "w1")
    (step,) = view_of([stopped, ended("pay", "7")]).steps
    assert (step.status, step.result, step.error and step.error.type) == ("failed", 7, "CancelledError")


def test_begun_step_runs_until_the_flow_ends() -> None:
    begun = StepBegun("pay", START, "d", "pay")
    assert rows(view_of([begun])) == [("pay", "step", "running")]
    assert rows(view_of([begun], Status.CANCELLED)) == [("pay", "step", "failed")]


def test_child_is_one_step_and_listed_among_children() -> None:
    made = ChildCreated("ship", START, "d", "a/ship", "ship", None, '{"id":7}', False)
    end = ChildEnded("ship", START + 5, "d", "m", "a/ship", Status.FAILED, None, error("OSError", "lost"))
    assert rows(view_of([made])) == [("ship", "child", "running")]
    assert rows(view_of([made], Status.WAITING, waits=["child:a/ship"])) == [("ship", "child", "waiting")]
    view = view_of([made, end])
    assert view.children == ("a/ship",)
    (step,) = view.steps
    assert (step.status, step.args, step.error and step.error.message) == ("failed", {"id": 7}, "lost")


def test_detached_child_is_done_when_it_is_created() -> None:
    made = ChildCreated("ship", START, "d", "a/ship", "ship", None, "{}", True)
    assert rows(view_of([made], Status.COMPLETED)) == [("ship", "child", "completed")]


def test_timers_signals_and_markers_are_steps() -> None:
    view = view_of(
        [
            STARTED,
            Patched("new-mail", START),
            TimerFired("sleep", START + 900, "", "sleep", True, START, START + 900),
            SignalReceived("go", START + 950, "", "go", "m1", '{"ok":true}'),
            CancelReceived("cancel m2", START + 960, "m2"),
            CancelReceived("cancel m3", START + 970, "m3"),
        ]
    )
    assert rows(view) == [
        ("new-mail", "marker", "completed"),
        ("sleep", "timer", "completed"),
        ("go", "signal", "completed"),
        ("cancel", "marker", "completed"),
        ("cancel#2", "marker", "completed"),
    ]
    sleep, signal = view.steps[1:3]
    assert (sleep.started_at, sleep.finished_at) == (START, START + 900)
    assert (signal.result, signal.finished_at) == ({"ok": True}, START + 950)


def test_open_waits_are_steps_as_far_as_they_still_hold() -> None:
    note = waits(
        {"kind": "signal", "key": "1/go", "name": "go", "since": START},
        {"kind": "timer", "key": "timeout", "sleep": False, "since": START, "due": START + 900},
    )
    assert rows(view_of([STARTED], Status.WAITING, waits=["signal:go"], note=note)) == [
        ("1/go", "signal", "waiting"),
        ("timeout", "timer", "waiting"),
    ]
    assert rows(view_of([STARTED], Status.RUNNING, waits=["signal:stop"], note=note)) == [("stop", "signal", "waiting")]


def test_waits_of_an_earlier_life_are_not_shown() -> None:
    timer = {"kind": "timer", "key": "sleep", "sleep": True, "since": START, "due": START + 900}
    retried = Retried("", START, 2, 2, 1, True, START + 900, error())
    view = view_of([STARTED, retried], Status.WAITING, due=START + 900, note=waits(timer, life=1))
    assert rows(view) == [("retried~2", "marker", "completed")]


def test_later_life_gives_its_steps_keys_of_their_own() -> None:
    retried = Retried("", START, 2, 2, 1, True, START, error())
    view = view_of([STARTED, ended("a"), ended("b", None, error()), tried("c", 1, 0), retried, ended("b")])
    assert rows(view) == [
        ("a", "step", "completed"),
        ("b", "step", "failed"),
        ("c", "step", "failed"),
        ("retried~2", "marker", "completed"),
        ("b~2", "step", "completed"),
    ]
    assert view.attempt == 2


def test_retry_that_a_person_asked_for_tells_of_no_delay_and_not_when_the_attempt_ended() -> None:
    retried = Retried("", START + 9000, 2, 1, 1, True, START + 9000, error(), operator=True)
    (step,) = view_of([STARTED, retried]).steps
    assert (step.args, step.due, step.error and step.error.type) == ({"operator": True}, None, "ValueError")
    assert [(each.started_at, each.finished_at) for each in step.tries] == [(START, None)]


def test_continued_flow_shows_the_new_arguments() -> None:
    view = view_of([STARTED, ended("a"), Continued("", START, 2, 2, '{"n":2}'), ended("a")])
    assert [(step.key, step.args) for step in view.steps[1:]] == [("continued~2", {"n": 2}), ("a~2", {"n": 1})]


@pytest.mark.parametrize("bad", [b"\xff", b'["step",1]', b'["new kind",1,"k"]', b"[" * 100_000], ids=range(4))
def test_unreadable_row_is_a_failed_marker_and_the_rest_is_shown(bad: bytes) -> None:
    view = view_of([STARTED, bad, ended("pay")])
    assert rows(view) == [("#1", "marker", "failed"), ("pay", "step", "completed")]
    assert view.steps[0].name == "unreadable"


def test_journal_longer_than_a_page_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_runtime.view.read.PAGE", 2)
    assert [step.key for step in view_of([ended(f"s{n}") for n in range(5)]).steps] == ["s0", "s1", "s2", "s3", "s4"]


# --- heartbeats
@pytest.mark.parametrize(
    ("status", "shown"), [(Status.RUNNING, "running"), (Status.PENDING, "waiting"), (Status.BLOCKED, "waiting")]
)
def test_step_of_which_there_is_nothing_but_a_heartbeat_is_shown(status: Status, shown: str) -> None:
    (step,) = view_of([STARTED], status, note=beating("1/copy#2", 1, [3])).steps
    assert (step.key, step.name, step.status, step.attempts) == ("1/copy#2", "copy", shown, 1)
    assert (step.detail, step.heartbeat_at, step.started_at) == ([3], START + 200, START + 100)
    assert [(each.worker, each.started_at, each.finished_at) for each in step.tries] == [("w1", START + 100, None)]
    assert step.to_json()["detail"] == [3]


def test_heartbeat_of_a_later_try_shows_that_this_runs() -> None:
    (step,) = view_of([STARTED, tried("copy", 1, START + 9000)], note=beating("copy", 2, 7)).steps
    assert (step.status, step.attempts, step.detail, step.due) == ("running", 2, 7, None)
    assert (len(step.tries), step.started_at) == (2, START + 5)


def test_heartbeat_of_a_failed_try_is_kept_for_the_next() -> None:
    entries: list[Entry | bytes] = [STARTED, tried("copy", 1, START + 9000)]
    (step,) = view_of(entries, Status.WAITING, due=START + 9000, note=beating("copy", 1, 7)).steps
    assert (step.status, step.attempts, step.detail, step.due) == ("waiting", 1, 7, START + 9000)


@pytest.mark.parametrize(("key", "life"), [("copy", 1), ("other", 2)], ids=["of an ended step", "of another life"])
def test_heartbeat_that_no_longer_holds_is_not_shown(key: str, life: int) -> None:
    (step,) = view_of([STARTED, ended("copy")], note=beating(key, 1, 7, life=life)).steps
    assert (step.key, step.status, step.detail) == ("copy", "completed", None)


# --- JSON
def test_attempt_of_a_flow_begins_when_the_one_before_let_it() -> None:
    first = Retried("", START + 100, 2, 2, 1, True, START + 900, error())
    second = Retried("", START + 950, 3, 3, 1, True, START + 2000, error("OSError"))
    one, two = view_of([STARTED, first, second], Status.WAITING, due=START + 2000).steps
    assert [(each.n, each.started_at, each.finished_at) for each in (*one.tries, *two.tries)] == [
        (1, START, START + 100),
        (2, START + 900, START + 950),
    ]
    assert [step.due for step in (one, two)] == [START + 900, START + 2000]


def test_flow_as_json_has_exactly_the_fields_of_the_contract() -> None:
    view = view_of([STARTED, tried("pay", 1, 0), ended("pay", attempts=2)], Status.COMPLETED)
    found = json.loads(json.dumps(view.to_json()))
    assert " ".join(found) == (
        "id flow version status why args result error parent children attempt recoveries created_at updated_at steps"
    )
    (step,) = found["steps"]
    assert " ".join(step) == "key kind name status attempts tries args result error started_at finished_at detail due"
    assert " ".join(step["tries"][0]) == "n worker started_at finished_at error"
    assert " ".join(step["tries"][0]["error"]) == "type message traceback"
    assert found["created_at"] == "2023-11-14T22:13:20.000Z"
    assert (found["args"], found["status"], found["why"], found["children"]) == ({"n": 1}, "completed", None, [])


def test_result_and_error_of_an_ended_flow_are_shown() -> None:
    async def scenario(scene: Scene) -> None:
        cause = json.loads(error("KeyError", "'x'"))
        text = json.dumps({**json.loads(error("ValueError", "bad")), "cause": cause})
        await scene.place("good", Status.COMPLETED, outcome=Outcome(Status.COMPLETED, '["r"]'))
        await scene.place("bad", Status.FAILED, outcome=Outcome(Status.FAILED, None, text))
        good, bad = await scene.view("good"), await scene.listed("bad")
        assert (good.result, good.error) == (["r"], None)
        assert bad.error is not None
        assert bad.error.traceback == "KeyError: 'x'\n\nwhich led to:\n\nValueError: bad\n"

    run(scenario(Scene()))


def test_stored_texts_that_cannot_be_read_are_shown_as_they_are() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.place("a", Status.FAILED, [ended("pay", "{", "[]")], outcome=Outcome(Status.FAILED, None, "[]"))
        view = await scene.view("a")
        assert view.error is not None
        assert view.error.type == "CodecError"
        assert view.steps[0].result == "{"

    run(scenario(Scene()))


@pytest.mark.parametrize("text", ["NaN", "[Infinity]"])
def test_values_json_has_no_word_for_are_shown_as_text(text: str) -> None:
    (step,) = view_of([ended("pay", text)]).steps
    json.dumps(step.to_json(), allow_nan=False)


@pytest.mark.parametrize(("time", "text"), [(0, "1970-01-01T00:00:00.000Z"), (10**18, "9999-12-31T23:59:59.999Z")])
def test_iso_writes_utc_milliseconds_whatever_the_number(time: int, text: str) -> None:
    assert iso(time) == text
