"""Medians, targets and what is made of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import page, plot, tables
from benchmarks.report import Report
from benchmarks.results import Result, read, read_all
from benchmarks.works import GROUP, PEER, SQLITE, TARGETS, WORKS


def some() -> Report:
    """Ergon 20 times as fast as a peer, and at 0.25 of the limit."""
    rates = [(SQLITE, 100.0), (SQLITE, 900.0), (SQLITE, 200.0), (PEER, 10.0), (GROUP, 800.0)]
    figures = [Result("T1", name, rate, "steps/s", {"round": 1, "cpu_us_each": 7}) for name, rate in rates]
    return Report({"T1": {"cores": 2}, "T2": {"cores": 2}}, figures, {"restate": "no npm"})


def test_line_of_a_figure_is_read_back_as_it_was() -> None:
    figure = Result("T1", "a b", 1.5, "ms", {"synchronous": "FULL"})
    assert read(figure.line()) == figure


@pytest.mark.parametrize("line", ["", "[]", "3", '{"work": "T1"}', "no json"])
def test_line_that_is_no_figure_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read(line)


def test_blank_lines_between_figures_are_passed_over() -> None:
    assert read_all(["", Result("T1", "a", 1, "s").line(), " "]) == [Result("T1", "a", 1, "s")]


def test_figures_of_many_rounds_are_one_median() -> None:
    assert [(each.name, each.median, len(each.values)) for each in some().summaries("T1")] == [
        (SQLITE, 200.0, 3),
        (PEER, 10.0, 1),
        (GROUP, 800.0, 1),
    ]


def test_targets_are_judged_by_the_medians() -> None:
    said = {each.target.what: (each.value, each.met) for each in some().verdicts()}
    assert said[f"{SQLITE} / {PEER}"] == (20.0, True)
    assert said[f"{SQLITE} / {GROUP}"] == (0.25, False)
    assert said["ergon redis always / bare lua, always"] == (None, None)


def test_each_target_is_of_figures_that_some_program_gives() -> None:
    for target in TARGETS:
        for work, name in (target.figure, target.over or target.figure):
            alone = WORKS[work].alone is not None
            assert alone or any(name.startswith(entry.name) for entry in WORKS[work].entries), (work, name)


def test_report_in_a_file_is_read_back_as_it_was(tmp_path: Path) -> None:
    some().write(tmp_path / "results.json")
    assert Report.load(tmp_path / "results.json") == some()


@pytest.mark.parametrize(("add", "values"), [(False, [5, 3]), (True, [100, 900, 200, 10, 800, 5, 3])])
def test_new_figures_of_a_work_replace_or_join_its_old_ones(add: bool, values: list[float]) -> None:
    report, new = some(), [Result("T1", PEER, 3, "steps/s")]
    report.figures.append(Result("T2", SQLITE, 5, "steps/s"))
    report.missing = {"T1 restate": "no npm", "T2 restate": "no npm"}
    report.take(["T1"], new, {"T1 dbos": "no network"}, {"cores": 4}, add=add)
    assert report.machines["T1"] == {"cores": 4} != report.machines["T2"]
    assert [each.value for each in report.figures] == values
    assert report.missing == {"T2 restate": "no npm", "T1 dbos": "no network"}


def test_settings_of_one_program_are_named_once() -> None:
    full, normal = ({"synchronous": what, "round": 1} for what in ("FULL", "NORMAL"))
    names = [
        ("a", full),
        ("a + scheduling", full),
        ("b, p50", full),
        ("b, p99", full),
        ("c, d", full),
        ("c, e", normal),
    ]
    report = Report({}, [Result("T1", name, 1, "ms", settings) for name, settings in names])
    assert tables.in_force(report.summaries()) == {
        "a": "synchronous FULL",
        "b": "synchronous FULL",
        "c, d": "synchronous FULL",
        "c, e": "synchronous NORMAL",
    }


def test_picture_shows_each_system_once_fastest_first() -> None:
    texts = [each.text for each in ET.fromstring(plot.draw(some())).iter() if each.tag.endswith("text")]
    assert texts[1:] == [GROUP, "800", SQLITE, "200", PEER, "10"]


def test_page_shows_what_is_kept_beside_it() -> None:
    report = Report.load(page.RESULTS)
    _, _, rest = page.PAGE.read_text().partition(page.BEGIN)
    assert rest.partition(page.END)[0].strip() == page.tables(report).strip()
    assert page.PLOT.read_text() == plot.draw(report)
