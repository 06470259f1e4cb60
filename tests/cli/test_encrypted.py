"""Commands on encrypted stores: with the keys, without them, and with others; and the ways from one key to the next."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.shell import URL, Shell

pytestmark = pytest.mark.usefixtures("flows")
TWO = "sqlite:///two.db"
CANARY = "c4n4ry"


@pytest.fixture(autouse=True)
def any_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run flows stay in this process."""
    for command in ("worker", "replay", "run"):
        monkeypatch.setattr(f"ergon_cli.commands.{command}.under_hash_seed", lambda seed: None)


def configure(ergon: Shell, *key_ids: str, read_plain: bool = False) -> None:
    """Configure these keys, the first of which writes; files that are missing are made."""
    for key_id in key_ids:
        path = ergon.folder / f"{key_id}.key"
        if not path.exists():
            path.write_text(f"{key_id[-1] * 64}\n")
            path.chmod(0o600)
    sources = json.dumps([f"{key_id}={key_id}.key" for key_id in key_ids])
    text = f"[crypto]\nkeys = {sources}\nread_plain = {json.dumps(read_plain)}\n"
    (ergon.folder / "ergon.toml").write_text(text if key_ids else "")


def lived(ergon: Shell) -> None:
    """One flow of each kind, ended, in a store whose payloads have the canary."""
    for flow, args in (("order", ("n=3", f"note={CANARY}")), ("broken", ())):
        told = [part for arg in args for part in ("-a", arg)]
        assert ergon("schedule", flow, "--id", flow[0].upper(), *told) == 0
    assert ergon("worker", "--burst") == 0


def shown(ergon: Shell, *ids: str) -> list[dict[str, object]]:
    assert ergon("inspect", "--json", *ids) == 0
    return ergon.json


def dump(path: Path) -> list[str]:
    """All that a SQLite file holds."""
    with closing(sqlite3.connect(path)) as conn:
        return list(conn.iterdump())


def in_files(folder: Path, name: str = "ergon.db") -> bool:
    return any(CANARY.encode() in path.read_bytes() for path in folder.glob(f"{name}*"))


