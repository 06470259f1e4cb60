"""`ergon export`, and `ergon import` of what it wrote: on a SQLite store in this process."""

from __future__ import annotations

import io
import os
import stat
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime import Status, Store, StoreUnavailable
from ergon_runtime.core.entries import Patched, pack
from ergon_runtime.core.flows import ClaimRequest, Commit, NewFlow
from ergon_runtime.histories import FlowHistory, read_history, read_lines
from tests.cli.shell import Shell, in_store

LOOK = ("--store", "sqlite:///look.db")


@pytest.fixture
def shop(ergon: Shell) -> Shell:
    """Three flows: one completed, one that failed, one that waits."""

    async def fill(store: Store) -> None:
        for name, type_ in (("A-1", "order"), ("A-2", "order"), ("B-1", "bill")):
            await store.create(NewFlow(name, type_, None, f"default:{type_}:", b'{"n":1}', "seed"))
        ends = {"A-1": Status.COMPLETED, "A-2": Status.WAITING, "B-1": Status.FAILED}
        for claim in (await store.claim(ClaimRequest("w", 1000, 9, ids=tuple(ends)))).claims:
            status = ends[claim.lease.flow]
            result = b'["x",null,null]' if status.ended else None
            change: dict[str, Any] = {"status": status, "release": True, "result": result}
            await store.commit(Commit("c", claim.lease, None, 0, 1000, entries=(pack(Patched("p", 1), 1),), **change))

    in_store(fill)
    return ergon


def lines(shell: Shell) -> list[FlowHistory]:
    """The histories that the command wrote to stdout."""
    found = list(read_lines(io.BytesIO(shell.out.encode()), "out"))
    assert all(isinstance(each, FlowHistory) for each in found)
    return [each for each in found if isinstance(each, FlowHistory)]


async def stored(store: Store, flow: str) -> FlowHistory:
    row = await store.get(flow)
    assert row is not None
    return await read_history(store, row)


def test_export_writes_a_line_a_flow_to_stdout_and_nothing_else(shop: Shell) -> None:
    assert shop("export", "A-2", "B-1") == 0
    assert shop.err == ""
    assert lines(shop) == [in_store(partial(stored, flow=name)) for name in ("A-2", "B-1")]


def test_export_all_takes_filters_and_live_flows_come_first(shop: Shell) -> None:
    assert shop("export", "--all") == 0
    first, *others = [each.row.id for each in lines(shop)]
    assert (first, set(others)) == ("A-2", {"A-1", "B-1"})
    assert shop("export", "--all", "--status", "failed", "--status", "completed", "--flow", "order") == 0
    assert [each.row.id for each in lines(shop)] == ["A-1"]


def test_export_of_an_unknown_flow_is_not_found_and_the_others_are_written(shop: Shell) -> None:
    assert shop("export", "nope", "A-2") == 3
    assert "no flow 'nope'" in shop.err
    assert [each.row.id for each in lines(shop)] == ["A-2"]


def test_export_without_a_choice_or_a_store_is_refused(ergon: Shell) -> None:
    assert ergon("export") == 2
    assert ergon("export", "--all") == 3
    assert list(ergon.folder.iterdir()) == []


def test_output_is_for_its_owner_and_takes_the_place_of_an_older_file(shop: Shell) -> None:
    place = shop.folder / "x.jsonl"
    place.write_text("old")
    place.chmod(0o644)
    assert shop("export", "A-2", "-o", "x.jsonl") == 0
    assert (shop.out, shop.err) == ("", "1 flow written to x.jsonl, with arguments and results\n")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with place.open("rb") as file:
        assert list(read_lines(file, "x")) == [in_store(lambda store: stored(store, "A-2"))]


