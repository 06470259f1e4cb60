"""Flows that begin anew, a transfer whose worker dies in it, an import that gets stuck."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_runtime import Executor, open_store
from sample_flows.long_lives import Imported, import_rows, newsletter
from tests.acceptance.processes import ROOT, shop, until

MODULE = str(ROOT / "sample_flows/long_lives.py")


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'ergon.db'}"


def test_newsletter_of_many_issues_is_one_flow_whose_last_life_is_short(url: str) -> None:
    async def main() -> None:
        async with open_store(url) as store:
            assert await Executor(newsletter("ada", 0.001, last=30), store, id="ada").run() == "ada got 30 issues"
            row = await store.get("ada")
            assert row is not None
            assert row.length - row.base <= 3  # what a worker has to load: the marker, its last issue

    asyncio.run(asyncio.wait_for(main(), 60))


def test_import_stuck_without_a_heartbeat_goes_on_where_it_was(url: str) -> None:
    async def main() -> Imported:
        async with open_store(url) as store:
            return await Executor(import_rows(10), store).run()

    assert asyncio.run(asyncio.wait_for(main(), 60)) == Imported(rows=10, tries=2, began_at=5)


def test_transfer_whose_worker_was_killed_in_it_is_not_sent_again(tmp_path: Path) -> None:
    with shop(tmp_path, ERGON_MODULES=MODULE, ERGON_WORKER__LEASE="1s") as here:
        here.run("schedule", "pay_out", "-a", "account=DE-1", "-a", "amount=100", "-a", "takes=60", "--id", "one")
        first = here.worker()
        until(
            lambda: [step["status"] for step in here.json("inspect", "one")["steps"]] == ["running"], what="a transfer"
        )
        first.kill()
        here.worker()
        until(lambda: here.json("inspect", "one")["status"] == "waiting", what="that it waits for somebody")
        assert here.json("inspect", "one")["why"]["name"] == "looked-up"
        here.run("signal", "looked-up", '"DE-1-100"', "--flow", "one")
        until(lambda: here.json("inspect", "one")["status"] == "completed", what="its end")
        flow = here.json("inspect", "one")
        assert flow["result"] == "DE-1-100"
        assert flow["steps"][0]["error"]["type"] == "OutcomeUnknown"
        assert len(flow["steps"][0]["tries"]) <= 1
