"""`ergon inspect`: one flow, for people and for programs. User code is never imported."""

from __future__ import annotations

import pytest

from ergon_runtime import Status, Store
from ergon_runtime.core.entries import ChildCreated, Entry, Outcome, Retried
from tests.cli.shell import Shell, in_store
from tests.runtime.views import START, STARTED, Scene, beating, ended, error, tried, waits


async def placed(store: Store) -> None:
    scene = Scene(store)
    signal = {"kind": "signal", "key": "go", "name": "go", "since": START}
    child = ChildCreated("ship", START, "d", "A-17/ship", "ship", None, "{}", True)
    entries: list[Entry] = [STARTED, child, tried("pay", 1, 0, "busy"), ended("pay", '{"ok":true}', attempts=2)]
    await scene.place("A-17", Status.WAITING, entries, waits=["signal:go"], note=waits(signal))
    failed = Outcome(Status.FAILED, None, error("ValueError", "no\x1b[2J way"))
    await scene.place("B-2", Status.FAILED, [STARTED], outcome=failed)
    await scene.place("C-3", Status.COMPLETED, outcome=Outcome(Status.COMPLETED, '["done"]'))
    await scene.place("E-5", Status.CANCELLED, outcome=Outcome(Status.CANCELLED))
    why = {"kind": "diverged", "message": "m", "recorded": "step a()", "current": ["step b()"], "where": "f.py:3"}
    await scene.place("D-4", Status.BLOCKED, [STARTED], note={"why": why})
    await scene.place("H-6", Status.RUNNING, [STARTED], note=beating("copy", 1, {"done": 3}))


@pytest.fixture(autouse=True)
def store(ergon: Shell) -> None:
    in_store(placed)
    (ergon.folder / "flows.py").write_text("raise SystemExit('imported')")


def test_inspect_says_why_and_what_helps_before_the_steps(ergon: Shell) -> None:
    assert ergon("inspect", "A-17") == 0
    head, table = ergon.out.split("\n\n")
    said = dict(line.split("\t") for line in head.splitlines())
    assert said["FLOW"].startswith("order A-17  WAITING  ")
    assert said["WHY"].startswith("waits for signal go for ")
    assert said["fix"] == "ergon signal go PAYLOAD --flow A-17"
    assert said["IN"] == "n=1"
    rows = [line.split("\t") for line in table.splitlines()]
    assert rows[0][:3] + rows[0][-1:] == ["ship", "child", "completed", "-> A-17/ship"]
    pay = ["pay", "step", "completed", "2", "2023-11-14T22:13:20.005Z", "15ms", '{"ok": true}']
    assert rows[1] == pay
    assert rows[2] == ["", "try", "failed", "1", "2023-11-14T22:13:20.005Z", "5ms", "on w1  OSError: busy"]
    assert rows[3] == ["", "try", "completed", "2", "2023-11-14T22:13:20.015Z", "5ms", "on w1"]
    assert rows[4][:3] == ["go", "signal", "waiting"]


def test_inspect_of_a_failed_flow_ends_with_its_traceback_made_safe(ergon: Shell) -> None:
    assert ergon("inspect", "B-2") == 0
    assert "ERROR\tValueError: no\\x1b[2J way\n" in ergon.out
    assert ergon.out.endswith("\n\n  ValueError: no\\x1b[2J way\n")
    assert "\x1b" not in ergon.out


def test_inspect_of_a_completed_flow_shows_its_result_and_no_why(ergon: Shell) -> None:
    assert ergon("inspect", "C-3") == 0
    assert 'OUT\t["done"]' in ergon.out
    assert "WHY" not in ergon.out


def test_inspect_of_a_cancelled_flow_shows_no_result(ergon: Shell) -> None:
    assert ergon("inspect", "E-5") == 0
    assert "CANCELLED" in ergon.out
    assert "OUT" not in ergon.out


def test_inspect_of_a_diverged_flow_names_both_sides_and_the_way_on(ergon: Shell) -> None:
    assert ergon("inspect", "D-4") == 0
    assert "is blocked (diverged): m; recorded step a(), the code asks for step b(), at f.py:3\n" in ergon.out
    assert "goes on by itself once a worker serves code that fits" in ergon.out
    assert "to take changed code as it is: ergon retry D-4 --adopt" in ergon.out
    assert "fix\tergon replay D-4 -m MODULE" in ergon.out


def test_inspect_of_a_running_step_tells_its_last_heartbeat(ergon: Shell) -> None:
    assert ergon("inspect", "H-6") == 0
    copy = ergon.out.splitlines()[-1].split("\t")
    assert copy[:4] == ["copy", "step", "running", "1"]
    assert copy[-1].startswith("heartbeat ")
    assert copy[-1].endswith(' ago: {"done": 3}')
    assert ergon("inspect", "H-6", "--json") == 0
    assert ergon.json[0]["steps"][0]["detail"] == {"done": 3}