def test_commands_with_the_key_see_everything_and_the_file_nothing(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    order, broken = shown(ergon, "O", "B")
    assert order["args"] == {"n": 3, "amount": "1.50", "note": CANARY}
    assert order["result"] == f"3 1.50 {CANARY}"
    assert "no luck" in str(broken["error"])
    assert ergon("worker", "--burst") == 0
    assert " · encrypted with key k1 · flows " in ergon.err
    assert ergon("replay", "--all") == 0
    assert not in_files(ergon.folder)


def test_looking_without_the_key_shows_ids_and_statuses_and_says_encrypted(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    configure(ergon)
    assert ergon("list") == 0
    assert [row[:3] for row in ergon.rows] == [["B", "broken", "failed"], ["O", "order", "completed"]]
    order, broken = shown(ergon, "O", "B")
    assert (order["args"], order["result"], order["error"]) == ("encrypted", "encrypted", None)
    missing = {"type": "encrypted", "message": "its key 'k1' is not among the [crypto] keys here", "traceback": None}
    assert (broken["args"], broken["result"], broken["error"]) == ("encrypted", None, missing)
    for flow in (order, broken):
        (step,) = flow["steps"]  # type: ignore[misc]  # one for all entries
        assert (step["key"], step["status"], step["result"]) == ("encrypted", "completed", "1 journal entry")
    assert ergon("inspect", "O") == 0
    assert 'IN\t"encrypted"\nOUT\t"encrypted"' in ergon.out


def test_looking_with_a_key_that_cannot_be_had_says_so(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    os.remove(ergon.folder / "k1.key")
    assert ergon("list") == 0
    assert len(ergon.rows) == 2
    said = f"what is encrypted is not shown: key 'k1': cannot read {ergon.folder}/k1.key: No such file or directory\n"
    assert ergon.err == said


REFUSED: Sequence[tuple[str, ...]] = (
    ("schedule", "order", "-a", "n=1"),
    ("worker", "--burst"),
    ("run", "order", "-a", "n=1"),
    ("replay", "O"),
    ("export", "O"),
    ("signal", "go", "1"),
    ("cancel", "O"),
    ("retry", "B", "--yes"),
    ("fork", "O", "--from", "x", "--dry-run"),
    ("store", "copy", URL, TWO),
)


def test_every_other_command_without_the_key_is_refused(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    before = dump(ergon.folder / "ergon.db")
    configure(ergon)
    refused(ergon, 6, "is encrypted, and no keys are configured; configure its keys: [crypto] keys in ergon.toml")
    configure(ergon, "k1")
    (ergon.folder / "k1.key").write_text("ab" * 32)
    refused(ergon, 6, "was written with another key 'k1' than the one configured; configure the right one")
    (ergon.folder / "k1.key").chmod(0o644)
    refused(ergon, 2, "take them away: chmod 600")
    assert dump(ergon.folder / "ergon.db") == before
    assert not (ergon.folder / "two.db").exists()


def refused(ergon: Shell, code: int, said: str) -> None:
    for command in REFUSED:
        assert (ergon(*command), said in ergon.err) == (code, True), command


def test_key_from_the_environment_works_for_every_command(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERGON_CRYPTO__KEYS", "k1=env:SHOP_KEY")
    monkeypatch.setenv("SHOP_KEY", "ab" * 32)
    lived(ergon)
    assert shown(ergon, "O")[0]["result"] == f"3 1.50 {CANARY}"
    assert not in_files(ergon.folder)


# From one key to the next, and from none to one


def test_rotation_in_place_reads_the_old_and_writes_the_new(ergon: Shell) -> None:
    configure(ergon, "k1")
    assert ergon("schedule", "order", "-a", "n=1", "--id", "first") == 0
    configure(ergon, "k2", "k1")
    assert ergon("schedule", "order", "-a", "n=1", "--id", "first") == 0  # the same flow
    assert ergon("schedule", "order", "-a", "n=2", "--id", "first") == 2
    assert ergon("worker", "--burst") == 0
    assert shown(ergon, "first")[0]["result"] == "1 1.50 None"
    configure(ergon, "k1")
    assert ergon("worker", "--burst") == 6
    assert "encrypted with key 'k2', which is not configured" in ergon.err


def test_copy_leaves_the_old_key_behind(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    configure(ergon, "k2", "k1")
    assert ergon("store", "copy", URL, TWO) == 0
    assert ergon.err == "the copy is encrypted with key 'k2'\ncopying; then both are compared\n"
    configure(ergon, "k2")
    assert ergon("inspect", "--json", "O", "--store", TWO) == 0
    assert ergon.json[0]["result"] == f"3 1.50 {CANARY}"
    assert not in_files(ergon.folder, "two.db")


def test_copy_of_a_plain_store_is_encrypted(ergon: Shell) -> None:
    lived(ergon)
    assert in_files(ergon.folder)
    configure(ergon, "k1")
    assert ergon("list") == 6
    assert "is not encrypted, and it is not empty; copy it to a new one (ergon store copy)" in ergon.err
    assert ergon("store", "copy", URL, TWO) == 0
    assert ergon("inspect", "--json", "O", "--store", TWO) == 0
    assert ergon.json[0]["result"] == f"3 1.50 {CANARY}"
    assert not in_files(ergon.folder, "two.db")


def test_copy_with_decrypt_is_plain(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    assert ergon("store", "copy", URL, TWO, "--decrypt") == 0
    assert ergon.err == "the copy is not encrypted\ncopying; then both are compared\n"
    configure(ergon)
    assert ergon("inspect", "--json", "O", "--store", TWO) == 0
    assert ergon.json[0]["result"] == f"3 1.50 {CANARY}"


def test_plain_store_in_use_is_encrypted_from_now_on(ergon: Shell) -> None:
    assert ergon("schedule", "order", "-a", "n=1", "--id", "old") == 0
    configure(ergon, "k1", read_plain=True)
    assert ergon("schedule", "order", "-a", "n=2", "-a", f"note={CANARY}", "--id", "new") == 0
    assert ergon("worker", "--burst") == 0
    assert [flow["result"] for flow in shown(ergon, "old", "new")] == ["1 1.50 None", f"2 1.50 {CANARY}"]
    assert not in_files(ergon.folder)
    configure(ergon, "k1")
    (old,) = shown(ergon, "old")
    assert str(old["args"]).startswith("what the store has as the arguments of flow old is not encrypted")


def test_export_says_that_it_is_not_encrypted_and_comes_back(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    assert ergon("export", "O", "B", "-o", "flows.jsonl") == 0
    assert ergon.err.startswith("the store is encrypted; what was exported is not\n2 flows written to flows.jsonl")
    configure(ergon, "k2")
    assert ergon("import", "flows.jsonl", "--store", TWO) == 0
    assert ergon("inspect", "--json", "O", "--store", TWO) == 0
    assert ergon.json[0]["result"] == f"3 1.50 {CANARY}"
    assert not in_files(ergon.folder, "two.db")


def test_backup_is_encrypted_as_its_store_is(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    assert ergon("store", "backup", "monday.db") == 0
    assert ergon("inspect", "--json", "O", "--store", "sqlite:///monday.db") == 0
    assert ergon.json[0]["result"] == f"3 1.50 {CANARY}"
    assert not in_files(ergon.folder, "monday.db")


def test_flow_that_was_changed_in_the_store_is_shown_but_goes_nowhere(ergon: Shell) -> None:
    configure(ergon, "k1")
    lived(ergon)
    with closing(sqlite3.connect(ergon.folder / "ergon.db")) as conn, conn:
        conn.execute("UPDATE journal SET entry = (SELECT entry FROM journal WHERE flow = 'B') WHERE flow = 'O'")
    said = "what the store has as the journal entry 0 of flow O is not what was written there with key 'k1'"
    (order,) = shown(ergon, "O")
    assert said in json.dumps(order["steps"])
    assert ergon("export", "O", "B") == 6
    assert f"flow O cannot be exported: {said}" in ergon.err
    assert [flow["flow"]["id"] for flow in ergon.json] == ["B"]
    assert ergon("replay", "O") == 5
    assert said in ergon.out
    for more in ((), ("--decrypt",)):
        assert ergon("store", "copy", URL, f"sqlite:///{len(more)}.db", *more) == 6
        assert f"{said}: it was changed, cut off, or moved" in ergon.err
    assert ergon("store", "check") == 6
    assert said in ergon.out
