"""Histories that any release recorded, under any Python, replay with this code under this Python."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from ergon_runtime.core.entries import Entry
from ergon_runtime.histories import FlowHistory, read_lines

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
FILES = sorted(FOLDER.glob("*/*.jsonl"))
FOLDERS = sorted({file.parent for file in FILES})
NOT_RECORDED: dict[str, str] = {}
"""Kinds of entries that no recorded flow has, and why."""


def histories(*files: Path) -> list[FlowHistory]:
    found = [each for file in files for each in read_lines(io.BytesIO(file.read_bytes()), str(file))]
    assert all(isinstance(each, FlowHistory) for each in found), found
    return [each for each in found if isinstance(each, FlowHistory)]


def replay(module: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ergon_cli", "replay", *map(str, files), "-m", module, "--json", "--check-result"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ERGON_", "PYTHONHASHSEED"))}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False)


def test_every_recorded_history_is_the_same_with_the_code_of_today() -> None:
    run = replay("tests.histories.flows", *FILES)
    *reports, _ = map(json.loads, run.stdout.splitlines())
    assert [report for report in reports if report["verdict"] != "same"] == []
    assert [report["id"] for report in reports] == [each.row.id for each in histories(*FILES)]
    assert run.returncode == 0


def test_change_of_their_flows_would_be_noticed(tmp_path: Path) -> None:
    """Sets that iterate otherwise, and steps of other names."""
    changed = (FOLDER / "flows.py").read_text().replace("enumerate(WORDS)", "enumerate(sorted(WORDS))")
    module = tmp_path / "changed.py"
    module.write_text(changed.replace('await tell("clean up")', 'await tell("clear up")'))
    files = [FOLDERS[0] / f"{name}.jsonl" for name in ("races", "cancelled", "failed")]
    run = replay(str(module), *files)
    *reports, _ = map(json.loads, run.stdout.splitlines())
    assert [report["verdict"] for report in reports] == ["diverged", "diverged", "same"]
    assert run.returncode == 5


def test_every_kind_of_entry_is_recorded_by_each_python() -> None:
    known = {kind.kind for kind in get_args(Entry)}
    for folder in FOLDERS:
        kinds = {json.loads(entry)[0] for each in histories(*folder.glob("*.jsonl")) for entry in each.entries}
        assert known - kinds == set(NOT_RECORDED), folder.name


@pytest.mark.parametrize("release", sorted({folder.name.partition("-py")[0] for folder in FOLDERS}))
def test_release_is_recorded_by_every_python_that_it_runs_on(release: str) -> None:
    pythons = {folder.name.partition("-py")[2] for folder in FOLDERS if folder.name.startswith(f"{release}-")}
    assert {"3.11", "3.12", "3.13"} <= pythons
    names = [{file.name for file in (FOLDER / f"{release}-py{python}").iterdir()} for python in sorted(pythons)]
    assert all(each == names[0] for each in names)


def test_recorded_journals_name_the_python_that_wrote_them() -> None:
    for folder in FOLDERS:
        written = {json.loads(each.entries[0])[-1] for each in histories(folder / "order.jsonl")}
        assert written == {folder.name.partition("-py")[2]}
