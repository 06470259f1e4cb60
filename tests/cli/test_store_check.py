"""`ergon store check`: what it says of a sound and of a damaged store, and by which exit code."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from ergon_runtime import Store
from ergon_runtime.core.entries import Outcome, Started, pack
from ergon_runtime.core.flows import ClaimRequest, Commit, NewFlow, Status
from tests.cli.shell import URL, Shell, in_store

GAP = "its journal should have 3 entries and has 1; restore a backup, or fork the flow from before the gap"


def fill(flows: int = 3) -> None:
    async def work(store: Store) -> None:
        for n in range(flows):
            await store.create(NewFlow(f"f{n}", "order", None, "default:order:", b"{}", "seed"))
        (claim,) = (await store.claim(ClaimRequest("w", 1000, 1, ids=("f0",)))).claims
        entry = pack(Started("", claim.now, "seed", None, 1, "3.11"), 1)
        end = Outcome(Status.COMPLETED, "1").pack()
        await store.commit(
            Commit("c", claim.lease, None, 0, 1000, Status.COMPLETED, (entry,), release=True, result=end, note=b"{}")
        )

    in_store(work)


def damage(*statements: str) -> None:
    with closing(sqlite3.connect("ergon.db")) as conn, conn:
        for sql in statements:
            conn.execute(sql)


def test_check_of_a_sound_store_says_so(ergon: Shell) -> None:
    fill()
    assert ergon("store", "check") == 0
    assert (ergon.out, ergon.err) == ("sound: 3 flows looked at\n", "")


def test_check_of_a_sound_store_as_json_says_nothing(ergon: Shell) -> None:
    fill()
    assert ergon("store", "check", "--json") == 0
    assert (ergon.out, ergon.err) == ("", "")


def test_check_of_a_damaged_store_names_rule_flow_and_what_to_do(ergon: Shell) -> None:
    fill()
    damage("UPDATE flow SET length = 3 WHERE id = 'f0'")
    assert ergon("store", "check") == 6
    assert ergon.out == f"R4  flow f0: {GAP}\n"
    assert ergon.err == (
        "error: the store breaks its rules (R4), 1 finding in all\n"
        "  keep a copy of it; what each rule says: docs/protocol.md\n"
    )


def test_check_as_json_gives_a_line_for_each(ergon: Shell) -> None:
    fill()
    damage("UPDATE flow SET length = 3 WHERE id = 'f0'", "DELETE FROM input WHERE flow = 'f1'")
    assert ergon("store", "check", "--json") == 6
    whole, flow = ergon.json
    assert whole["rule"] == "R10"
    assert whole["flow"] is None
    assert "flow f1: its arguments are missing; " in whole["text"]
    assert flow == {"rule": "R4", "flow": "f0", "text": GAP}
    assert json.loads(ergon.err)["error"]["code"] == 6


def test_check_of_one_flow_looks_at_no_other(ergon: Shell) -> None:
    fill()
    damage("UPDATE flow SET length = 3 WHERE id = 'f0'")
    assert ergon("store", "check", "--flow", "f1", "--flow", "f2") == 0
    assert ergon.out == "sound: 2 flows looked at\n"
    assert ergon("store", "check", "--flow", "f0") == 6


def test_check_changes_nothing(ergon: Shell) -> None:
    fill()
    before = (ergon.folder / "ergon.db").read_bytes()
    assert ergon("store", "check") == 0
    assert (ergon.folder / "ergon.db").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["--store", "sqlite:///none.db"], 3, "there is no store at"),
        (["--flow", "ghost"], 3, "no flow 'ghost'"),
        (["--store", "memory://"], 2, "keeps nothing from one command to the next"),
        (["--store", "redis://127.0.0.1:1"], 6, "cannot be reached"),
    ],
)
def test_check_of_nothing_is_refused(ergon: Shell, line: list[str], code: int, said: str) -> None:
    fill(1)
    assert ergon("store", "check", *line) == code
    assert said in ergon.err


def test_check_of_what_is_no_store_says_so(ergon: Shell) -> None:
    (ergon.folder / "ergon.db").write_bytes(b"no database at all" * 100)
    assert ergon("store", "check", "--store", URL) == 6
    assert "is not an Ergon store" in ergon.err


def test_check_on_a_terminal_counts_and_takes_the_count_away(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(2)
    monkeypatch.setattr("ergon_cli.progress.is_terminal", lambda stream: True)
    assert ergon("store", "check") == 0
    assert "] 2 of 2" in ergon.err
    assert ergon.err.endswith("\x1b[K")
