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


def test_disk_that_fails_fails_no_flow_and_the_worker_goes_on() -> None:
    _, refused = outages("broken", 2)
    assert refused


def test_files_that_may_not_grow_fail_no_flow_and_the_worker_goes_on() -> None:
    """In a process of its own, whose limit it is."""
    assert "3 budgets of files, " in rig("full", "3", "--kind", "files")


def rig(*line: str) -> str:
    """A turn of a rig in a process of its own; what it printed."""
    command = [sys.executable, "-m", "tests.stores.sqlite_rig", *line]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_processes_killed_within_a_system_call_lose_nothing_acknowledged() -> None:
    assert " deaths: nothing acknowledged was lost" in rig("deaths", "160")


def test_processes_killed_within_a_migration_leave_one_schema_or_the_other() -> None:
    assert " migrations that died: one schema or the other" in rig("migrations", "7")


def test_log_stays_short_under_writers_and_slow_readers() -> None:
    assert " pages read, " in rig("wal", "1", "--processes", "2")


def test_constant_checkpoints_of_many_processes_damage_nothing() -> None:
    assert " checkpoints, the log at most " in rig("stress", "1", "--processes", "2")


def test_system_calls_that_fail_are_typed_errors_and_lose_nothing() -> None:
    lives, faults = broken_calls(61)
    assert 9 <= faults <= lives == 18


def test_changed_bytes_are_right_answers_or_typed_errors() -> None:
    found = flips(100, 1)
    done = {kind: sum(number for name, number in found.items() if name.startswith(kind)) for kind in ("exit ", "writ")}
    assert done == {"exit ": 20, "writ": 20}
    assert sum(found.values()) == 140
