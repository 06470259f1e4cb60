"""A short turn of each fuzzer, and the cases that once failed: in processes of their own, for they set alarms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TURNS = {
    "command_lines": 50,
    "configs": 40,
    "addresses": 500,
    "payloads": 100,
    "journals": 25,
    "history_files": 40,
    "replies": 12,
    "screens": 25,
    "processes": 3,
}


def fuzz(*args: str) -> str:
    """Run the fuzzers' own command; fail with what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--patience", "60", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", TURNS)
def test_fuzzer_for_a_while_finds_nothing(name: str, tmp_path: Path) -> None:
    count = TURNS[name]
    said = fuzz("--only", name, "--cases", str(count), "--seed", "ci", "--found", str(tmp_path))
    assert f"{name}: {count} cases" in said


def test_cases_that_failed_once_are_right_now() -> None:
    cases = sorted(path.name for path in (ROOT / "tests/fuzz/found").glob("*.json"))
    said = fuzz("--repeat", "tests/fuzz/found")
    assert [line.partition(": ")[0] for line in said.splitlines()] == cases
