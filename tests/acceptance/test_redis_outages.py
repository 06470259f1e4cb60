"""Real workers on a real server that goes away, stands still, is emptied or is swapped for another."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import redis as redis_py

from ergon_runtime import Scheduler, Store, open_store
from tests.acceptance.ledger_flows import holds
from tests.acceptance.processes import ROOT, Shop, shop, until
from tests.redis_rig import own_server
from tests.redis_server import Server
from tests.stores.redis.servers import command

T = TypeVar("T")
OUTAGE = 5.0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    with own_server(tmp_path) as server:
        yield server


@pytest.fixture
def here(tmp_path: Path, own: Server) -> Iterator[Shop]:
    environ = {
        "ERGON_STORE": own.url,
        "ERGON_LEDGER": str(tmp_path / "ledger"),
        "ERGON_MODULES": "tests.acceptance.ledger_flows",
        "PYTHONPATH": str(ROOT),
    }
    with shop(tmp_path, **environ) as made:
        yield made


def on_store(own: Server, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_store(own.url) as store:
            return await work(store)

    return asyncio.run(run())


def ledger(here: Shop) -> list[list[str]]:
    path = here.folder / "ledger"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def schedule(own: Server, flows: int, count: int, seconds: float) -> None:
    async def work(store: Store) -> None:
        for n in range(flows):
            await Scheduler(store).schedule(holds(count, seconds), id=f"f{n}")

    on_store(own, work)


def ended(own: Server, flows: int, timeout: float) -> list[int]:
    """The results of all flows."""

    async def work(store: Store) -> list[int]:
        handles = [Scheduler(store).handle(f"f{n}", int) for n in range(flows)]
        return list(await asyncio.gather(*(handle.result(timeout=timeout) for handle in handles)))

    return on_store(own, work)


def test_an_outage_amid_steps_fails_no_flow_and_repeats_no_recorded_step(here: Shop, own: Server) -> None:
    workers = [here.worker("--lease", "3s") for _ in range(2)]
    until(lambda: all("worker" in worker.text() for worker in workers), what="their start")
    schedule(own, flows=10, count=8, seconds=0.2)
    until(lambda: len(ledger(here)) > 40, what="the middle of the steps")
    own.kill()
    time.sleep(OUTAGE)  # its length is what is tested
    own.start()
    assert ended(own, 10, 60) == [8] * 10
    assert [worker.popen.poll() for worker in workers] == [None, None]
    begun = [tuple(line[:2]) for line in ledger(here) if line[4].startswith("begin")]
    assert len(set(begun)) == 80
    assert len(begun) - 80 <= 20, "only steps that were under way ran again"


def test_no_two_workers_run_a_step_while_the_server_stands_still(here: Shop, own: Server) -> None:
    workers = [here.worker("--lease", "1s") for _ in range(2)]
    until(lambda: all("worker" in worker.text() for worker in workers), what="their start")
    schedule(own, flows=6, count=12, seconds=0.3)
    for round_ in range(1, 3):
        until(lambda least=15 * round_: len(ledger(here)) > least, what="some steps")
        assert own.process is not None
        own.process.send_signal(signal.SIGSTOP)
        time.sleep(2.0)  # two leases
        own.process.send_signal(signal.SIGCONT)
    assert ended(own, 6, 60) == [12] * 6
    inside: dict[str, str] = {}
    for flow, _, _, process, what in ledger(here):
        if what.startswith("begin"):
            assert inside.get(flow, process) == process, f"{flow} is in the hands of two workers"
            inside[flow] = process
        else:
            inside.pop(flow, None)


@pytest.mark.parametrize("swapped", [False, True], ids=["emptied", "swapped"])
def test_workers_refuse_a_server_without_their_store_and_write_nothing(here: Shop, own: Server, swapped: bool) -> None:
    schedule(own, flows=3, count=50, seconds=0.1)
    worker = here.worker("--lease", "1s")
    until(lambda: len(ledger(here)) > 6, what="the middle of the steps")
    command(own, "FLUSHALL")
    if swapped:
        here.run("schedule", "job", "--id", "other")
    until(lambda: "is gone, or another is in its place" in worker.text(), what="the refusal")
    before = len(ledger(here))
    until(lambda: worker.text().count("cannot claim") > 2, what="a worker that goes on refusing")
    keys = set(command(own, "KEYS", "*"))
    assert not any("workers" in key or "f:f" in key for key in keys), keys
    assert len(ledger(here)) - before <= 3, "what it had in hand is stopped"
    worker.send(signal.SIGTERM)
    assert worker.end() == 0
    assert set(command(own, "KEYS", "*")) == keys, "nor does it sign off there"
    assert bool(keys) is swapped


def test_a_store_that_is_restored_is_served_on_by_the_same_worker(here: Shop, own: Server) -> None:
    schedule(own, flows=3, count=10, seconds=0.1)
    worker = here.worker("--lease", "1s")
    until(lambda: len(ledger(here)) > 6, what="the middle of the steps")
    kept = backup(own)
    command(own, "FLUSHALL")
    until(lambda: worker.text().count("cannot claim") > 1, what="the refusal")
    restore(own, kept)
    assert ended(own, 3, 60) == [10] * 3
    assert worker.popen.poll() is None


def backup(own: Server) -> list[bytes]:
    """All keys and what they hold, of one moment."""
    script = """
        local found = {}
        for _, key in ipairs(redis.call('KEYS', '*')) do
            found[#found + 1] = key
            found[#found + 1] = redis.call('DUMP', key)
        end
        return found
    """
    with redis_py.Redis(unix_socket_path=str(own.socket)) as client:
        return client.eval(script, 0)  # type: ignore[no-any-return]  # two byte strings for each key


def restore(own: Server, found: list[bytes]) -> None:
    """At once: the worker goes on as soon as it finds its store."""
    with redis_py.Redis(unix_socket_path=str(own.socket)) as client, client.pipeline(transaction=True) as pipe:
        for key, value in zip(found[::2], found[1::2], strict=True):
            pipe.restore(key, 0, value)
        pipe.execute()
