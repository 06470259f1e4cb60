"""`ergon replay` as a process: it begins again under the hash seed of the store, and imports the user's flows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ergon_runtime import StoreIdentity
from tests.cli.shell import Shell, in_store

ROOT = Path(__file__).resolve().parents[2]
FLOWS = """
import os, sys
from ergon_runtime import flow, step
print("seed", os.environ.get("PYTHONHASHSEED"))

@step
async def pay(n: int) -> int:
    (open("paid", "a")).write("x")
    return n

@step
async def ship(n: int) -> int:
    return n

@flow
async def order(n: int) -> int:
    print("flow code runs")
    await pay(n)
    return await ship(n)
"""
CHANGED = FLOWS.replace("    return await ship(n)", "    return await ship(n + 1)")


def ergon(*args: str, flows: str = FLOWS) -> subprocess.CompletedProcess[str]:
    """Run one command in the current folder, beside this flows.py."""
    Path("flows.py").write_text(flows)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ERGON_", "PYTHONHASHSEED"))}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "ergon_cli", *args], env=environ, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with one completed flow, `A-17`."""
    folder = tmp_path_factory.mktemp("recorded")
    before = Path.cwd()
    os.chdir(folder)
    try:
        for args in (["schedule", "order", "-a", "n=1", "--id", "A-17"], ["worker", "--burst"]):
            run = ergon(*args)
            assert run.returncode == 0, run.stderr
        assert Path("paid").read_text() == "x"
        assert not Path("ergon.db-wal").exists()
        return Path("ergon.db").read_bytes()
    finally:
        os.chdir(before)


@pytest.fixture
def folder(recorded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the recorded store in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ergon.db").write_bytes(recorded)
    return tmp_path


def test_replay_of_equal_code_is_same_under_the_seed_of_the_store(folder: Path) -> None:
    run = ergon("replay", "17")
    assert (run.returncode, run.stdout) == (0, "same  order A-17: 2 of 2 recorded completions delivered\n")
    identity: StoreIdentity = in_store(lambda store: store.identity())
    assert run.stderr.splitlines() == [f"seed {identity.hash_seed}", "flow code runs"]
    assert not (folder / "paid").exists()


def test_replay_of_changed_code_shows_both_sides_and_the_line(folder: Path) -> None:
    run = ergon("replay", "A-17", flows=CHANGED)
    assert run.returncode == 5
    lines = run.stdout.splitlines()
    assert lines[0] == "DIVERGED  order A-17 after 1 of 2 recorded completions"
    line = CHANGED.splitlines().index("    return await ship(n + 1)") + 1
    assert lines[1].split("\t")[:4] == ["1", "=", 'step pay("n":1)', 'step pay("n":1)']
    sides = ["2", "!=", 'step ship("n":1)', 'step ship("n":2)']
    assert lines[2].split("\t") == [*sides, f"flows.py:{line}", "return await ship(n + 1)"]
    assert lines[-1] == f"cause: step ship is asked for with other arguments, at flows.py:{line} (other arguments)"
    ways = [line for line in run.stderr.splitlines() if line.startswith(("to go on: ", "       or: "))]
    assert any("patched(" in way for way in ways)


def test_replay_with_json_is_one_line_a_flow_and_ends_with_the_highest_code(folder: Path) -> None:
    run = ergon("replay", "nope", "A-17", "--json", flows=CHANGED)
    assert run.returncode == 5
    (report,) = [json.loads(line) for line in run.stdout.splitlines()]
    assert (report["id"], report["verdict"], report["position"], report["key"]) == ("A-17", "diverged", 1, "ship")
    assert (report["recorded"], report["current"]) == ('step ship("n":1)', ['step ship("n":2)'])
    assert '"code": 3' in run.stderr


def test_replay_without_code_for_the_flow_is_not_found(folder: Path) -> None:
    run = ergon("replay", "A-17", flows=FLOWS.replace("@flow\n", "@flow(name='other')\n"))
    assert (run.returncode, run.stdout) == (3, "UNSERVED  order A-17: no flow order in the modules loaded\n")


def test_replay_of_stored_data_that_no_longer_fits_is_a_divergence(folder: Path) -> None:
    run = ergon("replay", "A-17", flows=FLOWS.replace("order(n: int)", "order(n: list[int])"))
    assert run.returncode == 5
    assert run.stdout.startswith("UNREADABLE  order A-17: ")


def test_replay_of_a_module_that_fails_is_an_import_error(folder: Path) -> None:
    assert ergon("replay", "A-17", flows="1 / 0").returncode == 7


def test_replay_without_a_store_is_not_found_and_creates_nothing(ergon: Shell) -> None:
    assert ergon("replay", "A-17") == 3
    assert list(ergon.folder.iterdir()) == []
