"""`ergon store copy`: what it says, shows and refuses, and by which exit code."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from ergon_runtime import Store, open_store
from ergon_runtime.core.flows import Beat, NewFlow
from tests.cli.shell import URL, Shell, in_store
from tests.stores.harness import signal

TWO = "sqlite:///two.db"


def fill(flows: int = 3) -> None:
    async def work(store: Store) -> None:
        for n in range(flows):
            await store.create(NewFlow(f"f{n}", "order", None, "default:order:", b"{}", "seed"))
        await store.send(signal("go"))

    in_store(work)


def begin(source_id: str | None = None) -> str:
    """A copy of the store in the folder that has only begun; the source's address."""

    async def work(store: Store) -> str:
        source = await store.identity()
        async with open_store(TWO) as target:
            await target.begin_copy(replace(source, id=source_id or source.id))
        return source.url

    return in_store(work)


def test_copy_says_what_was_copied(ergon: Shell) -> None:
    fill()
    assert ergon("store", "copy", URL, TWO) == 0
    assert ergon.out == "copied and checked: 3 flows, 0 journal entries, 1 kept messages, 1 message ids\n"
    assert ergon.err == "copying; then both are compared\n"
    assert ergon("list", "--store", TWO) == 0
    assert [row[0] for row in ergon.rows] == ["f2", "f1", "f0"]


def test_copy_as_json_says_nothing_else(ergon: Shell) -> None:
    fill()
    assert ergon("store", "copy", URL, TWO, "--json") == 0
    counts = {"flows": 3, "entries": 0, "names": 1, "kept": 1, "unequal": []}
    assert (ergon.json, ergon.err) == ([{"source": "ergon.db", "target": "two.db", **counts}], "")


def test_copy_on_a_terminal_draws_a_bar_and_takes_it_away(ergon: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(100)
    for module in ("ergon_cli.progress", "ergon_cli.commands.store"):
        monkeypatch.setattr(f"{module}.is_terminal", lambda stream: True)
    assert ergon("store", "copy", URL, TWO) == 0
    half = f"[{'#' * 29}.] 100 of 102"
    full = f"[{'#' * 30}] 102 of 102"
    shown = [line.removesuffix("\x1b[K") for line in ergon.err.split("\r")]
    assert shown[:4] == [f"{what}: {bar}" for what in ("copied", "checked") for bar in (half, full)]
    assert shown[4].replace("\x1b[K", "") == ""


def test_copy_of_a_worker_s_store_is_refused(ergon: Shell) -> None:
    in_store(lambda store: store.extend((), 1000, Beat("Ada", (), 60_000)))
    assert ergon("store", "copy", URL, TWO) == 2
    assert "worker Ada lives in sqlite:////" in ergon.err
    assert "stop all workers of both stores first" in ergon.err


@pytest.mark.parametrize(
    ("source", "target", "code", "said"),
    [
        (URL, URL, 2, "are the same store"),
        (URL, "memory://", 2, "keeps nothing from one command to the next"),
        ("memory://", TWO, 2, "keeps nothing from one command to the next"),
        (URL, "two.db", 2, "is not a store address"),
        ("sqlite:///none.db", TWO, 3, "there is no store at none.db"),
        (URL, "sqlite:///no/folder.db", 6, "no folder"),
        (URL, "redis://secret:word@127.0.0.1:1", 6, "cannot be reached"),
    ],
)
def test_copy_that_cannot_be_is_refused(ergon: Shell, source: str, target: str, code: int, said: str) -> None:
    fill()
    assert ergon("store", "copy", source, target) == code
    assert said in ergon.err
    assert "word" not in ergon.err


def test_copy_to_a_store_with_flows_is_refused_as_json(ergon: Shell) -> None:
    fill()
    assert ergon("store", "copy", URL, TWO) == 0
    assert ergon("store", "copy", URL, TWO, "--json") == 2
    assert "two.db is not empty" in json.loads(ergon.err)["error"]["message"]


def test_copy_to_another_s_unfinished_copy_is_refused(ergon: Shell) -> None:
    fill()
    begin("other")
    assert ergon("store", "copy", URL, TWO) == 2
    assert "is an unfinished copy of another store (other sqlite:///" in ergon.err


@pytest.mark.usefixtures("flows")
@pytest.mark.parametrize("line", [["worker", "--burst"], ["schedule", "order", "-a", "n=1"], ["list"], ["signal", "x"]])
def test_unfinished_copy_is_refused_by_every_other_command_until_it_is_complete(ergon: Shell, line: list[str]) -> None:
    fill(0)
    source = begin()
    assert ergon(*line, "--store", TWO) == 6
    assert ergon.err.splitlines()[0] == (
        f"error: the store is an unfinished copy of {source}; finish it: run the same `ergon store copy` again"
    )
    assert ergon("store", "copy", URL, TWO) == 0
    assert ergon("list", "--store", TWO) == 0


def test_copy_that_is_not_equal_names_what_differs(ergon: Shell) -> None:
    fill(7)
    begin()

    async def spoil() -> None:
        async with open_store(TWO, unfinished=True) as store:
            for n in range(7):
                await store.create(NewFlow(f"f{n}", "other", None, "default:order:", b"{}", "seed"))

    asyncio.run(spoil())
    assert ergon("store", "copy", URL, TWO) == 1
    assert "the copy is not equal to its source: flow f" in ergon.err
    assert ergon.err.splitlines()[-2].endswith(" and 9 more")
    assert ergon("list", "--store", TWO) == 6
