"""`ergon list`: what it shows of a store, to people and to programs."""

from __future__ import annotations

import pytest

from ergon_runtime import Status, Store
from ergon_runtime.core.entries import Outcome
from tests.cli.shell import Shell, in_store
from tests.runtime.views import STARTED, Scene, ended, error


async def placed(store: Store) -> None:
    """Three flows, oldest first: failed, waiting, never claimed."""
    scene = Scene(store)
    failed = Outcome(Status.FAILED, None, error("ValueError", "no\x1b[2J way"))
    await scene.place("bad", Status.FAILED, [STARTED], outcome=failed)
    await scene.place("asks", Status.WAITING, [STARTED, ended("pay")], waits=["signal:go"])
    await scene.create("new")


def test_list_in_a_pipe_is_tab_separated_and_complete(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("list") == 0
    by_id = {row[0]: row for row in ergon.rows}
    assert all(len(row) == 5 for row in ergon.rows)
    assert by_id["bad"][1:3] == ["order", "failed"]
    assert by_id["bad"][4] == "ValueError: no\\x1b[2J way"
    assert by_id["asks"][4].startswith("waits for signal go for ")
    assert by_id["new"][4].endswith("no live worker serves order")
    assert ergon.err == ""


def test_list_with_json_is_one_whole_flow_a_line(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("list", "--json") == 0
    flows = {flow["id"]: flow for flow in ergon.json}
    assert flows.keys() == {"bad", "asks", "new"}
    assert [step["key"] for step in flows["asks"]["steps"]] == ["pay", "go"]
    assert flows["asks"]["why"]["kind"] == "signal"


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--status", "failed"], {"bad"}),
        (["--status", "failed", "--status", "pending"], {"bad", "new"}),
        (["--flow", "order"], {"bad", "asks", "new"}),
        (["--flow", "other"], set[str]()),
    ],
)
def test_list_is_narrowed_by_status_and_flow(ergon: Shell, options: list[str], ids: set[str]) -> None:
    in_store(placed)
    assert ergon("list", *options) == 0
    assert {row[0] for row in ergon.rows} == ids


def test_list_that_leaves_flows_out_says_so_on_stderr(ergon: Shell) -> None:
    in_store(placed)
    assert ergon("list", "-n", "2") == 0
    assert (len(ergon.rows), ergon.err) == (2, "only the newest 2 are shown; for more: -n 20\n")


@pytest.mark.parametrize("options", [["--status", "lost"], ["-n", "0"]])
def test_list_with_an_option_that_makes_no_sense_is_a_usage_error(ergon: Shell, options: list[str]) -> None:
    assert ergon("list", *options) == 2


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_list_without_a_store_notes_it_and_creates_nothing(ergon: Shell, options: list[str]) -> None:
    assert ergon("list", *options) == 0
    assert ergon.out == ""
    assert "there is no store at" in ergon.err
    assert list(ergon.folder.iterdir()) == []


def test_list_in_a_missing_folder_is_a_store_error(ergon: Shell) -> None:
    assert ergon("list", "--store", "sqlite:///none/ergon.db") == 6
    assert list(ergon.folder.iterdir()) == []


def always(stream: object) -> bool:
    return True


def test_list_on_a_terminal_keeps_every_column_whole_but_the_last(
    ergon: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_store(placed)
    monkeypatch.setattr("ergon_cli.render.is_terminal", always)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    assert ergon("list", "--status", "pending") == 0
    head, line = ergon.out.splitlines()[-2:]
    assert head.split()[:4] == ["ID", "FLOW", "STATUS", "AGE"]
    assert line.split()[0] == "new"
    assert "pending" in line
    assert line.rstrip().endswith("...")
    assert len(line) <= 40
