"""The timeline as text, at fixed widths and times."""
# ruff: noqa: RUF001  the sign of breaks is meant

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ergon_cli.render import cell_width
from ergon_cli.screens import timeline
from ergon_cli.text import safe
from ergon_runtime import Status
from ergon_runtime.view import FlowView, StepView
from tests.cli.screens.made import BUSY, DAY, HOUR, START, flow, look, mark, step, text, tried, wait

SHORT = flow(
    step("validate", 0, 1000),
    tried("charge", (1000, 2000, BUSY), (4000, 6000, None)),
    wait("child", "ship", 6000, 8000, child="A-17/ship"),
    wait("timer", "sleep", 8000, 10_000),
)


def test_timeline_of_a_short_flow_is_linear() -> None:
    assert text(timeline.draw(SHORT, look(80)), look(80)) == [
        "#  KEY       STATUS     TRIES  STARTED  TOOK  0s ───────────────────────── 10.0s",
        "1  validate  completed      1     +0ms  1.0s  ████",
        "2  charge    completed      2    +1.0s  5.0s     ███✗░░░░░░████████",
        "    try 1  failed  +1.0s  1.0s  on w1  OSError: busy",
        "    try 2  completed  +4.0s  2.0s  on w1",
        "3  ship      completed           +6.0s  2.0s                      ████████",
        "4  sleep     completed           +8.0s  2.0s                             ┄┄┄┄┄┄┄",
        "┄ waiting  ░ delayed  █ running  ✗ failed",
    ]


def test_timeline_in_ascii_has_the_same_cells() -> None:
    lines = text(timeline.draw(SHORT, look(80, unicode=False)), look(80, unicode=False))
    assert lines[0] == "#  KEY       STATUS     TRIES  STARTED  TOOK  0s ------------------------- 10.0s"
    assert lines[2] == "2  charge    completed      2    +1.0s  5.0s     ###x......########"
    assert lines[-1] == "- waiting  . delayed  # running  x failed"


LONG = flow(
    step("ask", 0, 3000),
    wait("signal", "approve", 3000, 3000 + 3 * DAY),
    step("pay", 3000 + 3 * DAY, 5000 + 3 * DAY),
    took=5000 + 3 * DAY,
)


def test_timeline_with_a_wait_of_days_shows_the_seconds_of_work() -> None:
    assert text(timeline.draw(LONG, look(80)), look(80)) == [
        "#  KEY      STATUS     TRIES  STARTED   TOOK  0s ──────── 3.0s ┄╱╱┄ 3d00h  3d00h",
        "1  ask      completed      1     +0ms   3.0s  █████████████████",
        "2  approve  completed           +3.0s  3d00h                   ┄╱╱┄",
        "3  pay      completed      1   +3d00h   2.0s                       █████████████",
        "┄ waiting  █ running",
    ]
    assert text(timeline.draw(LONG, look(80, unicode=False)), look(80, unicode=False))[2].endswith(" -//-")


OPEN = flow(
    step("ask", 0, 1000),
    tried("pay", (1000, 2000, BUSY), due=20_000),
    step("copy", 5000, None),
    wait("signal", "approve", 2000, None),
    wait("timer", "sleep", 2000, None, due=START + HOUR),
    wait("child", "ship", 2000, None, child="A-17/ship"),
    status=Status.RUNNING,
)


def test_timeline_of_an_open_flow_goes_on_to_the_right_edge_and_says_what_is_due() -> None:
    assert text(timeline.draw(OPEN, look(70)), look(70)) == [
        "#  KEY      STATUS     TRIES  STARTED  TOOK  0s ──────────────── 10.0s",
        "1  ask      completed      1     +0ms  1.0s  ███",
        "2  pay      waiting        1    +1.0s  9.0s    ██✗░░░░░░░░░░░░░░░░░░░▶",
        "    try 1  failed  +1.0s  1.0s  on w1  OSError: busy",
        "    try 2  due in 10.0s",
        "3  copy     running        1    +5.0s  5.0s              ████████████▶",
        "4  approve  waiting             +2.0s  8.0s       ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶",
        "5  sleep    waiting             +2.0s  8.0s       ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄▶",
        "    due in 59m50s",
        "6  ship     waiting             +2.0s  8.0s       ███████████████████▶",
        "    -> A-17/ship",
        "┄ waiting  ░ delayed  █ running  ✗ failed  ▶ still open",
    ]


def test_time_in_the_queue_has_a_row_of_its_own() -> None:
    late = flow(step("ask", 8000, 10_000), started_at=START + 8000)
    assert text(timeline.draw(late, look(70)), look(70)) == [
        "#  KEY       STATUS     TRIES  STARTED  TOOK  0s ─────────────── 10.0s",
        "   (queued)                       +0ms  8.0s  ░░░░░░░░░░░░░░░░░░░░",
        "1  ask       completed      1    +8.0s  2.0s                     █████",
        "░ delayed  █ running",
    ]
    assert text(timeline.draw(late, look(70, failed=True)), look(70)) == []
    new = flow(status=Status.PENDING, started_at=None)
    assert text(timeline.draw(new, look(60)), look(60))[1].endswith("░▶")
    assert text(timeline.draw(flow(started_at=START + 999), look(60)), look(60)) == []


