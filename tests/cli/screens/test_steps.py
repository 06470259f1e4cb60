"""The table of steps as text."""

from __future__ import annotations

import pytest

from ergon_cli.render import cell_width
from ergon_cli.screens import steps
from ergon_runtime import Status
from ergon_runtime.view import StepView
from tests.cli.screens.made import BUSY, START, flow, look, mark, step, text, tried, wait

CHILD = StepView("ship", "child", "ship", "waiting", started_at=START + 4000, child="A-17/ship")
VIEW = flow(
    tried("charge", (0, 1000, BUSY), (3000, 4000, None)),
    mark("continued", 4000, args={"n": 2}),
    CHILD,
    wait("timer", "sleep", 5000, None, due=START + 20_000),
    StepView("copy", "step", "copy", "running", started_at=START, heartbeat_at=START + 9000, detail=[3]),
    status=Status.RUNNING,
)


def test_table_says_what_came_of_each_step() -> None:
    assert text(steps.draw(VIEW, look(80)), look(80)) == [
        "KEY          KIND    STATUS     TRIES  STARTED   TOOK  RESULT",
        "charge       step    completed      2     +0ms   4.0s  null",
        "    try 1  failed  +0ms  1.0s  on w1  OSError: busy",
        "    try 2  completed  +3.0s  1.0s  on w1",
        'continued~2  marker  completed           +4.0s         {"n": 2}',
        "ship         child   waiting             +4.0s   6.0s  -> A-17/ship",
        "sleep        timer   waiting             +5.0s   5.0s  due in 10.0s",
        "copy         step    running        1     +0ms  10.0s  heartbeat 1s ago: [3]",
    ]


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (66, "KEY KIND STATUS STARTED TOOK RESULT"),
        (58, "KEY STATUS STARTED TOOK RESULT"),
        (50, "KEY STATUS TOOK RESULT"),
        (42, "KEY STATUS RESULT"),
    ],
)
def test_narrow_table_drops_columns_and_keeps_key_and_result(width: int, titles: str) -> None:
    lines = text(steps.draw(VIEW, look(width)), look(width))
    assert lines[0].split() == titles.split()
    assert max(map(cell_width, lines)) <= width


def test_long_tables_are_folded_and_full_ones_are_not() -> None:
    view = flow(*(step(f"{n}/charge", n, n + n % 3) for n in range(500)))
    lines = text(steps.draw(view, look(80)), look(80))
    assert " ".join(lines[1].split()) == "+ 490 x charge step completed 1 0ms..2ms (folded; --full)"
    assert len(lines) == 12
    assert len(text(steps.draw(view, look(80, full=True)), look(80))) == 501
    assert len(text(steps.draw(view, look(None)), look(None))) == 500


def test_flow_without_steps_has_no_table() -> None:
    assert text(steps.draw(flow(), look(80)), look(80)) == []


def test_only_what_failed_or_is_open_is_shown_if_asked_for() -> None:
    for width in (80, None):
        lines = text(steps.draw(VIEW, look(width, failed=True)), look(width))
        assert [line.split()[0] for line in lines if line.split()[0] != "KEY"] == ["ship", "sleep", "copy"]


def test_of_very_many_tries_the_first_and_the_last_are_shown() -> None:
    tries = [(n, n + 1, BUSY) for n in range(50)]
    lines = text(steps.draw(flow(tried("pay", *tries)), look(80)), look(80))
    assert " ".join(line.split()[1] for line in lines[2:]) == "1 2 3 4 5 6 38 45 46 47 48 49 50"
    assert lines[8] == "    + 38 tries  (folded; --full)"
    assert len(text(steps.draw(flow(tried("pay", *tries)), look(80, full=True)), look(80))) == 52
