"""Short turns of the rigs of SQLite's world; `python -m tests.stores.sqlite_rig` has the long ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.stores.files import ROOT
from tests.stores.sqlite.broken_calls import broken_calls
from tests.stores.sqlite.flips import flips
from tests.stores.sqlite.outages import outages


@pytest.mark.parametrize("kind", ["pages", "space"])
def test_disk_without_room_fails_no_flow_and_the_worker_goes_on(kind: str) -> None:
    runs, refused = outages(kind, 4)
    assert 2 <= refused <= runs == 4


def test_files_that_may_not_grow_fail_no_flow_and_the_worker_goes_on() -> None:
    """In a process of its own, whose limit it is."""
    command = [sys.executable, "-m", "tests.stores.sqlite_rig", "full", "3", "--kind", "files"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "3 budgets of files, " in done.stdout, done.stderr


def test_system_calls_that_fail_are_typed_errors_and_lose_nothing() -> None:
    lives, faults = broken_calls(37)
    assert 9 <= faults <= lives


def test_changed_bytes_are_right_answers_or_typed_errors() -> None:
    found = flips(100, 1)
    assert found["right"] > 50
    assert found["StoreCorrupt"] > 0
    assert sum(number for name, number in found.items() if name.startswith("exit")) == 20
