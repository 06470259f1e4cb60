"""`ergon store backup`: what it says and refuses, by which exit code; and who may use a backup."""

from __future__ import annotations

import json

import pytest

from ergon_runtime import Store
from ergon_runtime.stores.sqlite import backup
from tests.cli.shell import URL, Shell, in_store
from tests.stores.harness import new

COPY = "sqlite:///b.db"


def fill(flows: int = 3) -> None:
    async def work(store: Store) -> None:
        for n in range(flows):
            await store.create(new(f"f{n}", args=b"x" * 5000))

    in_store(work)


def test_backup_says_where_it_is_and_is_a_store(ergon: Shell) -> None:
    fill()
    assert ergon("store", "backup", "b.db") == 0
    size = (ergon.folder / "b.db").stat().st_size
    assert ergon.out == f"backed up and checked: b.db, {size // 1024} KiB\n"
    assert ergon.err == "copying; then the copy is checked\n"
    assert ergon("list", "--store", COPY) == 0
    assert [row[0] for row in ergon.rows] == ["f2", "f1", "f0"]


def test_backup_as_json_says_nothing_else(ergon: Shell) -> None:
    fill()
    assert ergon("store", "backup", "b.db", "--json") == 0
    size = (ergon.folder / "b.db").stat().st_size
    source = str(ergon.folder / "ergon.db")
    assert (ergon.json, ergon.err) == ([{"source": source, "backup": "b.db", "bytes": size}], "")


def test_backup_on_a_terminal_draws_a_bar_and_takes_it_away(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    monkeypatch.setattr(backup, "PAGES", 10)
    for module in ("ergon_cli.progress", "ergon_cli.commands.store_backup"):
        monkeypatch.setattr(f"{module}.is_terminal", lambda stream: True)
    assert ergon("store", "backup", "b.db") == 0
    shown = [line.removesuffix("\x1b[K") for line in ergon.err.split("\r")]
    assert shown[0].startswith("pages: [")
    assert " 10 of " in shown[0]
    assert shown[-1].replace("\x1b[K", "") == ""


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["b.db", "--store", "memory://"], 2, "keeps nothing from one command to the next"),
        (["b.db", "--store", "redis://user:secret@127.0.0.1:1"], 2, "ergon store copy REDIS sqlite:///backup.db"),
        (["b.db", "--store", "sqlite:///none.db"], 3, "none.db yet (from: flag)"),
        (["b.db", "--store", "sqlite:///no/none.db"], 6, "no folder"),
        (["sqlite:///b.db"], 2, "is an address; a backup is a file"),
        (["no/b.db"], 2, "no folder"),
        (["ergon.db"], 2, "is there already"),
    ],
)
def test_backup_that_cannot_be_is_refused(ergon: Shell, line: list[str], code: int, said: str) -> None:
    fill()
    assert ergon("store", "backup", *line) == code
    assert said in ergon.err
    assert "secret" not in ergon.err
    assert not (ergon.folder / "b.db").exists()


@pytest.mark.usefixtures("flows")
def test_backup_is_read_but_not_run_until_somebody_asks(ergon: Shell) -> None:
    fill()
    assert ergon("store", "backup", "b.db") == 0
    for line in (["worker", "--burst"], ["schedule", "order", "-a", "n=1"], ["signal", "x"], ["cancel", "f0"]):
        assert ergon(*line, "--store", COPY) == 6
        assert "which is still there" in ergon.err
    assert ergon("schedule", "order", "-a", "n=1", "--store", COPY, "--json") == 6
    assert "?backup=run" in json.loads(ergon.err)["error"]["message"]
    assert ergon("inspect", "f0", "--store", COPY) == 0
    assert ergon("schedule", "order", "-a", "n=1", "--store", f"{COPY}?backup=run") == 0


@pytest.mark.usefixtures("flows")
def test_backup_is_restored_by_its_name(ergon: Shell) -> None:
    fill()
    assert ergon("store", "backup", "b.db") == 0
    (ergon.folder / "ergon.db").unlink()
    assert ergon("schedule", "order", "-a", "n=1", "--id", "x", "--store", COPY) == 0
    assert ergon("store", "backup", "c.db", "--store", COPY) == 0
    assert URL not in ergon.out
