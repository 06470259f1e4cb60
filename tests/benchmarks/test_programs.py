"""The programs of the benchmarks that need nothing but Ergon, with tiny counts: what they print, never how fast."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.results import Result
from benchmarks.run import call, place
from benchmarks.works import SCHEDULING, Place

CASES: list[tuple[str, str, int, Place, str, int]] = [
    ("ergon", "T1", 3, "folder", "", 15),
    ("ergon", "T1", 3, "always", "", 15),
    ("ergon", "T2", 3, "folder", "normal", 3),
    ("ergon", "T3", 3, "folder", "", 3),
    ("ergon", "T4", 3, "folder", "", 3),
    ("limits", "T1", 3, "folder", "group", 15),
    ("limits", "T2", 3, "folder", "rows", 3),
    ("limits", "T1", 3, "everysec", "lua", 15),
]


def run(program: str, work: str, count: int, kind: Place, variant: str = "") -> list[Result]:
    with place(kind) as given:
        order = (work, str(count), "--name", "it", "--place", given, "--variant", variant)
        return call(Path(sys.executable), f"benchmarks.programs.{program}", *order)


@pytest.mark.parametrize(("program", "work", "count", "kind", "variant", "steps"), CASES)
def test_program_of_rates_prints_what_it_counted(
    program: str, work: str, count: int, kind: Place, variant: str, steps: int
) -> None:
    figures = run(program, work, count, kind, variant)
    names = ["it", f"it{SCHEDULING}"] if program == "ergon" and work in ("T1", "T2") else ["it"]
    assert [each.name for each in figures] == names
    for each in figures:
        assert (each.work, each.settings["count"]) == (work, steps)
        assert each.value > 0
        assert each.unit.endswith("/s")


def test_program_of_latencies_prints_both_waits_in_milliseconds() -> None:
    figures = run("ergon_apart", "T5", 2, "folder")
    assert [each.name for each in figures] == [
        f"it, {what} {part}" for what in ("schedule to start", "signal to resume") for part in ("p50", "p99")
    ]
    assert all(each.unit == "ms" and each.value > 0 for each in figures)


def test_program_of_replays_prints_each_length() -> None:
    figures = run("ergon_replay", "T6", 1000, "folder")
    assert [(each.name, each.unit) for each in figures] == [
        (f"it, replay of {length}", "entries/s") for length in (100, 1000)
    ]
