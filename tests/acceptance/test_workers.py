"""Two workers, stopped workers, drained workers, workers that die: real processes on one SQLite file, or one Redis."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from ergon_runtime import FlowRow, Scheduler, Status, Store, open_store
from tests.acceptance.acceptance_flows import five_steps, poison, receiver
from tests.acceptance.processes import ROOT, Process, Shop, shop, until, warnings_in
from tests.seed.places import address

FLOWS = str(ROOT / "tests/acceptance/acceptance_flows.py")
SIGNALS = 1000


@pytest.fixture(params=["sqlite", "redis", "sqlite --uvloop", "redis --uvloop"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    kind, *options = request.param.split()
    environ = {"ERGON_LEDGER": str(tmp_path / "ledger"), "ERGON_STORE": address(kind, tmp_path)}
    with shop(tmp_path, ERGON_MODULES=FLOWS, **environ) as made:
        made.options = tuple(options)
        yield made


def ledger(here: Shop) -> list[list[str]]:
    path = here.folder / "ledger"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def on_store(here: Shop, work: object) -> object:
    async def run() -> object:
        async with open_store(here.environ["ERGON_STORE"]) as store:
            return await work(store)  # type: ignore[operator]  # any coroutine function of a store

    return asyncio.run(run())


def row(here: Shop, flow_id: str) -> FlowRow:
    async def get(store: Store) -> FlowRow | None:
        return await store.get(flow_id)

    found = on_store(here, get)
    assert isinstance(found, FlowRow)
    return found


def stop_outside_a_transaction(here: Shop, process: Process) -> None:
    """SIGSTOP at an instant when the process holds no lock: a writer stopped inside a transaction stops every other. On
    Redis no client holds one."""

    def stopped() -> bool:
        process.send(signal.SIGSTOP)
        until(process.is_stopped)
        if not here.environ["ERGON_STORE"].startswith("sqlite:"):
            return True
        try:
            with closing(sqlite3.connect(here.folder / "ergon.db", timeout=0.2)) as conn:
                conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            process.send(signal.SIGCONT)
            return False
        return True

    until(stopped)


def started(process: Process) -> bool:
    return "worker" in process.text()


def test_two_workers_with_500_flows_run_every_step_once(here: Shop) -> None:
    async def schedule(store: Store) -> None:
        scheduler = Scheduler(store)
        await asyncio.gather(*(scheduler.schedule(five_steps(n), id=f"five-{n}") for n in range(500)))

    on_store(here, schedule)
    workers = [here.worker("--burst"), here.worker("--burst")]
    assert [worker.end(90) for worker in workers] == [0, 0]

    async def rows(store: Store) -> list[FlowRow]:
        from ergon_runtime import FlowQuery

        return await store.list(FlowQuery(limit=1000))

    found = on_store(here, rows)
    assert isinstance(found, list)
    assert Counter(each.status for each in found) == {Status.COMPLETED: 500}
    effects = Counter((flow, key) for flow, key, *_ in ledger(here))
    assert len(effects) == 2500
    assert set(effects.values()) == {1}
    assert len({pid for *_, pid, _ in ledger(here)}) == 2, "one worker did everything"
    assert [line for worker in workers for line in warnings_in(worker.text())] == []


def test_signal_sent_around_the_wait_is_received_exactly_once(here: Shop) -> None:
    draw = random.Random(7)
    worker = here.worker()
    until(lambda: started(worker))

    async def one(scheduler: Scheduler, n: int) -> int:
        name = f"go-{n}"
        if n % 3 == 0:  # before the flow exists
            await scheduler.signal(name, n, id="once")
        handle = await scheduler.schedule(receiver(name, draw.choice([0.0, 0.01, 0.05])), id=name)
        if n % 3:
            await asyncio.sleep(draw.random() * (0.1 if n % 3 == 1 else 1.0))  # while it begins to wait, or later
            sent = handle.signal if n % 2 else scheduler.signal
            await sent(name, n, id="once")
        await scheduler.signal(name, n, id="once")  # again under the same id: no second signal
        return await handle.result(timeout=60)

    async def all_of_them(store: Store) -> list[int]:
        scheduler = Scheduler(store)
        return await asyncio.gather(*(one(scheduler, n) for n in range(SIGNALS)))

    assert on_store(here, all_of_them) == list(range(SIGNALS))
    received = Counter(what for *_, what in ledger(here))
    assert received == {f"go-{n}={n}": 1 for n in range(SIGNALS)}
    assert warnings_in(worker.text()) == []


@pytest.mark.parametrize("threaded", [False, True])
def test_stopped_worker_that_wakes_after_its_lease_writes_nothing(here: Shop, threaded: bool) -> None:
    here.run("schedule", "long_step", "-a", "seconds=0.5", "-a", f"threaded={threaded}", "--id", "one")
    first = here.worker("--lease", "1s")
    until(lambda: len(ledger(here)) == 1)
    stop_outside_a_transaction(here, first)
    second = here.worker("--lease", "1s")
    until(lambda: row(here, "one").status is Status.COMPLETED)
    before = row(here, "one")
    first.send(signal.SIGCONT)
    until(lambda: "lease lost" in first.text() or len(ledger(here)) == 4, what="the stopped worker's notice")
    first.send(signal.SIGTERM)
    assert first.end() == 0
    assert row(here, "one") == before
    second.send(signal.SIGTERM)
    assert second.end() == 0


def test_drain_ends_the_running_step_and_hands_the_flow_back(here: Shop) -> None:
    here.run("schedule", "two_long_steps", "-a", "seconds=0.7", "--id", "one")
    worker = here.worker()
    until(lambda: len(ledger(here)) == 1)
    worker.send(signal.SIGTERM)
    assert worker.end() == 0
    assert [line[-1] for line in ledger(here)] == ["begin", "end"], "another step began, or this one was cut off"
    assert (row(here, "one").status, row(here, "one").recoveries) == (Status.PENDING, 0)
    assert here.worker("--burst").end() == 0
    assert row(here, "one").status is Status.COMPLETED
    assert len(ledger(here)) == 4, "the first step ran again"


def test_second_interrupt_stops_at_once_with_130(here: Shop) -> None:
    here.run("schedule", "long_step", "-a", "seconds=30", "--id", "one")
    worker = here.worker()
    until(lambda: len(ledger(here)) == 1)
    worker.send(signal.SIGINT)
    until(lambda: "draining" in worker.text())
    worker.send(signal.SIGINT)
    assert worker.end(5) == 130


def test_poison_flow_is_blocked_while_its_neighbours_finish(here: Shop) -> None:
    async def schedule(store: Store) -> None:
        await Scheduler(store).schedule(poison(), id="bad")
        for n in range(10):
            await Scheduler(store).schedule(five_steps(n), id=f"good-{n}")

    on_store(here, schedule)
    for _ in range(30):
        if row(here, "bad").status is Status.BLOCKED:
            break
        here.worker("--burst", "--lease", "300ms").end(60)
    shown = here.json("inspect", "bad")
    assert shown["status"] == "blocked"
    assert shown["why"]["kind"] == "crash_loop"
    assert {row(here, f"good-{n}").status for n in range(10)} == {Status.COMPLETED}
    assert sum(line[-1] == "die" for line in ledger(here)) <= 8


def test_cancel_of_a_waiting_flow_runs_its_cleanup(here: Shop) -> None:
    here.run("schedule", "with_cleanup", "--id", "one")
    worker = here.worker()
    until(lambda: row(here, "one").status is Status.WAITING)
    here.run("cancel", "one")
    until(lambda: row(here, "one").status is Status.CANCELLED)
    assert [line[-2:] for line in ledger(here)] == [["clean", "up"]]
    worker.send(signal.SIGTERM)
    assert worker.end() == 0
