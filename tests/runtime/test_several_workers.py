"""Several workers in one process: each serves its own, stops alone, has its own threads, and leaves the loop free."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from ergon_runtime import Scheduler, Status, Store, Worker, flow, invoke, open_store, step
from ergon_runtime.core.entries import StepEnded, unpack
from tests.runtime.workers import run, until

begun: list[str] = []
gates: dict[str, asyncio.Event] = {}
threads: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def _closed_gates() -> Iterator[None]:
    begun.clear()
    gates.clear()
    threads.clear()
    threads["held"] = threading.Event()
    yield
    threads["held"].set()


@step
async def several_gated(name: str) -> str:
    begun.append(name)
    await gates.setdefault(name, asyncio.Event()).wait()
    return name


@flow
async def several_one(name: str) -> str:
    return await several_gated(name)


@flow
async def several_other(name: str) -> str:
    return await several_gated(f"other {name}")


@flow
async def several_parent(name: str) -> str:
    return await invoke(several_other(name))


@step
def several_holds_a_thread(name: str) -> str:
    begun.append(f"{name} in {threading.current_thread().name}")
    threads["held"].wait(20)
    return name


@step
def several_quick() -> str:
    return threading.current_thread().name


@flow
async def several_in_thread(name: str) -> str:
    return await several_holds_a_thread(name)


@flow
async def several_in_thread_too() -> str:
    return await several_quick()


async def workers_of(store: Store, flow_id: str) -> list[str]:
    """Which worker ended each step."""
    entries = [unpack(row, seq).entry for seq, row in enumerate(await store.journal(flow_id, 0, 1000))]
    return [entry.worker for entry in entries if isinstance(entry, StepEnded)]


def test_workers_of_different_types_run_each_their_own_and_each_others_children() -> None:
    async def main() -> None:
        for name in ("x", "other y", "other z"):
            gates[name] = asyncio.Event()
            gates[name].set()
        async with (
            open_store("memory://") as store,
            await Worker(store, name="A").register(several_one, several_parent).start(),
            await Worker(store, name="B").register(several_other).start(),
        ):
            scheduler = Scheduler(store)
            handles = [
                await scheduler.schedule(flow, id=flow_id)
                for flow, flow_id in [(several_one("x"), "x"), (several_other("y"), "y"), (several_parent("z"), "z")]
            ]
            assert [await handle.result() for handle in handles] == ["x", "other y", "other z"]
            assert await workers_of(store, "x") == ["A"]
            assert await workers_of(store, "y") == ["B"]
            assert await workers_of(store, "z/several_other") == ["B"]

    run(main)


def test_workers_of_one_type_share_the_flows_and_run_each_once() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            scheduler = Scheduler(store)
            handles = [await scheduler.schedule(several_one(str(n)), id=f"f{n}") for n in range(6)]
            async with (
                await Worker(store, name="A", concurrency=3).register(several_one).start() as a,
                await Worker(store, name="B", concurrency=3).register(several_one).start() as b,
            ):
                await until(lambda: len(begun) == 6)
                assert (a.busy, b.busy) == (3, 3)
                for gate in gates.values():
                    gate.set()
                await asyncio.gather(*(handle.result() for handle in handles))
            assert Counter(begun) == Counter(map(str, range(6)))
            done = Counter([worker for n in range(6) for worker in await workers_of(store, f"f{n}")])
            assert done == {"A": 3, "B": 3}

    run(main)


def test_workers_without_names_have_distinct_ones() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            assert len({Worker(store).name for _ in range(10)}) == 10

    run(main)


def test_worker_that_shuts_down_leaves_the_other_at_work() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            first = await Worker(store, name="A", concurrency=1).register(several_one).start()
            one = await Scheduler(store).schedule(several_one("one"), id="one")
            await until(lambda: begun == ["one"])
            second = await Worker(store, name="B", concurrency=1).register(several_one).start()
            two = await Scheduler(store).schedule(several_one("two"), id="two")
            await until(lambda: begun == ["one", "two"])
            stopping = asyncio.create_task(first.shutdown())
            gates["one"].set()
            await stopping
            assert await one.result() == "one"
            assert (await two.status(), second.busy) == (Status.RUNNING, 1)
            three = await Scheduler(store).schedule(several_one("three"), id="three")
            gates["two"].set()
            await until(lambda: "three" in gates)
            gates["three"].set()
            assert [await two.result(), await three.result()] == ["two", "three"]
            assert await workers_of(store, "three") == ["B"]
            await second.shutdown()

    run(main)


def test_workers_have_threads_of_their_own_and_leave_the_loop_free() -> None:
    async def main() -> None:
        async with (
            open_store("memory://") as store,
            await Worker(store, concurrency=1).register(several_in_thread).start(),
            await Worker(store, concurrency=1).register(several_in_thread_too).start(),
        ):
            scheduler = Scheduler(store)
            held = await scheduler.schedule(several_in_thread("held"))
            await until(lambda: len(begun) == 1)
            quick = await scheduler.schedule(several_in_thread_too())
            assert (await quick.result()).startswith("ergon-step")  # its thread is not the one that is held
            assert await asyncio.to_thread(lambda: "free") == "free"
            assert await held.status() is Status.RUNNING
            threads["held"].set()
            assert await held.result() == "held"

    run(main)
