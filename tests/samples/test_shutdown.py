"""The shutdown of workers in the middle of their work: nothing is lost, nothing done twice."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from ergon_runtime import FlowQuery, Scheduler, Status, open_store
from sample_flows import shutdown
from tests.acceptance.processes import ROOT, Shop, shop, until, warnings_in
from tests.seed.places import STORES, address

MODULE = str(ROOT / "sample_flows/shutdown.py")


@pytest.mark.parametrize("kind", STORES)
def test_ten_flows_on_two_workers_that_stop_are_ended_by_two_others(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shutdown.main(address(kind, tmp_path)) == 0
    stopped, ended = capsys.readouterr().out.splitlines()
    assert stopped.startswith("after the shutdown: ")
    assert ended == "in the end: 10 flows completed, 30 parts done, each once"


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_ten_flows_on_two_processes_told_by_sigterm_are_ended_by_others(kind: str, tmp_path: Path) -> None:
    url = address(kind, tmp_path)
    with shop(tmp_path, ERGON_MODULES=MODULE, ERGON_STORE=url) as here:
        asyncio.run(schedule(url))
        first = [here.worker("-c", "5"), here.worker("-c", "5")]
        until(lambda: asyncio.run(running(url)) == 10, what="that all flows run")
        for worker in first:
            worker.send(signal.SIGTERM)
        assert [worker.end() for worker in first] == [0, 0]
        handed_back = flows(here, "pending")
        assert len(handed_back) == 10
        assert {flow["recoveries"] for flow in handed_back} == {0}
        assert all("handed back" in worker.text() for worker in first)
        others = [here.worker("--burst"), here.worker("--burst")]
        assert [worker.end() for worker in others] == [0, 0]
        inspected = here.run("inspect", *(f"long-{number}" for number in range(10)), "--json").stdout.splitlines()
        for number, flow in enumerate(map(json.loads, inspected)):
            assert flow["result"] == [f"part {part} of {number}" for part in range(3)]
            assert [step["attempts"] for step in flow["steps"]] == [1, 1, 1]
        assert [line for worker in (*first, *others) for line in warnings_in(worker.text())] == []


async def schedule(url: str) -> None:
    async with open_store(url) as store:
        for number in range(10):
            await Scheduler(store).schedule(shutdown.long_work(number, seconds=1), id=f"long-{number}")


async def running(url: str) -> int:
    async with open_store(url, create=False, read_only=True) as store:
        return len(await store.list(FlowQuery(statuses=(Status.RUNNING,))))


def flows(here: Shop, status: str) -> list[dict[str, object]]:
    lines = here.run("list", "--status", status, "-n", "100", "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]
