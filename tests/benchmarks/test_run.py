"""How the programs are run: in turn, and on without those that cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.environments import Environment, NotInstalled
from benchmarks.works import WORKS, Entry, Work


def only_ours(name: str) -> Environment:
    if name != "ergon":
        raise NotInstalled(f"no {name} here")
    return Environment(Path(sys.executable))


@pytest.fixture(autouse=True)
def _one_work(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (
        Entry("absent", "dbos", 1, "dbos"),
        Entry("first", "limits", 1, variant="rows"),
        Entry("broken", "limits", 1, variant="no such"),
        Entry("second", "limits", 2, variant="rows"),
    )
    monkeypatch.setattr(run, "environment", only_ours)
    monkeypatch.setitem(WORKS, "T0", Work("of a test", entries))


def test_programs_take_turns_and_rounds_are_numbered() -> None:
    figures, _ = run.measure(["T0"], 2, ["first", "second"])
    assert [(each.name, each.settings["round"]) for each in figures] == [
        ("first", 1),
        ("second", 1),
        ("first", 2),
        ("second", 2),
    ]


def test_programs_that_cannot_run_are_said_and_the_others_run() -> None:
    figures, missing = run.measure(["T0"], 1)
    assert [each.name for each in figures] == ["first", "second"]
    assert missing["T0 absent"] == "no dbos here"
    assert "no such" in missing["T0 broken"]
