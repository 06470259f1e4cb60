"""`ergon replay` of exported files: without a store, each history under its own hash seed, all with one outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ergon_cli.recordings import are_recordings
from ergon_runtime import registry
from tests.cli.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
FLOWS = """
import os, sys
from ergon_runtime import flow, step
print("seed", os.environ.get("PYTHONHASHSEED"))

@step
async def pay(n: int) -> int:
    return n

@step
async def ship(word: str) -> str:
    return word

@flow
async def order(n: int) -> int:
    print("flow code runs")
    for word in {"ada", "bob", "cyd", "dan", "eve", "fay", "gil"}:
        await ship(word)
    return await pay(n)
"""
CHANGED = FLOWS.replace("return await pay(n)", "return await pay(n + 1)")
OTHER = FLOWS.replace("async def order(", "async def bill(")


def run(*args: str, flows: str = FLOWS, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """One command in the current folder, beside this flows.py."""
    Path("flows.py").write_text(flows)
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "ergon_cli", *args]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False, input=given)


def seed_of(line: str) -> str:
    return str(json.loads(line)["hash_seed"])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A completed flow of each of two stores, exported."""
    before, lines = Path.cwd(), list[str]()
    try:
        for name in ("one", "other"):
            os.chdir(tmp_path_factory.mktemp(name))
            ran = run("run", "order", "-a", "n=1", "--id", name)
            assert ran.returncode == 0, ran.stderr
            ran = run("export", name)
            assert ran.returncode == 0, ran.stderr
            lines.append(ran.stdout)
    finally:
        os.chdir(before)
    return lines[0], lines[1]


@pytest.fixture
def files(exported: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with both in it; afterwards no store is."""
    monkeypatch.chdir(tmp_path)
    for name, line in zip(("one", "other"), exported, strict=True):
        (tmp_path / f"{name}.jsonl").write_text(line)
    yield tmp_path
    assert not (tmp_path / "ergon.db").exists()


def test_file_is_replayed_under_its_seed_without_a_store(files: Path, exported: tuple[str, str]) -> None:
    done = run("replay", "one.jsonl")
    assert (done.returncode, done.stdout) == (0, "same  order one: 8 of 8 recorded completions delivered\n")
    assert done.stderr.splitlines() == [f"seed {seed_of(exported[0])}", "flow code runs"]


def test_histories_of_several_seeds_have_one_outcome(files: Path, exported: tuple[str, str]) -> None:
    done = run("replay", "one.jsonl", "other.jsonl")
    assert (done.returncode, done.stdout) == (0, "2 flows replayed: 2 same\n")
    seeds = [f"seed {seed_of(line)}" for line in exported]
    assert done.stderr.splitlines() == [seeds[0], "flow code runs", seeds[1], "flow code runs"]


def test_difference_in_one_of_several_seeds_is_told_whole(files: Path) -> None:
    (files / "both.jsonl").write_text((files / "one.jsonl").read_text() + (files / "other.jsonl").read_text())
    done = run("replay", "both.jsonl", "--json", flows=CHANGED)
    *reports, last = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 5
    assert [(each["id"], each["verdict"], each["position"]) for each in reports] == [
        ("one", "diverged", 7),
        ("other", "diverged", 7),
    ]
    assert reports[0] == json.loads(run("replay", "one.jsonl", "--json", flows=CHANGED).stdout)
    assert last["summary"] == {"same": 0, "diverged": 2, "unreadable": 0, "unserved": 0}


@pytest.mark.parametrize("seeds", [1, 2])
def test_standard_input_is_replayed_whole_though_the_process_begins_again(
    files: Path, exported: tuple[str, str], seeds: int
) -> None:
    done = run("replay", "-", given="".join(exported[:seeds]))
    assert done.returncode == 0
    assert done.stdout.count(f"{seeds} same" if seeds > 1 else "same  order one: 8 of 8") == 1


def test_module_that_fails_for_several_seeds_is_an_import_error_told_once(files: Path) -> None:
    done = run("replay", "one.jsonl", "other.jsonl", flows="1 / 0")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.count("error:") == 1


# --- in this process, which is under the seed of the files
@pytest.fixture
def here(exported: tuple[str, str], ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONHASHSEED", seed_of(exported[0]))
    (ergon.folder / "one.jsonl").write_text(exported[0])
    (ergon.folder / "flows.py").write_text(OTHER)
    paths = list(sys.path)
    with registry.isolated():
        yield ergon
    sys.path[:] = paths
    sys.modules.pop("flows", None)


def test_type_that_is_not_loaded_is_a_fault_of_one_file_and_of_many(here: Shell) -> None:
    line = (here.folder / "one.jsonl").read_text()
    assert here("replay", "one.jsonl") == 3
    assert here.out == "UNSERVED  order one: no flow order in the modules loaded\n"
    (here.folder / "two.jsonl").write_text(line + line)
    assert here("replay", "two.jsonl") == 3
    assert here.out.splitlines()[2] == "0 flows replayed: 0 same; 2 of types that are not loaded"


def test_line_that_cannot_be_read_is_told_and_the_next_replayed(here: Shell) -> None:
    line = (here.folder / "one.jsonl").read_text()
    (here.folder / "three.jsonl").write_text(f"{line}broken\n{line}")
    assert here("replay", "three.jsonl", "missing.jsonl", "--json") == 3
    assert [each.get("verdict") for each in here.json] == ["unserved", "unserved", None]
    said = [json.loads(each)["error"]["message"] for each in here.err.splitlines() if each.startswith("{")]
    assert said[0].startswith("three.jsonl, line 2: it is not JSON")
    assert said[1] == "cannot read missing.jsonl: No such file or directory"


def test_nothing_exported_is_nothing_to_replay(here: Shell) -> None:
    (here.folder / "none.jsonl").write_text("")
    assert here("replay", "none.jsonl") == 0
    assert here.out == "0 flows replayed: 0 same\n"
    assert here("replay", "missing.jsonl") == 2


def test_files_and_ids_or_all_do_not_go_together(here: Shell) -> None:
    assert here("replay", "one.jsonl", "A-17") == 2
    assert "give files or flow ids, not both: 'A-17' is no file" in here.err
    assert here("replay", "one.jsonl", "--all") == 2


def test_files_are_told_from_ids_by_their_names_or_by_being_there(here: Shell) -> None:
    (here.folder / "history").write_text("")
    assert are_recordings(["a.jsonl", "-", "history"])
    assert not are_recordings(["A-17", "."])
    assert not are_recordings([])
