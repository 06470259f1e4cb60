"""Runs the rig that has to kill a mutant, and reads its verdict.

Killed is only what a rig has judged and found wanting: a rig that cannot run kills nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LIMIT = 600.0
"""Seconds after which a rig is given up: it has not judged. What a mutant makes hang, a test's own timeout notices."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (?:[\w/]+/)?(test_.+?)(?: - (.*))?$", re.MULTILINE)
_TOLD = re.compile(r"^(.*(?:\bseed \d+|\brepeat\b).*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rig said: `killed`, `survived`, or `broken` if it could not judge."""

    kind: Literal["killed", "survived", "broken"]
    said: str


def judge(folder: Path, killer: str) -> Verdict:
    """Run a rig in a copy of the checkout."""
    words = shlex.split(killer)
    tests = words[0].startswith("tests/")
    command = [sys.executable, "-m", *(_PYTEST if tests else ()), *words]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    own = {"PYTHONPATH": str(folder), "PYTHONHASHSEED": "0", "COLUMNS": "300"}
    own["PYTEST_DEBUG_TEMPROOT"] = str(folder.parent)  # several at once tidy up in each other's way
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=inherited | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return Verdict("broken", f"no verdict within {LIMIT:.0f} s")
    finally:
        _end(process)
    return _read(process.returncode, output, tests=tests)


_PYTEST = ("pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short", "--timeout=60")


def _read(code: int, output: str, *, tests: bool) -> Verdict:
    found = _FAILED.search(output) or (None if tests else _TOLD.search(output))
    if code == 0:
        return Verdict("survived", "nothing failed")
    if code == 1 and found:
        return Verdict("killed", " ".join(part for part in found.groups() if part))
    return Verdict("broken", f"exit code {code}: {_last(output)}")


def _last(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def _end(process: subprocess.Popen[str]) -> None:
    """End what the rig has left running, servers too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
