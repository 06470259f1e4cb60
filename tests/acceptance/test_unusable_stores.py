"""Stores that cannot be used: missing, foreign, newer, damaged, locked, read-only, on a full disk."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Shop, shop
from tests.acceptance.refusals import refused

READERS = [["list"], ["inspect", "one"], ["replay", "one"]]
WRITERS = [["schedule", "hello"], ["signal", "x", "1"], ["cancel", "one"], ["worker", "--burst"]]
COMMANDS = [*READERS, *WRITERS]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    """A folder with flows.py and a store that holds one flow."""
    shutil.copy(ROOT / "tests/acceptance/wrong_input_flows.py", tmp_path / "flows.py")
    with shop(tmp_path) as made:
        made.run("schedule", "hello", "--id", "one")
        yield made


@contextmanager
def database(here: Shop) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(here.folder / "ergon.db", isolation_level=None)) as connection:
        yield connection


def files(here: Shop) -> set[str]:
    return {path.name for path in here.folder.iterdir()} - {"__pycache__"}


def flows(here: Shop) -> list[str]:
    return sorted(line.split("\t")[0] for line in here.run("list").stdout.splitlines())


@pytest.mark.parametrize("args", [["inspect", "x"], ["replay", "x"], ["signal", "x"], ["cancel", "x"]])
def test_store_that_does_not_exist_is_not_found_and_not_created(here: Shop, args: list[str]) -> None:
    before = files(here)
    refused(
        here, [*args, "--store", "sqlite:///new.db"], 3, "there is no store at", "new.db yet (from: flag)", "--store"
    )
    assert files(here) == before


def test_list_of_a_store_that_does_not_exist_is_empty_with_a_note(here: Shop) -> None:
    before = files(here)
    done = here.run("list", "--store", "sqlite:///new.db")
    assert done.stdout == ""
    assert "there is no store at" in done.stderr
    assert files(here) == before


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_store_in_a_missing_folder_is_exit_6(here: Shop, args: list[str]) -> None:
    refused(here, [*args, "--store", "sqlite:///no/such.db"], 6, f"{here.folder}/no", "create it")
    assert not (here.folder / "no").exists()


@pytest.mark.parametrize("args", [["list"], ["cancel", "one"], ["schedule", "hello"]], ids=" ".join)
def test_store_that_is_a_folder_is_exit_6(here: Shop, args: list[str]) -> None:
    refused(here, [*args, "--store", f"sqlite:///{here.folder}"], 6, f"{here.folder} is a folder; name a file in it")


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_file_that_is_no_database_is_exit_6_and_stays_as_it_is(here: Shop, args: list[str]) -> None:
    before = (here.folder / "flows.py").read_bytes()
    refused(here, [*args, "--store", "sqlite:///flows.py"], 6, "flows.py is not an Ergon store; name another file")
    assert (here.folder / "flows.py").read_bytes() == before


@pytest.mark.parametrize("args", [["list"], ["signal", "x"], ["schedule", "hello"]], ids=" ".join)
def test_database_of_something_else_is_exit_6_and_stays_as_it_is(here: Shop, args: list[str]) -> None:
    with closing(sqlite3.connect(here.folder / "other.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = (here.folder / "other.db").read_bytes()
    refused(here, [*args, "--store", "sqlite:///other.db"], 6, "but not an Ergon store; name another file")
    assert (here.folder / "other.db").read_bytes() == before


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_store_that_a_newer_ergon_writes_is_exit_6(here: Shop, args: list[str]) -> None:
    with database(here) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'min_writer'")
    refused(here, args, 6, "needs an Ergon that writes schema 99", "Upgrade ergon-runtime")


def test_newer_store_that_older_ergons_may_write_is_used(here: Shop) -> None:
    with database(here) as connection:
        connection.execute("PRAGMA user_version = 99")
    here.run("schedule", "hello", "--id", "two")
    assert flows(here) == ["one", "two"]


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_damaged_store_is_exit_6(here: Shop, args: list[str]) -> None:
    path = here.folder / "ergon.db"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(byte ^ 0xFF for byte in data[4096:]))
    refused(here, args, 6, "ergon.db is damaged", "keep a copy, and restore a backup")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE flow SET status = 'odd\x1b[2J'",
            "unknown status 'odd\\x1b[2J'; upgrade ergon-runtime, or restore a backup",
        ),
        ("DELETE FROM meta", "ergon.db is damaged: it does not say which Ergon may write it"),
        ("DROP TABLE wait", "no such table: wait"),
    ],
)
def test_store_with_senseless_content_is_exit_6(here: Shop, statement: str, said: str) -> None:
    with database(here) as connection:
        connection.execute(statement)
    for args in (["list"], ["cancel", "one"]):
        refused(here, args, 6, said)


def test_store_locked_by_another_process_can_be_read_but_not_written(here: Shop) -> None:
    def write(args: list[str]) -> None:
        refused(here, args, 6, "is locked by another process", "try again")

    with database(here) as connection, ThreadPoolExecutor() as pool:
        connection.execute("BEGIN EXCLUSIVE")
        writing = pool.map(write, WRITERS)  # each waits out its patience
        for args in READERS:
            assert "one" in here.run(*args).stdout
        list(writing)
    assert flows(here) == ["one"]


def bound_by_permissions() -> None:
    """In the child, before it executes: give up root's right to pass over file permissions."""
    if os.geteuid() == 0:
        for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, right, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def read_only(here: Shop) -> Iterator[Shop]:
    """The store's file and its folder may only be read."""
    (here.folder / "ergon.db").chmod(0o444)
    here.folder.chmod(0o555)
    try:
        probe = here.run("schedule", "hello", "--id", "probe", code=None, preexec_fn=bound_by_permissions)
        if probe.returncode == 0:
            pytest.skip("permissions do not bind this user, who may not give up the right either")
        yield here
    finally:
        here.folder.chmod(0o755)
        (here.folder / "ergon.db").chmod(0o600)


