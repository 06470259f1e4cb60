"""The raw journal for people: one event for each row, in words, whatever the row is."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args

import pytest

from ergon_runtime.core.entries import (
    Adopted,
    CancelReceived,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Forked,
    Patched,
    Retried,
    SignalReceived,
    StepBegun,
    StepStopped,
    TimerFired,
    pack,
)
from ergon_runtime.core.flows import Status
from ergon_runtime.view import EventReader, EventView, events
from tests.runtime.views import START, STARTED, Scene, ended, error, run, tried

AT = "2023-11-14T22:13:20.000Z"
RETRIED = Retried("", START, 2, 2, 1, True, START, error("OSError", "no\n  luck"))
WORDS: list[tuple[Entry, str | None, str]] = [
    (STARTED, None, "began, Python 3.11"),
    (ended("pay"), "pay", "completed: 1 (on w1)"),
    (ended("pay", '{"a":"é"}', attempts=3), "pay", 'completed after 3 tries: {"a": "é"} (on w1)'),
    (ended("pay", None, error("OSError", "two\nlines")), "pay", "failed: OSError: two lines (on w1)"),
    (dataclasses.replace(ended("pay", None, error()), unknown=True), "pay", "failed, the outcome is unknown: "),
    (tried("pay", 1, START), "pay", f"try 1 failed: OSError: busy (on w1), try 2 due {AT}"),
    (
        StepStopped("pay", START, "d", "pay", "{}", 1, None, "w1"),
        "pay",
        "stopped: the flow no longer waited for it (on w1)",
    ),
    (StepBegun("pay", START, "d", "pay"), "pay", "begins, at most once"),
    (TimerFired("sleep", START, "d", "sleep", True, START, START), "sleep", f"sleep is over, due {AT}"),
    (TimerFired("0/t", START, "d", "t", False, START, START), "0/t", f"time is up, due {AT}"),
    (SignalReceived("go#2", START, "d", "go", "m1", "null"), "go#2", "signal go received: null"),
    (ChildCreated("c", START, "d", "a/c", "ship", None, "{}", True), "c", "child a/c of ship created, detached"),
    (ChildEnded("c", START, "d", "m", "a/c", Status.COMPLETED, "7", None), "c", "child a/c completed: 7"),
    (ChildEnded("c", START, "d", "m", "a/c", Status.FAILED, None, error()), "c", "child a/c failed: ValueError: no"),
    (ChildEnded("c", START, "d", "m", "a/c", Status.CANCELLED, None, None), "c", "child a/c cancelled"),
    (ChildCancelled("c", START, "a/c"), "c", "child a/c is cancelled"),
    (CancelReceived("", START, "m", True), "cancel", "asked to cancel, before this life began"),
    (Patched("mail first", START), "mail first", "takes the changed code"),
    (RETRIED, "retried~2", f"attempt 2 begin at {AT}: OSError: no luck"),
    (Retried("", START, 2, 2, 2, False, START, None, True, 3), "retried~2", "an operator lets attempt 2 begin"),
    (Continued("", START, 2, 2, '{"n":2}'), "continued~2", 'begins anew: {"n": 2}'),
    (Adopted("", START, 2, 1, 1), "adopted~2", "changed code takes over"),
    (Forked("", START, 2, 1, "A-17", 4), "forked~2", "forked from A-17 before its entry 4"),
]


@pytest.mark.parametrize(("entry", "step", "words"), WORDS, ids=[f"{entry.kind}-{text}" for entry, _, text in WORDS])
def test_event_of_each_kind_says_what_happened_and_to_which_step(entry: Entry, step: str | None, words: str) -> None:
    event = EventReader().take(pack(entry, 3))
    assert event.text.startswith(words)
    assert (event.seq, event.commit, event.kind, event.at, event.step) == (0, 3, entry.kind, entry.at, step)


def test_words_are_known_for_every_kind_of_entry() -> None:
    classes = {cls for group in get_args(Entry) for cls in (get_args(group) or (group,))}
    assert {type(entry) for entry, _, _ in WORDS} == classes


def taken(*entries: Entry | bytes) -> list[EventView]:
    reader = EventReader()
    return [reader.take(each if isinstance(each, bytes) else pack(each, 1)) for each in entries]


def test_events_after_a_life_marker_belong_to_the_next_life() -> None:
    cancel = CancelReceived("", START, "m")
    found = taken(STARTED, ended("pay"), cancel, RETRIED, ended("pay"), cancel)
    assert [(event.life, event.step) for event in found] == [
        (1, None),
        (1, "pay"),
        (1, "cancel"),
        (2, "retried~2"),
        (2, "pay~2"),
        (2, "cancel#2~2"),
    ]


@pytest.mark.parametrize("row", [b"\xff", b"[]", b'["new",1,2]', b"[" * 100_000])
def test_row_that_cannot_be_read_is_an_event_and_the_rest_goes_on(row: bytes) -> None:
    broken, after = taken(row, ended("pay"))
    assert (broken.kind, broken.seq, broken.step, broken.commit, broken.at) == ("unreadable", 0, "#0", None, None)
    assert broken.text.startswith("journal entry 0 cannot be read: ")
    assert (after.seq, after.kind) == (1, "step")


def test_event_as_json_has_the_entry_with_values_errors_and_times_readable() -> None:
    found = json.loads(json.dumps(taken(tried("pay", 1, START))[0].to_json()))
    assert " ".join(found) == "seq commit at life kind key step text data"
    data = found["data"]
    assert (data["args"], data["due"], data["attempt"], data["worker"]) == ({"n": 1}, AT, 1, "w1")
    assert data["error"] == {"type": "OSError", "message": "busy", "traceback": "OSError: busy\n"}


def test_events_are_read_in_pages_and_later_from_where_the_reader_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PAGE", 2)

    async def scenario(scene: Scene) -> None:
        await scene.place("a", Status.WAITING, [STARTED, *(ended(f"s{n}") for n in range(4))])
        row, reader = await scene.row("a"), EventReader()
        first = [event.seq async for event in reader.read(scene.store, dataclasses.replace(row, length=3))]
        rest = [event.seq async for event in reader.read(scene.store, row)]
        assert (first, rest) == ([0, 1, 2], [3, 4])
        assert [event async for event in reader.read(scene.store, row)] == []

    run(scenario(Scene()))


def test_events_of_a_flow_that_is_gone_come_to_an_end() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.place("a", Status.WAITING, [STARTED])
        row = dataclasses.replace(await scene.row("a"), length=9)
        assert [event.kind async for event in EventReader().read(scene.store, row)] == ["started"]

    run(scenario(Scene()))
