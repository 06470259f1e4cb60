"""The web application over HTTP: in this process on each store, and as a server that is killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sample_flows.web_app import app
from tests.acceptance.processes import ROOT, shop, until
from tests.seed.places import STORES, address

ORDER = {"id": "A-17", "amount": "99.50"}


@pytest.fixture(params=STORES)
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an async test with a client of the application, whose lifespan lasts as long as the test."""
    url = address(request.param, tmp_path)
    monkeypatch.setenv("ERGON_STORE", url)
    monkeypatch.setenv("PACKING", "0.01")

    def run(test: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
        async def main() -> None:
            async with client() as opened:
                await test(opened)

        asyncio.run(asyncio.wait_for(main(), 60))

    return run


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders") as opened,
    ):
        yield opened


def test_order_taken_and_approved_over_http_is_packed(served: Any) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        taken = await http.post("/orders", json=ORDER)
        assert (taken.status_code, taken.json()["id"]) == (202, "A-17")
        waiting = await http.post("/orders/A-17/wait?timeout=0.05")
        assert (waiting.status_code, waiting.json()["receipt"]) == (200, None)
        assert (await http.post("/orders/A-17/approve", json={"by": "Ada"})).status_code == 202
        ended = await http.post("/orders/A-17/wait?timeout=30")
        receipt = {"order_id": "A-17", "payment": "A-17:1:charge_card", "parcel": "parcel-A-17", "approved_by": "Ada"}
        assert ended.json() == {"id": "A-17", "status": "completed", "receipt": receipt, "error": None}
        assert (await http.get("/orders/A-17")).json() == ended.json()

    served(test)


def test_order_sent_twice_is_one_and_with_another_amount_a_conflict(served: Any) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        assert [(await http.post("/orders", json=ORDER)).status_code for _ in range(2)] == [202, 202]
        other = await http.post("/orders", json={"id": "A-17", "amount": "1"})
        assert other.status_code == 409
        assert "A-17" in other.json()["detail"]

    served(test)


def test_approval_sent_twice_is_one_and_reaches_its_own_order(served: Any) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        for name in ("A-1", "A-2"):
            await http.post("/orders", json={"id": name, "amount": "5"})
            for by in (name, "somebody else"):
                assert (await http.post(f"/orders/{name}/approve", json={"by": by})).status_code == 202
        for name in ("A-1", "A-2"):
            assert (await http.post(f"/orders/{name}/wait")).json()["receipt"]["approved_by"] == name

    served(test)


def test_order_that_the_bank_refuses_fails_and_takes_no_approval(served: Any) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        await http.post("/orders", json={"id": "A-18", "amount": "9999"})
        failed = (await http.post("/orders/A-18/wait")).json()
        assert (failed["status"], failed["error"]) == ("failed", "9999 is too much")
        assert (await http.post("/orders/A-18/approve", json={"by": "Ada"})).status_code == 409

    served(test)


def test_order_that_is_not_there_or_whose_id_cannot_be_one_is_refused(served: Any) -> None:
    async def test(http: httpx.AsyncClient) -> None:
        asked = [http.get("/orders/B"), http.post("/orders/B/approve", json={"by": "x"}), http.post("/orders/B/wait")]
        assert [each.status_code for each in await asyncio.gather(*asked)] == [404, 404, 404]
        refused = await http.post("/orders", json={"id": "no blanks", "amount": "1"})
        assert (refused.status_code, "cannot be a flow id" in refused.json()["detail"]) == (422, True)

    served(test)


class Server:
    """uvicorn with the application, on a Unix socket: no port that another test could have taken."""

    def __init__(self, folder: Path, socket: str, packing: str) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PACKING": packing,
            "ERGON_STORE": f"sqlite:///{folder}/ergon.db",
        }
        command = (sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT / "sample_flows"), "--uds", socket)
        log = folder / f"server-{packing}.log"
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*command, "web_app:app"], cwd=folder, env=environ, stdout=stream, stderr=stream
            )
        self.http = httpx.Client(transport=httpx.HTTPTransport(uds=socket), base_url="http://orders", timeout=60)
        until(lambda: self.process.poll() is not None or "Uvicorn running" in log.read_text(), what="that it serves")

    def status(self, order: str) -> str:
        status: str = self.http.get(f"/orders/{order}").json()["status"]
        return status

    def end(self, number: signal.Signals) -> int:
        self.http.close()
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Callable[[str], Server]]:
    """Starts servers on one socket and one store, and leaves none behind."""
    started: list[Server] = []
    with tempfile.TemporaryDirectory() as short:  # the path of a socket has at most 107 characters

        def start(packing: str) -> Server:
            started.append(Server(folder, f"{short}/web.sock", packing))
            return started[-1]

        try:
            yield start
        finally:
            for server in started:
                if server.process.poll() is None:
                    server.end(signal.SIGKILL)


def test_server_killed_in_the_middle_of_an_order_goes_on_with_it_when_started_again(tmp_path: Path) -> None:
    with servers(tmp_path) as start:
        first = start("60")
        first.http.post("/orders", json=ORDER)
        first.http.post("/orders", json={"id": "B-4", "amount": "5"})
        until(lambda: {first.status("A-17"), first.status("B-4")} == {"waiting"}, what="that the orders wait")
        first.http.post("/orders/A-17/approve", json={"by": "Ada"})
        until(lambda: first.status("A-17") == "running", what="that it packs")
        first.end(signal.SIGKILL)
        second = start("0.01")
        second.http.post("/orders/B-4/approve", json={"by": "Bob"})
        ended = {name: second.http.post(f"/orders/{name}/wait").json() for name in ("A-17", "B-4")}
        assert {name: order["receipt"]["approved_by"] for name, order in ended.items()} == {"A-17": "Ada", "B-4": "Bob"}
        assert second.end(signal.SIGTERM) in (0, -signal.SIGTERM)  # uvicorn may end by the signal that it was sent
    with shop(tmp_path) as here:
        steps = {step["key"]: step["attempts"] for step in here.json("inspect", "A-17")["steps"]}
        assert (steps["charge_card"], steps["pack"]) == (1, 1)
        assert here.json("inspect", "A-17")["recoveries"] == 0  # it was taken over, and has ended cleanly since
    assert [log.name for log in tmp_path.glob("*.log") if "Traceback" in log.read_text()] == []
