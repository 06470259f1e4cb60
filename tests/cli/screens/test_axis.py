"""The geometry of bars, with plain numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ergon_cli.screens.axis import BREAK, Axis, Ink, Span, axis

SHORT, DAY = 1_800_000, 86_400_000
TIMES = st.integers(0, 1000) | st.integers(0, 10 * DAY)
PAIRS = st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair)))


def drawn(cells: list[Ink]) -> str:
    return "".join(" -.#|x>"[ink] for ink in cells)


def test_axis_full_of_work_is_linear() -> None:
    shared = axis(0, 100, [(0, 50), (50, 100)], 20)
    assert shared.breaks == ()
    assert drawn(shared.paint([Span(0, 50, Ink.RUN)])) == "#" * 10 + " " * 10
    assert drawn(shared.paint([Span(50, 100, Ink.RUN)])) == " " * 10 + "#" * 10
    assert drawn(shared.paint([Span(25, 50, Ink.WAIT)])) == "     -----          "


def test_wait_of_days_leaves_seconds_of_work_visible() -> None:
    start, end = 3000, 3000 + 3 * DAY
    shared = axis(0, end + 2000, [(0, start), (end, end + 2000)], 24)
    (gap,) = shared.breaks
    assert (gap.begin, gap.end, gap.first, gap.cells) == (start, end, 11, BREAK)
    assert drawn(shared.paint([Span(0, start, Ink.RUN)])) == "#" * 11 + " " * 13
    assert drawn(shared.paint([Span(start, end, Ink.WAIT)])) == " " * 11 + "----" + " " * 9
    assert drawn(shared.paint([Span(end, end + 2000, Ink.RUN)])) == " " * 15 + "#" * 9


def test_several_long_gaps_are_cut_one_after_the_other() -> None:
    work = [(0, 1000), (DAY, DAY + 1000), (DAY + SHORT, DAY + SHORT + 1000)]
    shared = axis(0, work[-1][1], work, 40)
    assert [(gap.begin, gap.end) for gap in shared.breaks] == [(1000, DAY), (DAY + 1000, DAY + SHORT)]


def test_two_waits_after_each_other_are_two_breaks() -> None:
    end = 1000 + 3 * DAY
    shared = axis(0, end + 1000, [(0, 1000), (end, end + 1000)], 40, edges=[0, 1000, DAY, end])
    assert [(gap.begin, gap.end) for gap in shared.breaks] == [(1000, DAY), (DAY, end)]
    assert [piece.is_break for piece in shared.pieces] == [False, True, True, False]
    assert drawn(shared.paint([Span(DAY, end, Ink.WAIT)])).strip() == "----"


def test_short_gaps_and_gaps_that_are_not_most_of_the_time_stay() -> None:
    assert axis(0, 1000, [(0, 400), (900, 1000)], 40).breaks == ()
    assert axis(0, 1000, [(time, time) for time in range(0, 1000, 20)], 40).breaks == ()
    assert axis(0, 3 * DAY, [], 40).breaks == (), "nothing but a wait hides nothing"
    assert axis(0, 3 * DAY, [(0, 40), (DAY, DAY + 50)], 40).breaks == (), "so little work is but a tick"


def test_gap_before_the_first_work_and_after_the_last_is_cut_too() -> None:
    shared = axis(0, 2 * DAY, [(DAY, DAY + 500)], 20)
    assert [piece.is_break for piece in shared.pieces] == [True, False, True]
    assert drawn(shared.paint([Span(DAY, DAY + 500, Ink.RUN, Ink.FAIL)])) == "    ###########x    "


def test_what_takes_no_time_is_in_the_work_and_not_in_the_break_beside_it() -> None:
    shared = axis(0, DAY, [(0, 1000)], 20)
    (gap,) = shared.breaks
    assert gap.begin == 1000
    assert shared.columns(1000, 1000) == range(gap.first - 1, gap.first)


def test_instant_between_two_breaks_has_a_cell_of_its_own() -> None:
    shared = axis(0, 2 * DAY, [(0, 1000), (DAY, DAY)], 30)
    assert [piece.is_break for piece in shared.pieces] == [False, True, False, True]
    assert drawn(shared.paint([Span(DAY, DAY, Ink.RUN), Span(0, DAY, Ink.WAIT)])).strip().endswith("-#")


def test_work_before_and_after_the_axis_is_none_of_its_business() -> None:
    assert axis(100, 2 * DAY, [(0, 50), (100, 1100), (3 * DAY, 3 * DAY)], 20) == axis(100, 2 * DAY, [(100, 1100)], 20)


def test_no_more_gaps_are_cut_than_there_is_room_for() -> None:
    work, time = [(0, 100)], 100
    for scale in range(5, 14, 2):
        work.append((time + 10**scale, time := time + 10**scale + 100))
    shared = axis(0, time, work, 16)
    check(shared, 0, time, 16)
    assert len(shared.breaks) == 4


def test_what_matters_most_is_seen_where_several_share_a_cell() -> None:
    shared = axis(0, 1000, [(0, 1000)], 4)
    spans = [Span(0, 10, Ink.RUN, Ink.FAIL), Span(10, 20, Ink.DELAY), Span(20, 30, Ink.RUN)]
    assert drawn(shared.paint(spans)) == "x   "
    assert drawn(shared.paint([Span(300, 1000, Ink.RUN, Ink.OPEN)])) == " ##>"


@pytest.mark.parametrize("width", [1, 3, 20])
def test_axis_without_any_time_still_has_its_width(width: int) -> None:
    shared = axis(5, 5, [(5, 5)], width)
    assert drawn(shared.paint([Span(5, 5, Ink.RUN)])) == "#" + " " * (width - 1)


def check(shared: Axis, begin: int, end: int, width: int) -> None:
    """The pieces are the whole time, in all columns, in order."""
    assert (shared.begin, shared.end, shared.width) == (begin, end, width)
    for one, next_one in pairwise(shared.pieces):
        assert (one.end, one.first + one.cells) == (next_one.begin, next_one.first)
    assert all(piece.cells > 0 for piece in shared.pieces)


@settings(deadline=None, derandomize=True)
@given(PAIRS, st.lists(PAIRS, max_size=30), st.lists(TIMES), st.lists(PAIRS, max_size=5), st.integers(1, 120))
def test_any_bar_is_as_wide_as_asked_and_every_span_is_seen(
    whole: tuple[int, int], work: list[tuple[int, int]], edges: list[int], spans: list[tuple[int, int]], width: int
) -> None:
    begin, end = whole
    shared = axis(begin, end, work, width, edges)
    check(shared, begin, end, width)
    for start, stop in spans:
        cells = shared.paint([Span(start, stop, Ink.WAIT)])
        assert len(cells) == width
        assert Ink.WAIT in cells


@settings(deadline=None, derandomize=True)
@given(PAIRS, st.lists(PAIRS, max_size=30), st.lists(TIMES), st.lists(TIMES, min_size=2), st.integers(1, 120))
def test_later_times_are_never_further_left(
    whole: tuple[int, int], work: list[tuple[int, int]], edges: list[int], times: list[int], width: int
) -> None:
    shared = axis(*whole, work, width, edges)
    ordered = sorted(times)
    spans = [shared.columns(one, other) for one, other in pairwise(ordered) if one < other]
    for before, after in pairwise(spans):
        assert before.start <= after.start
        assert before.stop <= after.stop