def test_inspect_of_a_flow_with_a_long_journal_says_how_long(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_runtime.view.model.LONG", 3)
    assert ergon("inspect", "A-17") == 0
    assert "\n\tits journal has 4 entries\n" in ergon.out
    assert ergon("inspect", "B-2") == 0
    assert "entries" not in ergon.out


def test_inspect_on_a_terminal_is_aligned_and_cuts_long_values(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_cli.screens.look.is_terminal", always)
    monkeypatch.setattr("ergon_cli.screens.head.LONGEST", 20)
    monkeypatch.setenv("NO_COLOR", "1")
    assert ergon("inspect", "A-17") == 0
    assert ergon.out.startswith("FLOW  order A-17  WAITI...\nWHY   waits for signal ...\n")
    assert "\nfix:  ergon signal go PAYLOAD --flow A-17\n" in ergon.out, "what is to be copied is whole"


def always(stream: object) -> bool:
    return True


LONG = "the booking service is busy\n  and says: " + "come back later, " * 8 + "end\x1b[2J"


async def retried(store: Store) -> None:
    """A flow in its second attempt; a step of it waits for its third try."""
    now = await store.now()
    due = now + 60_000
    entries: list[Entry] = [
        STARTED,
        ended("once", None, error("KeyError", "k")),
        Retried("", START + 2000, 2, 2, 1, True, START + 5000, error("RuntimeError", LONG)),
        tried("pay", 1, START + 3000, LONG),
        tried("pay", 2, due),
    ]
    await Scene(store).place("R-7", Status.WAITING, entries, due=due, note={"life": 2})


def test_inspect_lists_tries_and_attempts_with_their_errors_in_rows(ergon: Shell) -> None:
    in_store(retried)
    assert ergon("inspect", "R-7") == 0
    whole = LONG.replace("\n  ", " ").replace("\x1b", "\\x1b")
    rows = [line.split("\t") for line in ergon.out.partition("\n\n")[2].splitlines()]
    shown = [(row[0] or row[1], row[2], row[3], row[6].removeprefix("on w1  ")) for row in rows]
    assert shown[:5] == [
        ("once", "failed", "1", "KeyError: k"),
        ("try", "failed", "1", "KeyError: k"),
        ("retried~2", "completed", "", "RuntimeError: the booking service is busy"),
        ("attempt", "failed", "1", f"RuntimeError: {whole}"),
        ("attempt", "due", "2", ""),
    ]
    assert [row[:3] for row in shown[6:]] == [("try", "failed", "1"), ("try", "failed", "2"), ("try", "due", "3")]
    assert rows[3][4] == "2023-11-14T22:13:20.000Z", "the first attempt began with the flow"
    assert rows[4][4] == "2023-11-14T22:13:25.000Z"
    assert shown[6][3] == f"OSError: {whole}"


def test_inspect_with_json_tells_tries_attempts_and_when_the_next_is_due(ergon: Shell) -> None:
    in_store(retried)
    assert ergon("inspect", "R-7", "--json") == 0
    steps = {step["key"]: step for step in ergon.json[0]["steps"]}
    marker, pay = steps["retried~2"], steps["pay~2"]
    assert [(each["n"], each["worker"], each["error"]["type"]) for each in marker["tries"]] == [
        (1, None, "RuntimeError")
    ]
    assert marker["due"] == "2023-11-14T22:13:25.000Z"
    assert [(each["n"], each["worker"], each["error"]["message"]) for each in pay["tries"]] == [
        (1, "w1", LONG),
        (2, "w1", "busy"),
    ]
    assert pay["due"] is not None
    assert steps["once"]["due"] is None


def test_inspect_at_80_columns_shows_the_whole_error_of_every_try(
    ergon: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_store(retried)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("ergon_cli.screens.look.is_terminal", always)
    assert ergon("inspect", "R-7") == 0
    lines = ergon.out.partition("\n\n")[2].splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(line.strip() for line in lines)
    whole = LONG.replace("\n  ", " ").replace("\x1b", "\\x1b")
    for said in (f"on w1 OSError: {whole}", f"RuntimeError: {whole}", "on w1 OSError: busy", "try 3 due in "):
        assert said in " ".join(text.split()), said
    assert lines[0].split()[:6] == ["#", "KEY", "STATUS", "TRIES", "STARTED", "TOOK"]
    assert [line.split()[1] for line in lines[1:-1] if line[0] != " "] == ["once", "retried~2", "pay~2"]


def test_inspect_with_json_is_one_line_a_flow_and_ends_with_the_highest_code(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "nope", "B-2", "--json") == 3
    assert [flow["id"] for flow in ergon.json] == ["A-17", "B-2"]
    assert '"code": 3' in ergon.err


@pytest.mark.parametrize(("part", "code"), [("17", 0), ("-", 2), ("nope", 3)])
def test_inspect_takes_a_unique_part_of_an_id(ergon: Shell, part: str, code: int) -> None:
    assert ergon("inspect", "--", part) == code
    assert bool(ergon.out) is (code == 0)


def test_inspect_without_a_store_is_not_found_and_creates_nothing(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--store", "sqlite:///other.db") == 3
    assert not (ergon.folder / "other.db").exists()
