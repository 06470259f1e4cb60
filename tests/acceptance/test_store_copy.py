"""Stores copied by real processes: killed in the middle, and flows that go on in another kind of store."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from pathlib import Path

from ergon_runtime import open_store
from ergon_runtime.core.flows import NewFlow
from ergon_runtime.stores.records import Kind
from tests.acceptance.processes import Shop, shop, until
from tests.redis_server import shared_server

FLOWS = """
from ergon_runtime import flow, step, wait_signal

@step
def note(text: str) -> str:
    with open("notes", "a") as file:
        print(text, file=file)
    return text

@flow
async def order(n: int) -> str:
    first = await note(f"first {n}")
    said = await wait_signal("go", str)
    return first + await note(f" {said}")
"""


def a_redis() -> str:
    return f"{shared_server().url}?namespace={secrets.token_hex(8)}"


def test_flow_that_waits_is_completed_in_redis_and_another_back_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(FLOWS)
    redis, back = a_redis(), "sqlite:///back.db"
    with shop(tmp_path) as here:
        for flow in ("a", "b"):
            here.run("schedule", "order", "-a", "n=1", "--id", flow)
            here.run("worker", "--burst")
        here.run("store", "copy", "sqlite:///ergon.db", redis)
        go_on(here, redis, "a")
        here.run("store", "copy", redis, back)
        go_on(here, back, "b")
        assert here.json("inspect", "a", "--store", back)["result"] == "first 1 a"
        for flow in ("a", "b"):
            assert here.run("replay", flow, "--store", back).stdout.startswith("same")
    assert (tmp_path / "notes").read_text().splitlines() == ["first 1", "first 1", " a", " b"]


def go_on(here: Shop, store: str, flow: str) -> None:
    """The signal goes to the flow that has waited longest, which must be this one."""
    here.run("signal", "go", flow, "--text", "--store", store)
    here.run("worker", "--burst", "--store", store)
    assert here.json("inspect", flow, "--store", store)["status"] == "completed"


def test_copy_that_is_killed_goes_on_and_nothing_runs_on_it_before(tmp_path: Path) -> None:
    many, target = 3000, a_redis()

    async def fill() -> None:
        flows = (NewFlow(f"f{n}", "order", None, "default:order:", b"{}", "seed") for n in range(many))
        async with open_store(f"sqlite:///{tmp_path}/ergon.db") as store:
            await asyncio.gather(*map(store.create, flows))

    asyncio.run(fill())
    with shop(tmp_path) as here:
        command = [sys.executable, "-m", "ergon_cli", "store", "copy", "sqlite:///ergon.db", target]
        copying = subprocess.Popen(command, cwd=tmp_path, env=here._environment(), stderr=subprocess.DEVNULL)
        until(lambda: asyncio.run(count(target)) > 0, what="the first page")
        copying.kill()
        assert copying.wait(10) < 0, "the copy was complete before it was killed: it needs more flows"
        assert 0 < asyncio.run(count(target)) < many
        assert "unfinished copy of sqlite:////" in here.run("list", "--store", target, code=6).stderr
        said = here.json("store", "copy", "sqlite:///ergon.db", target)
        assert (said["flows"], said["unequal"]) == (many, [])
        assert len(here.run("list", "-n", "9999", "--store", target).stdout.splitlines()) == many


async def count(url: str) -> int:
    """How many flows the store has that is being copied to."""
    async with open_store(url, unfinished=True) as store:
        return await store.count(Kind.FLOWS)
