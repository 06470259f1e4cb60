"""The figures as tables, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks.report import Report, Summary, Verdict
from benchmarks.results import Result, Setting
from benchmarks.works import SCHEDULING, WORKS

Side = Literal["left", "right"]
COLUMNS: dict[str, Side] = {
    "": "left",
    "median": "right",
    "min": "right",
    "max": "right",
    "unit": "left",
    "CPU µs each": "right",
    "rounds": "right",
}
TARGET_COLUMNS: dict[str, Side] = {"work": "left", "ratio": "left", "reached": "right", "wanted": "right", "": "left"}
OWN = {"count", "seconds", "cpu_seconds", "decoding_us_each", "cpu_us_each", "round"}
"""Settings that differ from round to round, or have a column."""


def show(report: Report) -> None:
    """Print all tables."""
    console = Console()
    for work in report.works():
        table = Table(title=f"{work}: {WORKS[work].title}", title_justify="left")
        for column, side in COLUMNS.items():
            table.add_column(column, justify=side)
        summaries = report.summaries(work)
        for each in summaries:
            table.add_row(*row(each))
        console.print(table)
        for name, settings in in_force(summaries).items():
            console.print(f"  {name}: {settings}", style="dim", highlight=False)
    targets = Table(title="Targets", title_justify="left")
    for column, side in TARGET_COLUMNS.items():
        targets.add_column(column, justify=side)
    for verdict in report.verdicts():
        targets.add_row(*target_row(verdict))
    console.print(targets)
    for name, why in report.missing.items():
        console.print(f"not run: {name}: {why}", highlight=False)
    for line in measured_on(report):
        console.print(line, style="dim", highlight=False)


def row(each: Summary) -> tuple[str, ...]:
    """A figure: its name, median, least and most, unit, CPU time of the last round, and how many rounds."""
    cpu = each.settings.get("cpu_us_each")
    shown = (number(each.median), number(min(each.values)), number(max(each.values)))
    return (each.name, *shown, each.unit, "" if cpu is None else number(float(cpu)), str(len(each.values)))


def target_row(verdict: Verdict) -> tuple[str, ...]:
    """A target: its work, words, what was reached and wanted, and whether that is enough."""
    reached = "not measured" if verdict.value is None else number(verdict.value)
    said = {True: "met", False: "NOT MET", None: ""}[verdict.met]
    return verdict.target.work, verdict.target.what, reached, verdict.wanted, said


def in_force(summaries: Sequence[Summary]) -> dict[str, str]:
    """The settings of each program, in words; figures of one program that have the same are named once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in summaries:
        name, settings = each.name.removesuffix(SCHEDULING), words(each.settings)
        if settings:
            groups.setdefault((name.partition(", ")[0], settings), []).append(name)
    return {(program if len(set(names)) > 1 else names[0]): said for (program, said), names in groups.items()}


def measured_on(report: Report) -> list[str]:
    """On which machine, and in which state of it and of Ergon, which works were measured."""
    groups: dict[str, list[str]] = {}
    for work in report.works():
        groups.setdefault(words(report.machines.get(work, {})), []).append(work)
    return [f"{', '.join(works)} on: {said}." for said, works in groups.items()]


def words(settings: Mapping[str, Setting]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items() if key not in OWN)


def number(value: float) -> str:
    """Three digits that matter, or whole thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def brief(figures: Iterable[Result]) -> str:
    """Figures on one line."""
    return "; ".join(f"{each.name}: {number(each.value)} {each.unit}" for each in figures)
