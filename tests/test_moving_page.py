"""The page for those who come from another library is true: its programs for Ergon run and print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ergon_runtime
from ergon_runtime import (
    Executor,
    FlowHandle,
    FlowRow,
    RetryPolicy,
    RunningWorker,
    Scheduler,
    Status,
    Store,
    Worker,
)

ROOT = Path(__file__).resolve().parent.parent
(PAGE,) = (ROOT / "docs").glob("coming-from-*.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
BLOCKS: list[tuple[str, str]] = BLOCK.findall(PAGE.read_text())
OURS = [(code, shown) for code, shown in BLOCKS if "from ergon_runtime import" in code]

TABLES = [row.split("|")[1:3] for row in PAGE.read_text().splitlines() if row.startswith("| ")]
KNOWN = {
    *ergon_runtime.__all__,
    *(
        name
        for each in (Executor, FlowHandle, FlowRow, RetryPolicy, RunningWorker, Scheduler, Store, Worker)
        for name in dir(each)
    ),
    *Status,
}
OTHERS = {"TypeError", "create_task", "gather", "get", "id", "is_retryable", "result", "timeout", "wait_for"}


def test_page_has_one_program_of_the_other_library_and_three_of_ours() -> None:
    assert (len(BLOCKS), len(OURS)) == (4, 3)
    for code, _ in BLOCKS:
        compile(code, PAGE.name, "exec")


@pytest.mark.parametrize(("code", "shown"), OURS)
def test_program_of_the_page_prints_what_the_page_shows(code: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(code)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")}
    done = subprocess.run(
        [sys.executable, "flows.py"],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert shown
    assert done.stdout == shown


def test_names_that_the_tables_give_are_public() -> None:
    calls = {name for _, right in TABLES for name in re.findall(r"\b([A-Za-z_]\w*)\(", right)}
    classes = {name for _, right in TABLES for name in re.findall(r"`([A-Z][a-z]\w*)", right)}
    assert len(calls) > 20
    assert calls | classes <= KNOWN | OTHERS
