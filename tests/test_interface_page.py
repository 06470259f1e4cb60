"""The programs on the page about the interface do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/interface.md").read_text()


def block(heading: str) -> str:
    """The first Python block under a heading."""
    found = re.search(rf"^##+ {heading}\n.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@pytest.fixture
def program(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "flows.py").write_text(block("Definitions"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")}
    pythonpath = f"{ROOT}{os.pathsep}{tmp_path}"
    return {"cwd": tmp_path, "env": {**environ, "PYTHONPATH": pythonpath}, "text": True, "timeout": 60}


def run(program: dict[str, Any], text: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", text], capture_output=True, check=False, **program)
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


def test_program_that_runs_a_flow_prints_its_result(program: dict[str, Any]) -> None:
    assert run(program, block("Running in Python")) == "shipped A-17\n"


def test_program_that_embeds_a_worker_ends_by_ctrl_c(program: dict[str, Any]) -> None:
    text = (
        "import asyncio, os, signal\nfrom ergon_runtime import Worker, open_store\nfrom flows import ship\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests in the background have it ignored
        "async def main():\n"
        "    asyncio.get_running_loop().call_later(0.3, os.kill, os.getpid(), signal.SIGINT)\n"
        + textwrap.indent(block("Inside an application"), "    ")
        + "try:\n    asyncio.run(main())\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    )
    assert run(program, text) == "interrupted\n"