def test_read_only_store_is_exit_6_for_writers(read_only: Shop) -> None:
    for args in WRITERS:
        refused(read_only, args, 6, "is read-only; check the permissions", preexec_fn=bound_by_permissions)
    new = ["schedule", "hello", "--store", "sqlite:///new.db"]
    refused(
        read_only, new, 6, "new.db cannot be opened for writing: Permission denied", preexec_fn=bound_by_permissions
    )


def test_read_only_store_can_be_read(read_only: Shop) -> None:
    for args in READERS:
        assert "one" in read_only.run(*args, preexec_fn=bound_by_permissions).stdout


def test_store_that_may_not_even_be_looked_at_is_exit_6(read_only: Shop, tmp_path: Path) -> None:
    read_only.folder.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir()
    shutil.copy(tmp_path / "ergon.db", closed)
    closed.chmod(0o000)
    try:
        for args in (["list"], ["signal", "x"], ["schedule", "hello"]):
            line = [*args, "--store", f"sqlite:///{closed}/ergon.db"]
            refused(read_only, line, 6, "Permission denied", preexec_fn=bound_by_permissions)
    finally:
        closed.chmod(0o755)


@pytest.mark.parametrize("args", WRITERS, ids=" ".join)
def test_full_disk_is_exit_6_and_nothing_is_half_written(here: Shop, args: list[str]) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    here.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # Python would leave a part of it
    refused(here, args, 6, "check the disk, its quota and size limits", preexec_fn=limit)
    assert flows(here) == ["one"]
    with database(here) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (0,)
    here.run("worker", "--burst")
    assert here.json("inspect", "one")["status"] == "completed"


def test_disk_that_fills_up_within_a_write_leaves_nothing_of_it(here: Shop) -> None:
    (here.folder / "long.json").write_text(f'"{"x" * 250_000}"')
    size = (here.folder / "ergon.db").stat().st_size

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * size, 2 * size))

    here.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # Python would leave a part of it
    line = ["schedule", "hello", "--id", "long", "-a", "name:=@long.json"]
    refused(here, line, 6, "check the disk, its quota and size limits", preexec_fn=limit)
    assert flows(here) == ["one"]
    here.run(*line)
    assert flows(here) == ["long", "one"]
