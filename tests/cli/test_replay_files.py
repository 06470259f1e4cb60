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
RECORDED = sorted((ROOT / "tests/histories").glob("*-py3.11"))[0]
CODE = (ROOT / "tests/histories/flows.py").read_text()
FLOWS = CODE + "\nimport os\nprint('seed', os.environ['PYTHONHASHSEED'])\n"
CHANGED = FLOWS.replace("enumerate(WORDS)", "enumerate(sorted(WORDS))").replace("costs", "spendings")
RACES = (RECORDED / "races.jsonl").read_text()
"""A flow that asks for its steps in the order of a set of strings."""
OTHER = "from ergon_runtime import flow\n@flow\nasync def bill() -> None: ...\n"
DAG = (RECORDED / "dag.jsonl").read_text().replace('"hash_seed": "1"', '"hash_seed": "2"')


def run(*args: str, flows: str = FLOWS, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """One command in the current folder, beside this flows.py."""
    Path("flows.py").write_text(flows)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ERGON_", "PYTHONHASHSEED"))}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "ergon_cli", *args]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False, input=given)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with histories of two seeds in it; afterwards no store is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "races.jsonl").write_text(RACES)
    (tmp_path / "dag.jsonl").write_text(DAG)
    yield tmp_path
    assert not (tmp_path / "ergon.db").exists()


def test_file_is_replayed_under_its_seed_without_a_store(files: Path) -> None:
    done = run("replay", "races.jsonl")
    assert (done.returncode, done.stderr) == (0, "seed 1\n")
    assert done.stdout == "same  history.races f: 29 of 29 recorded completions delivered\n"


def test_difference_in_one_of_several_seeds_is_told_whole(files: Path) -> None:
    (files / "both.jsonl").write_text(f"{RACES}broken\n{DAG}")
    done = run("replay", "both.jsonl", "--json", flows=CHANGED)
    *reports, last = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 5
    assert done.stderr.count("both.jsonl, line 2: it is not JSON") == 1
    assert [each["flow"] for each in reports] == ["history.races", "history.dag"]
    assert reports[0] == json.loads(run("replay", "races.jsonl", "--json", flows=CHANGED).stdout)
    assert last["summary"] == {"same": 0, "diverged": 2, "unreadable": 0, "unserved": 0}


@pytest.mark.parametrize(
    ("given", "said", "seeds"),
    [(RACES, "same  history.races f: 29 of 29", ["1"]), (RACES + DAG, "2 flows replayed: 2 same", ["1", "2"])],
    ids=["one seed", "two seeds"],
)
def test_standard_input_is_replayed_whole_by_each_process(files: Path, given: str, said: str, seeds: list[str]) -> None:
    done = run("replay", "-", given=given)
    assert done.returncode == 0
    assert done.stdout.startswith(said)
    assert done.stderr.splitlines() == [f"seed {seed}" for seed in seeds]


def test_module_that_fails_for_several_seeds_is_an_import_error_told_once(files: Path) -> None:
    done = run("replay", "races.jsonl", "dag.jsonl", flows="1 / 0")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.count("error:") == 1


def test_what_modules_write_past_python_is_no_report_of_a_seed(files: Path) -> None:
    loud = FLOWS + "import atexit\nos.write(1, b'past it\\n')\natexit.register(print, 'the end')\n"
    done = run("replay", "races.jsonl", "dag.jsonl", flows=loud)
    assert (done.returncode, done.stdout) == (0, "2 flows replayed: 2 same\n"), done.stderr
    assert sorted(done.stderr.splitlines()) == sorted(2 * ["past it", "the end"] + ["seed 1", "seed 2"])


# --- in this process, which is under the seed of the files
@pytest.fixture
def here(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    (ergon.folder / "one.jsonl").write_text(DAG)
    (ergon.folder / "flows.py").write_text(OTHER)
    paths = list(sys.path)
    with registry.isolated():
        yield ergon
    sys.path[:] = paths
    sys.modules.pop("flows", None)


def test_type_that_is_not_loaded_is_a_fault_of_one_file_and_of_many(here: Shell) -> None:
    line = (here.folder / "one.jsonl").read_text()
    assert here("replay", "one.jsonl") == 3
    assert here.out == "UNSERVED  history.dag f: no flow history.dag in the modules loaded\n"
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
