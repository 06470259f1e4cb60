"""Differences in columns, drawn for wide and narrow terminals, for pipes and for files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ergon_cli.differences import as_text, table
from ergon_cli.replays import show_report
from ergon_cli.screens.look import Look, rendered
from ergon_runtime import Status
from ergon_runtime.core.faults import FaultKind
from ergon_runtime.replay import ComparedRow, ReplayReport

CODE = 'async def order():\n    await pay(1)\n    await ship("a long address, which is long", 2)\n'
LONG = 'step ship("a long address, which is long",2)'


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReplayReport:
    """A step that was asked for with other arguments."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text(CODE)
    where = f"{tmp_path / 'code.py'}:3"
    return ReplayReport(
        *("A-17", "order", None, Status.WAITING, "diverged"),
        delivered=("step pay(1)",),
        total=2,
        kind=FaultKind.DIVERGED,
        message="step ship is asked for with other arguments",
        where=where,
        difference="arguments",
        rows=(
            ComparedRow(1, "step pay(1)", "step pay(1)", equal=True, where=f"{tmp_path / 'code.py'}:2"),
            ComparedRow(2, 'step ship("here",2)', LONG, equal=False, where=where),
        ),
        fixes=("serve code that fits", "give it a new version"),
    )


def drawn(report: ReplayReport, look: Look) -> list[str]:
    return [rendered(line, look) for line in table(report, look)]


def test_wide_terminal_has_both_sides_the_line_and_its_source(report: ReplayReport) -> None:
    assert drawn(report, Look(0, 100)) == [
        "#      RECORDED             CURRENT CODE",
        "1   =  step pay(1)          step pay(1)",
        f'2   ≠  step ship("here",2)  {LONG}',
        "                            code.py:3",
        '                            await ship("a long address, which is long", 2)',
    ]


def test_narrow_terminal_cuts_what_is_equal_and_nothing_that_differs(report: ReplayReport) -> None:
    lines = drawn(report, Look(0, 50))
    assert max(map(len, lines)) <= 50
    current = "".join(line[28:] for line in lines[2:] if "code.py" not in line and "await" not in line)
    assert current.replace(" ", "") == LONG.replace(" ", "")


def test_stream_that_knows_only_ascii_gets_ascii(report: ReplayReport) -> None:
    lines = drawn(report, Look(0, 50, unicode=False, encoding="ascii"))
    assert all(line.isascii() for line in lines)
    assert lines[2].startswith("2   != step ship")


def test_pipe_gets_complete_rows_of_six_cells(report: ReplayReport) -> None:
    source = 'await ship("a long address, which is long", 2)'
    assert [line.split("\t") for line in drawn(report, Look(0))] == [
        ["1", "=", "step pay(1)", "step pay(1)", "code.py:2", "await pay(1)"],
        ["2", "!=", 'step ship("here",2)', LONG, "code.py:3", source],
    ]


def test_colours_are_for_what_differs(report: ReplayReport) -> None:
    lines = drawn(report, Look(0, 100, color=True))
    assert "\x1b[31m" in lines[2]
    assert "\x1b[32m" in lines[2]
    assert "\x1b[31m" not in lines[1]


def test_text_for_files_ends_with_the_cause_and_the_ways_out(report: ReplayReport) -> None:
    assert as_text(report).splitlines()[-3:] == [
        "cause: step ship is asked for with other arguments, at code.py:3 (other arguments)",
        "to go on: serve code that fits",
        "       or: give it a new version",
    ]


def test_report_without_rows_still_shows_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    ended = (Status.WAITING, "diverged")
    told = ReplayReport("a", "order", None, *ended, ("x", "y"), 3, message="no", recorded="z", current=("w", "v"))
    show_report(told)
    assert capsys.readouterr().out.splitlines() == [
        "DIVERGED  order a after 2 of 3 recorded completions",
        "1\t=\tx\tx\t\t",
        "2\t=\ty\ty\t\t",
        "3\t!=\tz\tw\t\t",
        "\t!=\t\tv\t\t",
        "cause: no",
    ]
    spins = ReplayReport("a", "order", None, *ended, kind=FaultKind.SPINNING, message="it spins")
    show_report(spins)
    assert capsys.readouterr().out.splitlines()[1:] == ["cause: it spins"]
