"""Bars: the spans of steps, and the axis in words."""

from __future__ import annotations

import pytest

from ergon_cli.screens.axis import Axis, Ink, Span, axis
from ergon_cli.screens.bars import axis_of, ruler, spans
from ergon_runtime import Status
from ergon_runtime.view import StepView
from tests.cli.screens.made import BUSY, DAY, START, flow, look, mark, step, tried, wait

END = START + 100


def drawn(each: StepView, status: Status = Status.RUNNING) -> list[tuple[int, int, str, str]]:
    return [
        (span.start - START, span.end - START, span.ink.name, span.tip.name if span.tip else "")
        for span in spans(each, flow(status=status), END)
    ]


def test_tries_run_and_the_time_between_is_delay() -> None:
    assert drawn(tried("pay", (0, 10, BUSY), (30, 40, None))) == [
        (0, 10, "RUN", "FAIL"),
        (10, 30, "DELAY", ""),
        (30, 40, "RUN", ""),
    ]


@pytest.mark.parametrize(
    ("each", "last"),
    [
        (step("a", 5, None), (5, 100, "RUN", "OPEN")),
        (tried("a", (5, 10, BUSY), due=200), (10, 100, "DELAY", "OPEN")),
        (wait("signal", "go", 5, None), (5, 100, "WAIT", "OPEN")),
        (wait("timer", "sleep", 5, 50), (5, 50, "WAIT", "")),
        (wait("child", "ship", 5, 50), (5, 50, "RUN", "")),
        (wait("child", "ship", 5, None), (5, 100, "RUN", "OPEN")),
        (mark("cancel", 7), (7, 7, "MARK", "")),
        (mark("retried", 7, due=START + 500), (7, 100, "DELAY", "OPEN")),
        (StepView("a", "step", "a", "failed", started_at=START + 3), (3, 3, "RUN", "FAIL")),
        (StepView("go", "signal", "go", "completed", finished_at=START + 3), (3, 3, "WAIT", "")),
    ],
)
def test_last_span_of_a_step_says_how_it_ended(each: StepView, last: tuple[int, int, str, str]) -> None:
    assert drawn(each)[-1] == last


def test_nothing_is_open_in_a_flow_that_is_over() -> None:
    assert drawn(step("a", 5, None), Status.FAILED) == [(5, 5, "RUN", "")]
    assert drawn(wait("signal", "go", 5, None), Status.CANCELLED) == [(5, 5, "WAIT", "")]


def test_what_has_no_time_has_no_bar() -> None:
    assert drawn(StepView("#3", "marker", "unreadable", "failed")) == []


def cut(*lengths: int, width: int) -> Axis:
    """An axis with seconds of work and days of rest, by turns."""
    work: list[tuple[int, int]] = []
    time = 0
    for place, length in enumerate(lengths):
        if place % 2 == 0:
            work.append((time, time + length))
        time += length
    return axis(0, time, work, width)


@pytest.mark.parametrize(
    ("shared", "line"),
    [
        (cut(2000, DAY, 200, DAY, 2000, width=44), "0s ------- 2.0s -//-----//- 2d00h ---- 2d00h"),
        (axis(0, 10_000, [(0, 10_000)], 24), "0s --------------- 10.0s"),
        (axis(0, 10_000, [(0, 10_000)], 9), "0s  10.0s"),
        (axis(0, 10_000, [(0, 10_000)], 5), "-----"),
        (cut(2000, DAY, 2000, width=40), "0s --------- 2.0s -//- 1d00h ----- 1d00h"),
        (axis(0, DAY, [(0, 2000)], 40), "0s --------------------- 2.0s -//- 1d00h"),
        (axis(0, DAY, [(DAY - 2000, DAY)], 40), "0s -//- 23h59m ------------------- 1d00h"),
        (axis(0, DAY, [(0, 2000)], 24), "0s --------- 2.0s  1d00h"),
        (cut(2000, DAY, 2000, 2 * DAY, 2000, width=60), "0s -------- 2.0s -//- 1d00h -----------//- 3d00h ----- 3d00h"),
    ],
)
def test_ruler_tells_the_time_at_its_ends_and_at_breaks(shared: Axis, line: str) -> None:
    shown = ruler(shared, look(80, unicode=False))
    assert len(shown) == shared.width
    assert shown == line


def test_child_is_a_wait_for_the_axis_and_work_in_its_bar() -> None:
    view = flow(step("a", 0, 1000), wait("child", "ship", 1000, DAY), step("b", DAY, DAY + 1000), took=DAY + 1000)
    (gap,) = axis_of(view, START, START, 40).breaks
    assert (gap.begin, gap.end) == (START + 1000, START + DAY)


def test_break_in_a_bar_is_drawn_only_where_the_bar_is() -> None:
    shared = cut(2000, DAY, 2000, width=20)
    assert shared.paint([Span(0, 2000, Ink.RUN)])[10:] == [Ink.NONE] * 10
