"""What only shows between processes: kill -9, two workers on one file, waiting across processes, a locked file: d01,
d03, d21, d27, d28, d29.

At scale, and with more kills, this is shown elsewhere:

d01  tests/kills/test_run.py test_flows_complete_through_kills_and_no_recorded_step_runs_again
d10  tests/acceptance/test_workers.py test_stopped_worker_that_wakes_after_its_lease_writes_nothing
d18  tests/acceptance/test_workers.py test_drain_ends_the_running_step_and_hands_the_flow_back
d27  tests/acceptance/test_workers.py test_two_workers_with_500_flows_run_every_step_once
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ergon_runtime import Executor, Scheduler, Status, Store, flow, open_store, step
from tests.acceptance.processes import ROOT, Process, Shop, shop, until, warnings_in
from tests.seed.places import row_of
from tests.seed.seed_flows import one_step, waits_then_ends

T = TypeVar("T")
FLOWS = str(ROOT / "tests/seed/seed_flows.py")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Shop]:
    with shop(tmp_path, ERGON_LEDGER=str(tmp_path / "ledger"), ERGON_MODULES=FLOWS) as made:
        yield made


def ledger(here: Shop) -> list[str]:
    path = here.folder / "ledger"
    return path.read_text().splitlines() if path.exists() else []


def on_store(here: Shop, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        async with asyncio.timeout(90), open_store(f"sqlite:///{here.folder}/ergon.db") as store:
            return await work(store)

    return asyncio.run(main())


def status(here: Shop, flow_id: str) -> Status:
    return on_store(here, lambda store: row_of(store, flow_id)).status


def test_d01_flow_of_a_worker_killed_amid_a_step_is_taken_over(here: Shop) -> None:
    """75 seconds later it was still RUNNING, locked by the dead worker."""
    here.run("schedule", "hangs_once", "--id", "f")
    first = here.worker("--lease", "1s")
    until(lambda: len(ledger(here)) == 2)
    first.kill()
    assert here.worker("--burst", "--lease", "1s").end() == 0
    assert here.json("inspect", "f")["result"] == "beforehangs"
    assert ledger(here) == ["f once before", "f first_hangs hangs", "f first_hangs hangs"]


@pytest.mark.parametrize("overdue", [False, True])
def test_d03_timer_whose_worker_was_killed_fires_in_the_next(here: Shop, overdue: bool) -> None:
    """The next worker knew nothing of timers asked for before it began: 13 seconds overdue, and still SUSPENDED."""
    here.run("schedule", "naps", "-a", "seconds=3", "--id", "f")
    first = here.worker("--lease", "1s")
    until(lambda: status(here, "f") is Status.WAITING)
    first.kill()
    due = on_store(here, lambda store: row_of(store, "f")).due
    assert due is not None
    until(lambda: not overdue or time.time() * 1000 > due)
    second = here.worker("--lease", "1s")
    until(lambda: status(here, "f") is Status.COMPLETED)
    second.send(signal.SIGTERM)
    assert second.end() == 0
    assert ledger(here) == ["f once before", "f once#2 after"]


def test_d21_end_in_another_process_is_heard_within_a_second(here: Shop) -> None:
    """A wait for a flow that another process ran lasted for ever."""
    worker = here.worker()
    until(partial(_tells_that_it_is_there, worker))

    async def late(store: Store) -> list[float]:
        found: list[float] = []
        for _ in range(5):
            handle = await Scheduler(store).schedule(waits_then_ends())
            result = asyncio.create_task(handle.result())
            while await handle.status() is not Status.WAITING:
                await asyncio.sleep(0.01)
            await handle.signal("go", "payload")
            assert await result == "payload"
            found.append(time.time() - (await row_of(store, handle.id)).updated / 1000)
        return found

    assert min(on_store(here, late)) < 1.0, "the best of five: the machine may be busy"


def test_d27_two_worker_processes_on_one_file_run_200_flows_once_each(here: Shop) -> None:
    """190 to 197 of 200 ran; 7 to 22 stayed RUNNING, and up to 5 bodies ran twice."""

    async def schedule(store: Store) -> None:
        await asyncio.gather(*(Scheduler(store).schedule(one_step(n), id=f"f{n}") for n in range(200)))

    on_store(here, schedule)
    workers = [here.worker("--burst"), here.worker("--burst")]
    assert [worker.end(90) for worker in workers] == [0, 0]

    async def statuses(store: Store) -> Counter[Status]:
        return Counter(row.status for row in await Scheduler(store).list(limit=1000))

    assert on_store(here, statuses) == {Status.COMPLETED: 200}
    assert Counter(ledger(here)) == {f"f{n} once body": 1 for n in range(200)}


def test_d28_two_worker_processes_meet_no_error_of_the_database(here: Shop) -> None:
    """SQLITE_BUSY came at once, whatever the timeout, and was logged and forgotten."""

    async def schedule(store: Store) -> None:
        await asyncio.gather(*(Scheduler(store).schedule(one_step(n), id=f"f{n}") for n in range(50)))

    workers = [here.worker(), here.worker()]
    for worker in workers:
        until(partial(_tells_that_it_is_there, worker))
    on_store(here, schedule)  # a third process writes meanwhile
    until(lambda: len(ledger(here)) == 50)
    until(lambda: here.run("list", "--status", "running", "--status", "pending").stdout == "")
    for worker in workers:
        worker.send(signal.SIGTERM)
        assert worker.end() == 0
    assert [line for worker in workers for line in warnings_in(worker.text())] == []
    assert Counter(ledger(here)) == {f"f{n} once body": 1 for n in range(50)}


def _tells_that_it_is_there(worker: Process) -> bool:
    return "worker" in worker.text()


LOCK = """
import sqlite3, sys, time
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(1.5)
conn.execute("ROLLBACK")
"""


def test_d29_effect_made_while_the_file_was_locked_is_recorded_when_it_is_free(tmp_path: Path) -> None:
    """The store was away for 1.5 seconds during a step, and the flow stayed RUNNING for ever."""
    path = tmp_path / "ergon.db"
    began: list[float] = []

    @step
    async def locks_the_file() -> str:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOCK, str(path), stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"locked\n"
        began.append(time.monotonic())
        return "effect"

    @flow
    async def makes_an_effect_in_the_dark() -> str:
        return await locks_the_file() + " recorded"

    async def main() -> None:
        async with asyncio.timeout(60), open_store(f"sqlite:///{path}") as store:
            assert await Executor(makes_an_effect_in_the_dark(), store).run() == "effect recorded"

    asyncio.run(main())
    assert len(began) == 1
    assert time.monotonic() - began[0] > 1, "the file was not locked when the effect was to be recorded"


def test_tests_that_the_docstring_names_exist() -> None:
    named = re.findall(r"(tests/\S+\.py) (test_\w+)", __doc__ or "")
    assert len(named) == 4
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path} has no {name}"
