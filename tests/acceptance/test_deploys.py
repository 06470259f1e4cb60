"""Deploying changed flow code, as the page about it says: found before, blocked when deployed all the same, mended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ergon_runtime import FlowRow, open_store
from tests.acceptance.processes import ROOT, Shop, shop, until

FLOWS = """
from ergon_runtime import flow, patched, step, wait_signal

def note(text: str) -> str:
    with open("notes", "a") as file:
        print(text, file=file)
    return text

@step
def pay(n: int) -> str:
    return note(f"pay {n}")

@step
def insure(n: int) -> str:
    return note(f"insure {n}")

@step
def ship(n: int) -> str:
    return note(f"ship {n}")

@flow
async def order(n: int) -> str:
    await pay(n)
    await wait_signal("go", str)
    return await ship(n)

@flow
async def bill(n: int) -> str:
    await wait_signal("go", str)
    return await pay(n)
"""
CHANGED = FLOWS.replace("    await pay(n)\n    await wait", "    await insure(n)\n    await pay(n)\n    await wait")
"""Orders that have paid diverge."""
FITTING = CHANGED.replace("    await insure", '    if patched("insure"):\n        await insure')


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    """An order that has paid and a bill wait for their signals."""
    with shop(tmp_path) as made:
        serve(made, FLOWS)
        for type_, flow in (("order", "a"), ("bill", "b")):
            made.run("schedule", type_, "-a", "n=1", "--id", flow)
        made.run("worker", "--burst")
        yield made


def serve(here: Shop, flows: str) -> None:
    """The code of the next worker or replay."""
    (here.folder / "flows.py").write_text(flows)


def notes(here: Shop) -> list[str]:
    return sorted((here.folder / "notes").read_text().splitlines())


def row(here: Shop, flow: str) -> FlowRow:
    async def get() -> FlowRow | None:
        async with open_store(f"sqlite:///{here.folder}/ergon.db", create=False, read_only=True) as store:
            return await store.get(flow)

    found = asyncio.run(get())
    assert found is not None
    return found


def ci_command() -> list[str]:
    """What the sample of a CI job runs, its pattern of files filled in by the shell."""
    job = (ROOT / "docs/ci/replay.yml").read_text()
    (line,) = (line for line in job.splitlines() if "run: ergon replay" in line)
    command = line.partition("ergon ")[2].replace("histories/*.jsonl", "histories/live.jsonl")
    return command.split()


def test_change_is_found_before_the_deploy_blocks_after_it_and_fitting_code_goes_on(here: Shop) -> None:
    (here.folder / "histories").mkdir()
    here.run("export", "--all", "--status", "waiting", "-o", "histories/live.jsonl")
    serve(here, CHANGED)
    checked = here.run(*ci_command(), "--store", "sqlite:///missing.db", code=5)
    line = CHANGED.splitlines().index("    await insure(n)") + 1
    assert f"::error file=flows.py,line={line}" in checked.stdout
    assert "2 flows replayed: 1 same, 1 diverged" in checked.stdout.splitlines()
    assert 'failures="1"' in (here.folder / "report.xml").read_text()
    assert not (here.folder / "missing.db").exists()

    for flow in ("a", "b"):  # deployed all the same
        here.run("signal", "go", "now", "--flow", flow)
    worker = here.worker()
    until(lambda: row(here, "b").status == "completed" and row(here, "a").status == "blocked")
    worker.kill()
    shown = here.json("inspect", "a")
    assert (shown["why"]["kind"], shown["why"]["recorded"]) == ("diverged", 'step pay("n":1)')
    assert notes(here) == ["pay 1", "pay 1"]

    serve(here, FITTING)
    assert here.run(*ci_command()).stdout.splitlines()[0] == "2 flows replayed: 2 same"
    here.worker()
    until(lambda: row(here, "a").status == "completed")
    assert notes(here) == ["pay 1", "pay 1", "ship 1"]
