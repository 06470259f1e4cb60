"""The head of a flow: WHY first, then the facts, each kept together."""

from __future__ import annotations

import pytest

from ergon_cli.render import cell_width
from ergon_cli.screens import head
from ergon_runtime import Status
from ergon_runtime.view import ErrorInfo, FlowView, Why
from tests.cli.screens.made import BUSY, START, flow, look, mark, text

FIX = "ergon signal approve PAYLOAD --flow " + "A-17" * 10
WAITING = flow(
    status=Status.WAITING,
    why=Why("signal", name="approve", since=START, fix=FIX),
    version="v3",
    queue="slow",
    recoveries=2,
    worker="web1-4021",
    lease_until=START + 22_000,
    parent="A",
    entries=12_345,
)


def test_head_says_why_and_what_helps_and_then_all_that_is_known() -> None:
    assert text(head.draw(WAITING, look(100)), look(100)) == [
        "FLOW  order A-17  WAITING  10s",
        "WHY   waits for signal approve for 10.0s",
        f"fix:  {FIX}",
        "      version v3  queue slow  attempt 1  recovered 2 times  worker web1-4021 (lease 12.0s left)",
        "      parent A  created 2023-11-14T22:13:20.000Z",
        "      its journal has 12,345 entries",
        "IN    n=1",
    ]


def test_head_for_a_pipe_has_rows_of_label_and_text() -> None:
    lines = text(head.draw(WAITING, look(None)), look(None))
    assert lines[2] == f"fix\t{FIX}"
    assert lines[3].startswith("\tversion v3  queue slow  attempt 1  recovered 2 times  worker web1-4021 (lease 12.0s")
    assert lines[-1] == "IN\tn=1"


@pytest.mark.parametrize("width", [30, 40, 60])
def test_head_goes_on_below_its_labels_and_the_fix_is_whole(width: int) -> None:
    lines = text(head.draw(WAITING, look(width)), look(width))
    assert f"fix:  {FIX}" in lines
    others = [line for line in lines if line != f"fix:  {FIX}"]
    assert max(map(cell_width, others)) <= width
    assert any(line.strip() == "recovered 2 times" or "  recovered 2 times" in line for line in others)


def test_lease_that_is_over_is_said_to_be() -> None:
    (facts,) = (line for line in text(head.draw(WAITING, look(200, now=25_000)), look(200)) if "lease" in line)
    assert "worker web1-4021 (lease over for 3.0s)" in facts


def test_fork_names_the_flow_it_was_forked_from() -> None:
    fork = flow(mark("forked", 0, args={"source": "A-16", "cut": 2}))
    assert "forked from A-16" in text(head.draw(fork, look(200)), look(200))[1]


@pytest.mark.parametrize(
    ("view", "last"),
    [
        (flow(result={"ok": True}), 'OUT   {"ok": true}'),
        (flow(status=Status.FAILED, error=BUSY), "fix:  ergon retry A-17"),
        (flow(status=Status.FAILED, error=BUSY, parent="P"), "ERROR OSError: busy"),
        (flow(status=Status.CANCELLED), "IN    n=1"),
        (flow(args=None), "OUT   null"),
    ],
)
def test_head_ends_with_the_end_of_the_flow(view: FlowView, last: str) -> None:
    assert text(head.draw(view, look(80)), look(80))[-1] == last


def test_values_of_the_head_are_safe_and_cut_unless_shown_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_cli.screens.head.LONGEST", 30)
    view = flow(args={"name": "\u202e\x9b" + "x" * 50})
    cut, full = text(head.draw(view, look(200)), look(200)), text(head.draw(view, look(200, full=True)), look(200))
    assert cut[2] == 'IN    name="\\u202e\\x9bxxxxxxxxxxx...'
    assert full[2].endswith("x" * 50 + '"')


def test_traceback_of_a_failed_flow_stands_below() -> None:
    view = flow(status=Status.FAILED, error=ErrorInfo("OSError", "busy", "one\n  two\x1b\n"))
    assert text(head.traceback(view), look(80)) == ["", "  one", "    two\\x1b"]
    assert text(head.traceback(flow()), look(80)) == []


def test_status_and_error_of_a_failed_flow_are_red() -> None:
    seen = look(80, color=True)
    lines = text(head.draw(flow(status=Status.FAILED, error=BUSY), seen), seen)
    assert "\x1b[31m  FAILED\x1b[0m" in lines[0]
    assert lines[-2].endswith("\x1b[31mOSError: busy\x1b[0m")
