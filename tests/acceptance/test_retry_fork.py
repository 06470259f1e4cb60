"""A failed order goes on after `ergon retry`, and is run anew from a step by `ergon fork`; a fork killed on its way is
finished by the same command."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT, Shop, shop
from tests.seed.places import address

FLOWS = str(ROOT / "tests/acceptance/order_flows.py")
COUNTS = 5000
PIECES = 10
KILLED = """
import os, signal, sys
from ergon_cli.app import main
from ergon_cli.commands import fork

left, fork_flow = int(sys.argv[1]), fork.fork_flow

async def killed(store, plan):
    write = type(store).restore

    async def counted(self, piece):
        global left
        await write(self, piece)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    type(store).restore = counted
    return await fork_flow(store, plan)

fork.fork_flow = killed
main(sys.argv[2:])
"""
"""Runs `ergon`, and kills it with SIGKILL when a fork has written so many pieces."""


@pytest.fixture(params=["sqlite", "redis"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A folder in which the payment provider is down."""
    places = {"ERGON_DOWN": str(tmp_path / "down"), "ERGON_LEDGER": str(tmp_path / "ledger")}
    (tmp_path / "down").touch()
    with shop(tmp_path, ERGON_STORE=address(request.param, tmp_path), ERGON_MODULES=FLOWS, **places) as made:
        yield made


def effects(here: Shop) -> Counter[tuple[str, str]]:
    """How often which step of which flow took effect."""
    rows = [line.split() for line in (here.folder / "ledger").read_text().splitlines()]
    return Counter((row[0], row[-1]) for row in rows)


def ended(here: Shop, flow: str, code: int = 0) -> str:
    """Wait for the end of an order, which is there already; what it gave."""
    done = here.run("schedule", "order", "-a", "name=A-17", "--id", flow, "--wait", "--timeout", "50s", code=code)
    return done.stdout.partition("\n")[2].strip()


def test_failed_order_goes_on_with_its_records_and_is_forked_with_another_receipt(here: Shop) -> None:
    here.worker()
    assert ended(here, "A-17", code=4) == ""
    (here.folder / "down").unlink()
    done = here.run("retry", "A-17")
    assert done.stdout == "A-17\n"
    assert done.stderr.startswith("retry A-17: from the failure; 1 recorded step is kept, charge runs again\n")
    assert ended(here, "A-17") == '"place of A-17, receipt of A-17"'
    once = Counter({("A-17", step): 1 for step in ("reserve", "charge", "ship")})
    assert effects(here) == once

    changed = ("--from", "charge", "--result", 'charge="receipt 7"', "--id", "A-18", "--yes")
    assert here.run("fork", "A-17", *changed).stdout == "A-18\n"
    assert ended(here, "A-18") == '"place of A-17, receipt 7"'
    assert effects(here) == once + Counter({("A-18", "ship"): 1})
    assert here.run("retry", "A-18", code=2).stderr == (
        "error: flow A-18 is completed\n  ergon fork A-18 --from STEP\n"
    )


@pytest.mark.parametrize("here", ["sqlite"], indirect=True)
def test_fork_killed_on_its_way_is_run_by_nobody_and_finished_by_the_same_command(here: Shop) -> None:
    here.run("schedule", "long_order", "-a", "name=L", "-a", f"counts={COUNTS}", "--id", "L")
    assert here.worker("--burst").end(60) == 0
    (here.folder / "down").unlink()
    line = ["fork", "L", "--from", "charge", "--id", "F", "--yes"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(PIECES), *line], **here.place(), capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert here.json("inspect", "F")["status"] == "blocked"
    assert here.run("retry", "F", code=2).stderr.endswith("  ergon fork L --from charge --id F\n")
    assert here.run(*line).stdout == "F\n"
    assert here.worker("--burst").end(60) == 0
    made = here.json("inspect", "F")
    assert made["result"] == f"{sum(range(COUNTS))}, receipt of L"
    assert Counter(step["name"] for step in made["steps"] if step["kind"] == "step")["count"] == COUNTS
    assert effects(here) == Counter({("F", "charge"): 1, ("F", "ship"): 1})
    assert here.json("inspect", "L")["status"] == "failed"
