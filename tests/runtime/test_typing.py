"""mypy and pyright, both strict, infer what users rely on, and find exactly the marked mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("typing_cases.py")
ROOT = CASES.parent.parent.parent


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout


def mypy_errors() -> set[int]:
    text = run("mypy", "--strict", "--no-error-summary", "--hide-error-context", str(CASES))
    return {int(line) for line in re.findall(r"typing_cases\.py:(\d+): error:", text)}


def pyright_errors() -> set[int]:
    found = json.loads(run("pyright", "--outputjson", str(CASES)))
    return {
        problem["range"]["start"]["line"] + 1
        for problem in found["generalDiagnostics"]
        if problem["severity"] == "error" and problem["file"].endswith(CASES.name)
    }


@pytest.mark.parametrize("checker", [mypy_errors, pyright_errors], ids=["mypy", "pyright"])
def test_checker_on_typing_cases_finds_the_marked_lines(checker: Callable[[], set[int]]) -> None:
    marked = {n for n, line in enumerate(CASES.read_text().splitlines(), 1) if line.endswith("# error")}
    assert len(marked) > 10
    assert checker() == marked