def test_output_that_fails_leaves_the_older_file_and_nothing_else(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    place = shop.folder / "x.jsonl"
    place.write_text("old")

    def full(_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ergon_cli.commands.export.history_line", full)
    assert shop("export", "A-2", "-o", "x.jsonl") == 2
    assert "cannot write x.jsonl: No space left on device" in shop.err
    assert place.read_text() == "old"
    assert [each.name for each in shop.folder.iterdir() if "x.jsonl" in each.name] == ["x.jsonl"]


@pytest.mark.parametrize("place", [".", "missing/x.jsonl", "pipe"])
def test_output_to_what_is_no_file_is_refused(shop: Shell, place: str) -> None:
    os.mkfifo("pipe")
    assert shop("export", "A-2", "-o", place) == 2
    assert f"cannot write {place}" in shop.err
    assert Path("pipe").is_fifo()


def test_progress_of_an_export_is_for_a_person_alone(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def always(stream: object) -> bool:
        return True

    monkeypatch.setattr("ergon_cli.progress.is_terminal", always)
    assert shop("export", "--all", "-o", "x.jsonl") == 0
    assert "flows exported: 3\x1b[K\r" in shop.err


# --- import
def test_import_prints_ids_and_blocks_what_was_not_over(shop: Shell) -> None:
    shop("export", "--all", "-o", "x.jsonl")
    assert shop("import", "x.jsonl", *LOOK) == 0
    assert shop.out.splitlines()[0] == "A-2"
    assert sorted(shop.out.splitlines()) == ["A-1", "A-2", "B-1"]
    assert "A-2: was waiting, is blocked here; nothing runs it before ergon retry" in shop.err
    assert "under the hash seed of another store" in shop.err
    shop("list", "--json", *LOOK)
    assert {each["id"]: each["status"] for each in shop.json} == {
        "A-1": "completed",
        "A-2": "blocked",
        "B-1": "failed",
    }
    shop("inspect", "A-2", "--json", *LOOK)
    assert shop.json[0]["why"]["kind"] == "paused"
    assert shop.json[0]["why"]["message"] == "imported from x.jsonl; nothing runs it"


def test_import_again_changes_nothing_and_says_so(shop: Shell) -> None:
    shop("export", "--all", "-o", "x.jsonl")
    shop("import", "x.jsonl", *LOOK)
    assert shop("import", "x.jsonl", "--json", *LOOK) == 0
    assert {each["id"]: each["restored"] for each in shop.json} == dict.fromkeys(("A-1", "A-2", "B-1"), "there")
    assert shop.err == ""
    assert shop("import", "x.jsonl") == 0
    assert "A-2: is there already" in shop.err
    assert in_store(lambda store: stored(store, "A-2")).row.status is Status.WAITING


def test_import_goes_on_after_what_it_refuses(shop: Shell) -> None:
    shop("export", "A-1", "A-2", "B-1")
    first, second, third = shop.out.splitlines()
    other = second.replace('"seed": "seed"', '"seed": "other"')
    Path("x.jsonl").write_text("\n".join([first, "broken", other, third]))
    shop("import", "x.jsonl")
    Path("one.jsonl").write_text(second)
    shop("import", "one.jsonl", *LOOK)
    assert shop("import", "missing.jsonl", "x.jsonl", *LOOK) == 2
    assert shop.out.splitlines() == ["A-1", "B-1"]
    for said in (
        "cannot read missing.jsonl",
        "x.jsonl, line 2: it is not JSON",
        "flow A-2 is there already, and is another flow",
    ):
        assert said in shop.err


def test_import_of_a_journal_that_was_cut_short_is_refused(shop: Shell) -> None:
    shop("export", "A-1")
    Path("x.jsonl").write_text(shop.out.replace('"length": 1', '"length": 2'))
    assert shop("import", "x.jsonl", *LOOK) == 2
    assert "has 1 of 2 entries" in shop.err


def test_export_of_what_was_imported_replays_alike(shop: Shell) -> None:
    """The journal is the same, byte for byte."""
    shop("export", "A-2", "-o", "x.jsonl")
    shop("import", "x.jsonl", *LOOK)
    shop("export", "A-2", *LOOK)
    (found,) = lines(shop)
    assert found.entries == in_store(lambda store: stored(store, "A-2")).entries


def test_import_of_many_in_batches_is_complete_and_in_order(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shop("export", "A-1")
    monkeypatch.setattr("ergon_cli.commands.import_.BATCH", 3)
    names = [f"{n}" for n in range(8)]
    Path("x.jsonl").write_text("".join(shop.out.replace('"id": "A-1"', f'"id": "{name}"') for name in names))
    assert shop("import", "x.jsonl", "x.jsonl", *LOOK) == 0
    assert shop.out.splitlines() == [*names, *names]
    shop("export", "--all", *LOOK)
    assert {(each.row.id, len(each.entries)) for each in lines(shop)} == {(name, 1) for name in names}


def test_store_that_fails_ends_an_import(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    shop("export", "A-1", "-o", "x.jsonl")
    monkeypatch.setattr("ergon_cli.commands.import_.restore_history", full)
    assert shop("import", "x.jsonl", *LOOK) == 6
    assert (shop.out, shop.err) == ("", "error: the disk is full\n")


def test_stdin_is_imported(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shop("export", "A-1", "-o", "x.jsonl")
    with open("x.jsonl") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert shop("import", "-", *LOOK) == 0
    assert shop.out == "A-1\n"
