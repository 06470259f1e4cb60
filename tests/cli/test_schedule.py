"""`ergon schedule`: what is stored, what is printed where, and how a wait ends."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from ergon_runtime import FlowRow, Store
from ergon_runtime.client import FLOW_ID
from tests.cli.shell import Shell, in_store
from tests.runtime.views import Scene

pytestmark = pytest.mark.usefixtures("flows")


def row(flow_id: str) -> FlowRow:
    async def get(store: Store) -> FlowRow | None:
        return await store.get(flow_id)

    found = in_store(get)
    assert found is not None
    return found


def args_of(flow_id: str) -> Any:
    return json.loads(row(flow_id).args)


def run_worker(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def seed(store: Store) -> str:
        return (await store.identity()).hash_seed

    monkeypatch.setenv("PYTHONHASHSEED", in_store(seed))
    assert ergon("worker", "--burst") == 0


def test_schedule_prints_the_id_alone_and_notes_on_stderr(ergon: Shell) -> None:
    assert ergon("schedule", "order", "-a", "n=7", "--id", "A-17") == 0
    assert ergon.out == "A-17\n"
    assert ergon.err == "no live worker serves order; start one: ergon worker\n"
    assert args_of("A-17") == {"n": 7, "amount": "1.50", "note": None}


def test_schedule_without_id_draws_one(ergon: Shell) -> None:
    for _ in range(2):
        assert ergon("schedule", "order", "-a", "n=7") == 0
        assert FLOW_ID.fullmatch(ergon.out.strip())
    assert ergon("list") == 0
    assert len(ergon.rows) == 2


def test_note_repeats_the_modules_that_were_named(ergon: Shell) -> None:
    assert ergon("-m", "flows.py", "schedule", "order", "-a", "n=7") == 0
    assert ergon.err.endswith("start one: ergon worker -m flows.py\n")


def test_schedule_of_a_type_that_a_live_worker_serves_has_no_note(ergon: Shell) -> None:
    async def serve(store: Store) -> None:
        await Scene(store).serve("order")

    in_store(serve)
    assert ergon("schedule", "order", "-a", "n=7") == 0
    assert ergon.err == ""
    assert ergon("schedule", "order", "-a", "n=7", "--json") == 0
    assert ergon.json[0]["served"] is True


def test_schedule_with_json_is_one_object_and_no_note(ergon: Shell) -> None:
    line = ["schedule", "order", "-a", "n=7", "--id", "A-17", "--json"]
    assert ergon(*line) == 0
    assert ergon.json == [{"id": "A-17", "flow": "order", "version": None, "created": True, "served": False}]
    assert ergon.err == ""
    assert ergon(*line) == 0
    assert ergon.json[0]["created"] is False


def test_same_id_with_the_same_flow_prints_the_id_again(ergon: Shell) -> None:
    for line in (["-a", "n=7"], ["-a", "n:=7", "-a", "amount=1.50"], ["--input", '{"n": 7}', "--delay", "1h"]):
        assert ergon("schedule", "order", *line, "--id", "A-17") == 0
        assert ergon.out == "A-17\n"


@pytest.mark.parametrize("line", [["order", "-a", "n=8"], ["greet", "-a", "name=x"]])
def test_same_id_with_another_flow_is_a_conflict(ergon: Shell, line: list[str]) -> None:
    assert ergon("schedule", "order", "-a", "n=7", "--id", "A-17") == 0
    assert ergon("schedule", *line, "--id", "A-17") == 2
    assert "choose another id" in ergon.err
    assert args_of("A-17")["n"] == 7


@pytest.mark.parametrize(
    ("line", "stored"),
    [
        (["-a", "note=null"], {"n": 1, "amount": "1.50", "note": "null"}),
        (["-a", "note:=null"], {"n": 1, "amount": "1.50", "note": None}),
        (["-a", "note=a=b:=c"], {"n": 1, "amount": "1.50", "note": "a=b:=c"}),
        (["-a", "note="], {"n": 1, "amount": "1.50", "note": ""}),
        (["-a", "note=\x1b[2J"], {"n": 1, "amount": "1.50", "note": "\x1b[2J"}),
        (["-a", 'note:="x"', "-a", "amount=2.00"], {"n": 1, "amount": "2.00", "note": "x"}),
        (["-a", "amount:=0.10000000000000000001"], {"n": 1, "amount": "0.10000000000000000001", "note": None}),
        (["--input", '{"amount": 0.10000000000000000001}'], {"n": 1, "amount": "0.10000000000000000001", "note": None}),
        (["--input", '{"n": 2, "note": "base"}'], {"n": 1, "amount": "1.50", "note": "base"}),
    ],
)
def test_arguments_are_stored_as_they_were_meant(ergon: Shell, line: list[str], stored: dict[str, object]) -> None:
    assert ergon("schedule", "order", "-a", "n=1", *line, "--id", "A-17") == 0
    assert args_of("A-17") == stored


def test_unhinted_argument_is_text_or_json(ergon: Shell) -> None:
    for number, (given, value) in enumerate(
        [("name=5", "5"), ("name:=5", 5), ("name=null", "null"), ("name:=null", None)]
    ):
        assert ergon("schedule", "greet", "-a", given, "--id", f"g{number}") == 0
        assert args_of(f"g{number}") == {"name": value}


def test_input_from_stdin(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"n": 9}')))
    assert ergon("schedule", "order", "--input", "-", "--id", "A-17") == 0
    assert args_of("A-17")["n"] == 9


def test_last_version_is_taken_unless_one_is_named(ergon: Shell) -> None:
    assert ergon("schedule", "greet", "-a", "name=x", "--id", "new") == 0
    assert ergon("schedule", "greet", "-a", "name=x", "--version", "v1", "--id", "old") == 0
    assert (row("new").version, row("old").version) == ("v2", "v1")
    assert "serves greet version v1" in ergon.err


def test_delay_counts_from_the_stores_time(ergon: Shell) -> None:
    assert ergon("schedule", "order", "-a", "n=1", "--delay", "2h", "--id", "A-17") == 0
    found = row("A-17")
    assert found.due is not None
    assert abs(found.due - found.created - 7_200_000) < 5_000


def test_refused_arguments_create_no_store(ergon: Shell) -> None:
    assert ergon("schedule", "order", "-a", "m=1") == 2
    assert not (ergon.folder / "ergon.db").exists()


def test_wait_for_an_ended_flow_prints_id_and_result(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["schedule", "order", "-a", "n=1", "--id", "A-17"]
    assert ergon(*line) == 0
    run_worker(ergon, monkeypatch)
    assert ergon(*line, "--wait") == 0
    assert (ergon.out, ergon.err) == ('A-17\n"1 1.50 None"\n', "")
    assert ergon(*line, "--wait", "--json") == 0
    end = {"status": "completed", "result": "1 1.50 None", "error": None}
    assert ergon.json == [{"id": "A-17", "flow": "order", "version": None, **end}]
    assert ergon.err == ""


def test_wait_for_a_failed_flow_is_exit_4_with_its_message(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ergon("schedule", "broken", "--id", "b") == 0
    run_worker(ergon, monkeypatch)
    assert ergon("schedule", "broken", "--id", "b", "--wait") == 4
    assert ergon.out == "b\n"
    assert ergon.err == "error: flow b failed: ValueError: no luck \\x1b[2J\n  see: ergon inspect b\n"
    assert ergon("schedule", "broken", "--id", "b", "--wait", "--json") == 4
    assert ergon.json[0]["status"] == "failed"
    assert ergon.json[0]["error"]["message"] == "no luck \x1b[2J"
    assert json.loads(ergon.err)["error"]["code"] == 4


def test_wait_for_a_cancelled_flow_is_exit_4(ergon: Shell) -> None:
    assert ergon("schedule", "order", "-a", "n=1", "--id", "A-17") == 0
    assert ergon("cancel", "A-17") == 0
    assert ergon("schedule", "order", "-a", "n=1", "--id", "A-17", "--wait") == 4
    assert ergon.err == "error: flow A-17 was cancelled\n  see: ergon inspect A-17\n"


def test_wait_that_takes_too_long_is_exit_124(ergon: Shell) -> None:
    line = ["schedule", "order", "-a", "n=1", "--id", "A-17", "--wait", "--timeout", "10ms"]
    assert ergon(*line) == 124
    assert ergon.out == "A-17\n"
    assert "flow A-17 has not ended in time: it is pending\n  it goes on: ergon inspect A-17\n" in ergon.err
    assert ergon(*line, "--json") == 124
    assert ergon.out == ""
    assert json.loads(ergon.err)["error"]["code"] == 124
