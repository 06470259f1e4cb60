"""`ergon replay --stack` and `--until --debug` as processes, while no worker lives: only the store and the code."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.processes import Shop, shop

FLOWS = """
import asyncio
from ergon_runtime import flow, step, wait_signal

@step
async def book(place: str) -> str:
    open("booked", "a").write("x")
    return f"a room in {place}"

@step
async def pay(n: int) -> None:
    open("paid", "a").write("x")

async def confirmed(by: str) -> bool:
    asked = by.upper()
    return await wait_signal(f"confirm-{asked}", bool)

@flow
async def trip(place: str) -> bool:
    room = await book(place)
    later = pay(len(room))
    try:
        both = await asyncio.gather(confirmed("ada"), confirmed("bob"))
        await later
    finally:
        print("the flow is cleaned up")
    return all(both)
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A folder with a trip to Lisbon that waits, and no worker."""
    folder = tmp_path_factory.mktemp("trips")
    (folder / "flows.py").write_text(FLOWS)
    with shop(folder) as made:
        made.environ["PYTHONWARNINGS"] = "always"
        made.run("schedule", "trip", "-a", "place=Lisbon", "--id", "lisbon")
        made.run("worker", "--burst")
        yield made


def test_stack_needs_no_worker_and_touches_nothing(here: Shop) -> None:
    before = (here.folder / "ergon.db").read_bytes()
    shown = here.run("replay", "lisbon", "--stack")
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert rows[0] == ["STANDS", "trip lisbon", "waiting, after 1 of 1 recorded completions"]
    assert [row[3] for row in rows if row[0] == "task"] == [
        "task 1/, task 2/",
        "signal 1/confirm-ADA",
        "signal 2/confirm-BOB",
    ]
    assert [row[2] for row in rows if row[0] == "frame"] == ["trip", "confirmed", "confirmed"]
    assert shown.stderr == "the flow is cleaned up\n"
    assert json.loads(here.run("replay", "lisbon", "--stack", "--json").stdout)["state"] == "waits"
    assert (here.folder / "ergon.db").read_bytes() == before
    assert (here.folder / "booked").read_text() == "x"
    assert not (here.folder / "paid").exists()


def test_debugger_reads_commands_from_a_pipe_and_leaves_no_noise(here: Shop) -> None:
    commands = "p asked.lower() * 2\nup\np room[:6]\np [n for n in range(3)]\nq\nprint('never read')\n"
    shown = here.run("replay", "lisbon", "--until", "confirm-BOB", "--debug", given=commands)
    assert "'bobbob'" in shown.stdout
    assert "trip()" in shown.stdout
    assert "'a room'" in shown.stdout
    assert "never read" not in shown.stdout
    assert shown.stderr == "the flow is cleaned up\n", "nothing more of the code runs, and nothing is left behind"


def test_debugger_without_any_input_shows_where_it_is_and_ends(here: Shop) -> None:
    shown = here.run("replay", "lisbon", "--until", "book", "--debug", given="")
    assert "-> room = await book(place)" in shown.stdout
    never = here.run("replay", "lisbon", "--until", "bok", code=3)
    assert never.stderr.splitlines()[-1] == "  it asks for: book, 1/confirm-ADA, 2/confirm-BOB"
