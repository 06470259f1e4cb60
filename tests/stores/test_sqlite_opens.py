"""Nobody opens a store's files but SQLite: closing one would drop all locks that SQLite has on it in that process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ergon_runtime.stores.sqlite import SQLiteStore
from tests.stores.files import ROOT, nothing, raw, using

_LIFE = """
import os, sys

FILES = ("ergon.db", "ergon.db-wal", "ergon.db-shm")
seen = []

def hook(event, arguments):
    if event != "open" or not isinstance(arguments[0], str | bytes):
        return
    path, flags = os.fsdecode(arguments[0]), arguments[2]
    if os.path.basename(path) in FILES and not flags & os.O_EXCL:  # who makes the file is alone with it
        seen.append(path)

sys.addaudithook(hook)
from ergon_cli.app import main

for line in sys.stdin.read().splitlines():
    code = main(line.split())
    print("exit", code, line)
if sys.argv[1:]:
    open("ergon.db", "rb").close()
print("seen", seen)
"""
_FLOWS = """
from ergon_runtime import flow, step

@step
def opens_step() -> str: return "told"

@flow(name="sqlite_opens")
async def opens_flow() -> str: return await opens_step()
"""
_LINES = [
    "run sqlite_opens --id a",
    "schedule sqlite_opens --id b",
    "list",
    "list --json",
    "inspect a --json",
    "replay a",
    "signal go 1",
    "cancel b",
    "export --all -o flows.jsonl",
    "fork a --from opens_step --id c --yes",
    "store copy sqlite:///ergon.db sqlite:///copy.db",
    "store backup backup.db",
]


def life(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Commands in one process, after each other. Under the store's hash seed none begins another process."""
    (folder / "flows.py").write_text(_FLOWS)
    using(SQLiteStore(folder / "ergon.db"), nothing)
    conn = raw(folder / "ergon.db")
    conn.execute("UPDATE meta SET value = '0' WHERE key = 'hash_seed'")
    conn.close()
    return subprocess.run(
        [sys.executable, "-c", _LIFE, *more],
        input="\n".join(_LINES),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )


def test_store_in_use_is_opened_by_sqlite_alone(tmp_path: Path) -> None:
    done = life(tmp_path)
    assert done.stdout.splitlines()[-1:] == ["seen []"], done
    ends = [line for line in done.stdout.splitlines() if line.startswith("exit")]
    assert ends == [f"exit 0 {line}" for line in _LINES], done


def test_store_that_is_opened_otherwise_is_seen(tmp_path: Path) -> None:
    assert life(tmp_path, "open it").stdout.splitlines()[-1] == "seen ['ergon.db']"