def test_retry_of_a_flow_shows_its_delay() -> None:
    again = flow(step("ask", 0, 2000), mark("retried", 2000, due=START + 6000), step("ask~2", 6000, 10_000))
    lines = text(timeline.draw(again, look(70)), look(70))
    assert lines[2].endswith("+2.0s            │░░░░░░░░░")


def test_fork_begins_with_what_it_took_over() -> None:
    fork = flow(step("ask", -5000, -4000), mark("forked", 0, args={"source": "A-16", "cut": 2}), step("pay", 0, 5000))
    lines = text(timeline.draw(fork, look(80)), look(80))
    assert [line.split()[-3:-1] for line in lines[1:4]] == [["+0ms", "1.0s"], ["completed", "+5.0s"], ["+5.0s", "5.0s"]]


WIDE = flow(step("注文を確認する" * 3, 0, 1000), step("a" * 60, 1000, 2000), step("\x1b[2J\u202eevil", 2000, 10_000))


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120, 500])
@pytest.mark.parametrize("view", [SHORT, LONG, OPEN, WIDE], ids=["short", "long", "open", "wide"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_terminal(view: FlowView, width: int, encoding: str) -> None:
    seen = look(width, unicode=encoding == "utf-8", encoding=encoding)
    lines = text(timeline.draw(view, seen), seen)
    if width >= 30:  # below that the columns that never go do not fit
        assert max(map(cell_width, lines)) <= width
    assert all(char.isprintable() and char not in "\x1b\u202e" for line in lines for char in line)
    assert "\n".join(lines).encode(encoding)


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (80, ["#", "KEY", "STATUS", "TRIES", "STARTED", "TOOK", "0s"]),
        (50, ["#", "KEY", "STATUS", "TRIES", "STARTED", "TOOK"]),
        (40, ["#", "KEY", "STATUS", "TRIES", "TOOK"]),
        (32, ["#", "KEY", "STATUS", "TRIES"]),
        (24, ["KEY", "STATUS"]),
    ],
)
def test_bars_give_way_first_then_the_times(width: int, titles: list[str]) -> None:
    shown = text(timeline.draw(SHORT, look(width)), look(width))[0].split()
    assert shown[: len(titles)] == titles
    assert (len(shown) > len(titles)) is ("0s" in titles)


def loop(count: int, failing: tuple[int, ...] = ()) -> FlowView:
    steps = [
        step(
            "charge" if n == 1 else f"charge#{n}" if n % 2 else f"{n}/charge", n, n + 5, BUSY if n in failing else None
        )
        for n in range(1, count + 1)
    ]
    return flow(step("prepare", 0, 1), *steps, step("mail", 2000, 3000), took=3000)


def test_equal_siblings_are_folded_and_failures_and_the_last_rows_are_not() -> None:
    lines = text(timeline.draw(loop(1000, (300, 777)), look(80)), look(80))
    keys = [line.split()[1] for line in lines[1:-1] if not line.startswith("    try")]
    assert keys == [
        "prepare",
        "989",
        "300/charge",
        "charge#777",
        *(f"{n}/charge" if n % 2 == 0 else f"charge#{n}" for n in range(992, 1001)),
        "mail",
    ]
    assert lines[2] == "      + 989 x charge  completed      1            5ms  █████████"
    assert lines[-1] == "+ folded; --full shows all  █ running  ✗ failed"


def test_full_shows_every_row_and_failed_only_those() -> None:
    whole = text(timeline.draw(loop(300), look(80, full=True)), look(80))
    assert len(whole) == 304
    bad = text(timeline.draw(loop(1000, (300, 777)), look(80, failed=True)), look(80))
    assert [line.split()[1] for line in bad[1:-1:2]] == ["300/charge", "charge#777"]


def test_pipe_gets_a_row_of_cells_for_every_step() -> None:
    lines = text(timeline.draw(loop(300), look(None)), look(None))
    assert len(lines) == 302
    assert lines[0] == "prepare\tstep\tcompleted\t1\t2023-11-14T22:13:20.000Z\t1ms\tnull"


MOMENTS = st.integers(-10 * DAY, 10 * DAY)
ENDS = st.none() | MOMENTS
STEPS = st.one_of(
    st.builds(step, st.text(max_size=30), MOMENTS, ENDS, st.none() | st.just(BUSY)),
    st.builds(wait, st.sampled_from(["timer", "signal", "child"]), st.text(max_size=30), MOMENTS, ENDS),
    st.builds(tried, st.just("pay"), st.tuples(MOMENTS, MOMENTS, st.just(BUSY)), due=ENDS),
    st.builds(mark, st.just("retried"), MOMENTS, due=MOMENTS.map(START.__add__)),
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(STEPS, max_size=12), st.sampled_from(list(Status)), MOMENTS, st.sampled_from([40, 60, 81, 200]))
def test_any_flow_can_be_drawn_whatever_its_times(steps: list[StepView], status: Status, now: int, width: int) -> None:
    seen = look(width, now=now)
    lines = text(timeline.draw(flow(*steps, status=status), seen), seen)
    assert max(map(cell_width, lines), default=0) <= width
    assert all(safe(line) == line for line in lines)
