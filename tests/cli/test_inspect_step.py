"""`ergon inspect ID STEP`, and the views of events, values and errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ergon_cli.exits import CommandError
from ergon_cli.keys import find_step
from ergon_runtime import Status, Store
from ergon_runtime.core.entries import (
    ChildCreated,
    ChildEnded,
    Entry,
    Outcome,
    Retried,
    SignalReceived,
    TimerFired,
)
from tests.cli.screens import made
from tests.cli.shell import Shell, in_store
from tests.runtime.views import START, STARTED, Scene, beating, ended, error, tried

AT = "2023-11-14T22:13:20"
FAILED = Outcome(Status.FAILED, None, error("OSError", "busy"))


async def placed(store: Store) -> None:
    scene = Scene(store)
    child = ChildCreated("ship", START, "d", "A-17/ship", "ship", None, '{"to":"Rome"}', False)
    gone = ChildEnded("ship", START + 5, "d", "m9", "A-17/ship", Status.FAILED, None, error("OSError", "busy"))
    go = SignalReceived("go", START + 900, "d", "go", "m1", '{"ok":true}', START + 100)
    sleep = TimerFired("sleep", START + 5, "d", "sleep", True, START, START + 5)
    journal: list[Entry | bytes] = [
        STARTED,
        tried("pay", 1, START + 40),
        ended("pay", '["paid"]', attempts=2),
        go,
        sleep,
    ]
    await scene.place("A-17", Status.FAILED, [*journal, child, b"[]", gone], outcome=FAILED)
    label = [tried("print", 1, START), ended("print", None, error("OSError", "busy"), attempts=2)]
    await scene.place("A-17/ship", Status.FAILED, [STARTED, *label], parent="A-17", outcome=FAILED)
    again = Retried("", START + 50, 2, 2, 1, True, START + 60, error())
    later = [STARTED, ended("pay"), again, ended("pay"), tried("charge", 1, START + 10**15)]
    await scene.place("B-2", Status.WAITING, later, due=START + 10**15, note={"life": 2})
    await scene.place("C-3", Status.RUNNING, [STARTED], note=beating("copy", 1, {"done": 3}))
    await scene.place("pay", Status.COMPLETED, [STARTED], outcome=Outcome(Status.COMPLETED, "1"))


@pytest.fixture(autouse=True)
def store(ergon: Shell) -> None:
    in_store(placed)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """What is written is for a person, without colours."""

    def always(stream: Any) -> bool:
        return True

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("ergon_cli.screens.look.is_terminal", always)


def said(ergon: Shell) -> dict[str, str]:
    """The rows of a label and a text."""
    return {row[0]: row[1] for row in ergon.rows if len(row) == 2}


# --- one step
def test_step_is_shown_with_arguments_result_and_every_try(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "pay") == 0
    found = said(ergon)
    assert found["STEP"] == "pay  step  COMPLETED  of order A-17"
    assert found["KEY"] == "A-17:1:pay  (idempotency key)"
    assert (found["IN"], found["OUT"]) == ('{"n": 1}', '["paid"]')
    assert [row for row in ergon.rows if row[0] == "try"] == [
        ["try", "1", "failed", f"{AT}.005Z", "5ms", "w1", "OSError: busy"],
        ["try", "2", "completed", f"{AT}.015Z", "5ms", "w1", ""],
    ]
    assert [row[1:5] for row in ergon.rows if row[0] == "entry"] == [
        ["1", f"{AT}.010Z", "1", "attempt"],
        ["2", f"{AT}.020Z", "1", "step"],
    ]


def test_step_of_a_later_life_waits_for_its_next_try_and_ends_with_its_traceback(ergon: Shell) -> None:
    assert ergon("inspect", "B-2", "charge~2") == 0
    found = said(ergon)
    assert found["KEY"] == "B-2:1:charge  (idempotency key)"
    assert found["NEXT"].startswith("try 2 is due in ")
    assert found["ERROR"] == "OSError: busy"
    assert found[""].startswith("life 2  started ")
    assert ergon.out.endswith("\n\n  OSError: busy\n")


def test_signal_tells_its_message_and_since_when_it_was_waited_for(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--step", "go") == 0
    found = said(ergon)
    assert (found["MAIL"], found["OUT"]) == ("message m1", '{"ok": true}')
    assert found[""].startswith(f"asked for {AT}.100Z (+")
    assert found[""].endswith(")  took 800ms")
    assert "KEY" not in found


def test_child_tells_its_id_its_status_and_where_to_look(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--step", "shi") == 0
    found = said(ergon)
    assert (found["CHILD"], found["see:"]) == ("A-17/ship  FAILED", "ergon inspect A-17/ship")
    assert found["STEP"] == "ship  child  FAILED  of order A-17"


def test_running_step_tells_its_last_heartbeat(ergon: Shell) -> None:
    assert ergon("inspect", "C-3", "copy") == 0
    assert said(ergon)["BEAT"].endswith(' ago: {"done": 3}')


def test_step_as_json_has_the_fields_of_a_step_and_more(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "go", "--json") == 0
    (found,) = ergon.json
    assert " ".join(found).startswith("key kind name status attempts tries args result error started_at finished_at")
    assert (found["flow"], found["message"], found["idempotency_key"], found["life"]) == ("A-17", "m1", None, 1)
    assert [event["seq"] for event in found["events"]] == [3]
    assert ergon("inspect", "A-17", "ship", "--json") == 0
    assert (ergon.json[0]["child"], ergon.json[0]["child_status"]) == ("A-17/ship", "failed")
    assert ergon("inspect", "A-17", "pay", "--json") == 0
    assert ergon.json[0]["idempotency_key"] == "A-17:1:pay"


def test_values_of_a_step_are_whole_and_folded_to_the_terminal(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    long = json.dumps({"text": "a word " * 100, "numbers": list(range(100))})

    async def another(store: Store) -> None:
        await Scene(store).place("L-9", Status.WAITING, [STARTED, ended("long", long)], waits=["signal:go"])

    in_store(another)
    on_a_terminal(monkeypatch, 60)
    assert ergon("inspect", "L-9", "long") == 0
    value, _, below = ergon.out.partition("OUT   ")[2].partition("\n\nTRY")
    assert json.loads(" ".join(line.strip() for line in value.splitlines())) == json.loads(long)
    assert below
    assert max(map(len, ergon.out.splitlines())) <= 60


# --- which of both the second word means
def test_second_word_that_is_a_key_is_a_step_though_a_flow_is_called_so_too(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "pay", "--json") == 0
    assert [each["kind"] for each in ergon.json] == ["step"]


def test_second_word_that_fits_a_flow_better_than_a_step_is_a_flow(ergon: Shell) -> None:
    assert ergon("inspect", "B-2", "pa", "--json") == 0
    assert [each["id"] for each in ergon.json] == ["B-2", "pay"]


def test_second_word_that_fits_several_flows_is_no_step(ergon: Shell) -> None:
    async def another(store: Store) -> None:
        await Scene(store).place("pay-2", Status.COMPLETED, [STARTED])

    in_store(another)
    assert ergon("inspect", "B-2", "pa", "--json") == 2
    assert "'pa' fits 2 flows" in ergon.err


def test_three_words_are_flows(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "pay", "C-3", "--json") == 0
    assert [each["id"] for each in ergon.json] == ["A-17", "pay", "C-3"]


def test_second_word_that_is_neither_names_the_nearest_keys(ergon: Shell) -> None:
    assert ergon("inspect", "B-2", "charged") == 3
    assert "no flow 'charged', and no step of flow B-2\n  did you mean: charge~2" in ergon.err
    assert ergon.out.startswith("FLOW\t"), "the first is shown"


def test_step_that_is_not_there_is_exit_3_with_the_nearest_keys(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--step", "nothing") == 3
    assert ergon.err == "error: flow A-17 has no step 'nothing'\n  its steps: pay, go, sleep, ship, #6\n"


@pytest.mark.parametrize(
    "args",
    [
        ("A-17", "B-2", "--step", "pay"),
        ("A-17", "pay", "--view", "events"),
        ("A-17", "--timeout", "1s"),
        ("A-17", "B-2", "--watch"),
    ],
)
def test_options_that_do_not_go_together_are_exit_2(ergon: Shell, args: tuple[str, ...]) -> None:
    assert ergon("inspect", *args) == 2


KEYS = ["pay", "pay#2", "pay~2", "0/load", "0/load#12"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("pay", "pay"),
        ("pay#1", "pay"),
        ("pay~1", "pay"),
        ("pay#1~2", "pay~2"),
        ("pay#1~1", "pay"),
        ("~2", "pay~2"),
        ("#12", "0/load#12"),
        ("0/load", "0/load"),
        ("load", None),
        ("", None),
        ("ship", None),
    ],
)
def test_step_is_found_by_its_key_or_a_part_that_no_other_has(text: str, key: str | None) -> None:
    view = made.flow(*(made.step(each, 0, 1) for each in KEYS))
    if key is not None:
        assert find_step(view, text).key == key
    else:
        with pytest.raises(CommandError):
            find_step(view, text)


# --- the views
def test_view_of_events_has_a_row_for_each_entry_also_for_one_that_cannot_be_read(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--view", "events") == 0
    rows = [line.split("\t") for line in ergon.out.partition("\n\n")[2].splitlines()]
    kinds = ["started", "attempt", "step", "signal", "timer", "created", "unreadable", "child"]
    assert [row[3] for row in rows] == kinds
    assert rows[3] == ["3", f"{AT}.900Z", "1", "signal", "go", 'signal go received: {"ok": true}']
    assert rows[6][:3] == ["6", "", ""]
    assert ergon("inspect", "A-17", "--view", "events", "--failed") == 0
    assert [line.split("\t")[0] for line in ergon.out.partition("\n\n")[2].splitlines()] == ["1", "6", "7"]


def test_view_of_events_as_json_is_a_line_for_each(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--view", "events", "--json") == 0
    assert [event["seq"] for event in ergon.json] == list(range(8))


def test_view_of_values_has_a_row_for_each_and_leaves_timers_out(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--view", "io") == 0
    assert [line.split("\t") for line in ergon.out.partition("\n\n")[2].splitlines()] == [
        ["pay", "step", "completed", "in", '{"n": 1}'],
        ["pay", "step", "completed", "out", '["paid"]'],
        ["go", "signal", "completed", "out", '{"ok": true}'],
        ["ship", "child", "failed", "in", '{"to": "Rome"}'],
        ["ship", "child", "failed", "error", "OSError: busy"],
        [
            "#6",
            "marker",
            "failed",
            "error",
            "CodecError: journal entry 6 cannot be read: not enough values to unpack (expected at least 2, got 0)",
        ],
    ]


def test_view_of_the_error_goes_down_to_the_step_of_the_child_it_came_from(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--view", "error") == 0
    below = ergon.out.partition("\n\n")[2]
    assert [line.split("\t")[:2] for line in below.splitlines()] == [
        ["STEP", "ship  child  failed  -> A-17/ship"],
        ["CHILD", "order A-17/ship"],
        ["ERROR", "OSError: busy"],
        ["STEP", "print  step  failed"],
        ["", "try"],
        ["", "try"],
        ["see:", "ergon inspect A-17/ship print"],
        [""],
        ["in step print:"],
        ["  OSError: busy"],
        [""],
        ["in flow A-17/ship:"],
        ["  OSError: busy"],
    ]


def test_view_of_the_error_of_a_flow_that_goes_on_has_the_steps_that_are_tried_again(ergon: Shell) -> None:
    assert ergon("inspect", "B-2", "--view", "error") == 0
    below = ergon.out.partition("\n\n")[2]
    assert below.startswith("ERROR\tthe flow has not failed; ")
    assert "STEP\tcharge~2  step  waiting\n" in below
    assert ergon("inspect", "C-3", "--view", "error") == 0
    assert "ERROR\tnone: " in ergon.out


VIEWS: list[tuple[str, ...]] = [
    ("A-17", "--view", "events"),
    ("A-17", "--view", "io"),
    ("A-17", "--view", "error"),
    ("A-17", "pay"),
    ("A-17", "ship"),
    ("B-2", "charge~2"),
    ("C-3", "copy"),
    ("B-2", "--view", "error"),
]


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("args", VIEWS, ids=" ".join)
def test_screens_of_a_terminal_keep_to_its_width(
    ergon: Shell, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], columns: int
) -> None:
    on_a_terminal(monkeypatch, columns)
    assert ergon("inspect", *args) == 0
    whole = ("fix:", "see:", "STEP", "  Traceback")
    assert [line for line in ergon.out.splitlines() if len(line) > columns and not line.startswith(whole)] == []
