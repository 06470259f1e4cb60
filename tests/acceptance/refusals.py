"""How every refusal of the command line must look: the one check behind the tables of wrong input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.acceptance.processes import ROOT, Shop

Done = subprocess.CompletedProcess[str]


def refused(here: Shop, args: Sequence[str], code: int, *said: str, stdin: Path | None = None, **more: Any) -> None:
    """Run a command line that is refused, as it is and with --json; check the code, the words and the form.

    `said` must stand in the error: the cause, and what to do. `more` goes to subprocess.run.
    """

    def run(line: Sequence[str]) -> Done:
        if stdin is None:
            return here.run(*line, code=None, **more)
        with stdin.open("rb") as stream:
            return here.run(*line, code=None, stdin=stream, input=None, **more)

    lines = [list(args), [*args, "--json"]]
    if more:  # code that runs between fork and exec wants no threads around it
        plain, as_json = map(run, lines)
    else:
        with ThreadPoolExecutor(2) as pool:
            plain, as_json = pool.map(run, lines)
    check_text(plain, code, said)
    check_json(as_json, code)


def check_text(done: Done, code: int, said: Sequence[str]) -> None:
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (code, ""), done
    assert lines[0].startswith("error: "), done
    assert len(lines) <= 6, done.stderr
    assert done.stderr.endswith("\n")
    assert [part for part in said if part not in done.stderr] == [], done.stderr
    check_harmless(done.stderr)


def check_harmless(shown: str) -> None:
    """Nothing that a terminal obeys, and no frame of ours."""
    assert [line for line in shown.splitlines() if not line.isprintable()] == []
    assert "Traceback" not in shown
    assert f"{ROOT}/ergon_" not in shown


def check_json(done: Done, code: int) -> None:
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.isascii()
    assert done.stderr.count("\n") == 1, done.stderr
    error = json.loads(done.stderr)["error"]
    assert error["code"] == code
    assert error.keys() == {"code", "message", "hint"}
    assert "Traceback" not in error["message"]
