"""The demonstration keeps what it promises, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent.parent / "sample_flows" / "demo.py"


def run(script: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run([sys.executable, str(script)], env=environ, capture_output=True, text=True, timeout=150)


def processes_that_name(folder: Path) -> list[str]:
    """Command lines and environments of processes that speak of a folder."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder / "ergon-demo").encode() in told:
            found.append(entry.name)
    return found


def test_demo_with_a_killed_worker_ends_as_promised_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(DEMO, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All as promised" in done.stdout
    assert "$ ergon inspect order-A-17" in done.stdout
    assert "same  index_files index" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert processes_that_name(tmp_path) == []
