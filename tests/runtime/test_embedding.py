"""Workers inside a program of somebody else: its threads, tasks, signals and logging stay its own, and when it ends, in
whatever way, the worker ends with it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ergon_runtime import Executor, Scheduler, Status, Worker, flow, invoke, open_store, sleep, step, wait_signal
from ergon_runtime.core.flows import ClaimRequest, Claims, Commit, CommitReply
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.workers import run, until
from tests.seed.places import STORES, address

ROOT = Path(__file__).resolve().parents[2]
begun: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_begun() -> None:
    begun.clear()


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return address(request.param, tmp_path)


@step
def embedded_sync(text: str) -> str:
    return text


@step
async def embedded_hangs() -> None:
    begun.append("hangs")
    await asyncio.Event().wait()


@step
async def embedded_short(seconds: float) -> None:
    begun.append("short")
    await asyncio.sleep(seconds)
    begun.append("short ended")


@flow
async def embedded_child(text: str) -> str:
    return await embedded_sync(text)


@flow
async def embedded_all(text: str) -> str:
    await sleep(0.01)
    return await invoke(embedded_child(text))


@flow
async def embedded_hanging() -> None:
    await embedded_hangs()


@flow
async def embedded_two_short(seconds: float = 0.1) -> None:
    await embedded_short(seconds)
    await embedded_short(seconds)


@flow
async def embedded_waits() -> str:
    return await wait_signal("go", str)


def others() -> set[str]:
    """What runs in this process besides the calling task: tasks of its loop, and threads."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    own = {threading.main_thread(), threading.current_thread()}
    return {repr(task) for task in tasks} | {each.name for each in threading.enumerate() if each not in own}


def test_worker_that_was_shut_down_leaves_no_thread_and_no_task(url: str) -> None:
    async def main() -> None:
        before = others()
        async with open_store(url) as store:
            running = await Worker(store).register(embedded_all, embedded_child, embedded_waits).start()
            scheduler = Scheduler(store)
            waiting = await scheduler.schedule(embedded_waits())
            await until(lambda: _is(waiting.status(), Status.WAITING))
            assert await (await scheduler.schedule(embedded_all("x"))).result() == "x"
            assert "ergon-keeper" in others()
            await running.shutdown()
            await running.shutdown()  # again: nothing more to do
        await until(lambda: others() == before)  # idle threads of the pool are told to end, and not waited for

    run(main)


def test_worker_as_a_context_is_shut_down_at_the_end_of_the_block(url: str) -> None:
    async def main() -> None:
        before = others()
        async with open_store(url) as store:
            handle = await Scheduler(store).schedule(embedded_two_short())
            async with await Worker(store, name="mine").register(embedded_two_short).start() as running:
                assert running.name == "mine"
                await until(lambda: begun == ["short"])
            assert begun == ["short", "short ended"]
            assert await handle.status() is Status.PENDING
        await until(lambda: others() == before)

    run(main)


def test_cancelled_program_lets_running_steps_end_and_closes_all(url: str) -> None:
    async def program() -> None:
        async with open_store(url) as store, await Worker(store).register(embedded_two_short).start():
            await Scheduler(store).schedule(embedded_two_short(), id="one")
            await asyncio.Event().wait()

    async def main() -> None:
        before = others()
        task = asyncio.create_task(program())
        await until(lambda: begun == ["short"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert begun == ["short", "short ended"]
        await until(lambda: others() == before)

    run(main)


def test_executor_that_is_cancelled_hands_the_flow_back_and_the_next_goes_on(url: str) -> None:
    async def main() -> None:
        async with open_store(url) as store:
            first = asyncio.create_task(Executor(embedded_two_short(), store, id="one").run())
            await until(lambda: begun == ["short"])
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert begun == ["short", "short ended"]
            assert await Scheduler(store).handle("one").status() is Status.PENDING
            await Executor(embedded_two_short(), store, id="one").run()
            assert begun == ["short", "short ended"] * 2

    run(main)


def test_join_waits_until_the_worker_is_shut_down() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            running = await Worker(store).register(embedded_all).start()
            joined = asyncio.create_task(running.join())
            await asyncio.sleep(0)
            assert not joined.done()
            await running.shutdown()
            await joined

    run(main)


def test_shutdown_that_is_cancelled_aborts_and_leaves_nothing(url: str) -> None:
    async def main() -> None:
        before = others()
        async with open_store(url) as store:
            handle = await Scheduler(store).schedule(embedded_hanging())
            running = await Worker(store).register(embedded_hanging).start()
            await until(lambda: begun == ["hangs"])
            ending = asyncio.create_task(running.shutdown())
            await asyncio.sleep(0)
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            assert "ergon-keeper" not in others()
            assert await handle.status() is Status.RUNNING  # left to its lease
        await until(lambda: others() == before)

    run(main)


class SlowStore(MemoryStore):
    """Its second claim that finds something is answered when `gate` is open; commits after it never are."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self.gate = 0, asyncio.Event()

    async def claim(self, request: ClaimRequest) -> Claims:
        claims = await super().claim(request)
        self.found += bool(claims.claims)
        if self.found == 2:
            await self.gate.wait()
        return claims

    async def commit(self, commit: Commit) -> CommitReply:
        if self.found == 2:
            await asyncio.Event().wait()
        return await super().commit(commit)


def test_worker_that_aborts_starts_nothing_that_a_claim_still_brings() -> None:
    async def main() -> None:
        before = others()
        store = SlowStore()
        running = await Worker(store, concurrency=2).register(embedded_hanging).start()
        await Scheduler(store).schedule(embedded_hanging())
        await until(lambda: begun == ["hangs"])
        await Scheduler(store).schedule(embedded_hanging())
        await until(lambda: store.found == 2)
        store.gate.set()
        await running.abort()
        await until(lambda: others() == before)
        assert begun == ["hangs"]

    run(main)


def test_loop_that_ends_without_a_shutdown_is_not_held_up(url: str) -> None:
    async def main() -> None:
        async with open_store(url) as store:
            await Scheduler(store).schedule(embedded_hanging())
            await Worker(store).register(embedded_hanging).start()
            await until(lambda: begun == ["hangs"])

    asyncio.run(asyncio.wait_for(main(), 20))
    end = time.monotonic() + 20
    while "ergon-keeper" in {thread.name for thread in threading.enumerate()}:
        assert time.monotonic() < end, "the keeper goes on"
        time.sleep(0.01)


def test_worker_whose_store_was_closed_before_it_can_still_be_shut_down(tmp_path: Path) -> None:
    async def main() -> None:
        before = others()
        async with open_store(f"sqlite:///{tmp_path / 'ergon.db'}") as store:
            await Scheduler(store).schedule(embedded_two_short(0.05))
            running = await Worker(store, lease=60).register(embedded_two_short).start()
            await until(lambda: begun == ["short"])
        await running.shutdown()
        assert begun == ["short", "short ended"]
        await until(lambda: others() == before)

    run(main)


def test_workers_take_no_thread_of_the_loops_own_pool() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with open_store("memory://") as store:
            running = [await Worker(store).register(embedded_all).start() for _ in range(3)]
            assert await asyncio.to_thread(lambda: "done") == "done"
            for each in running:
                await each.shutdown()

    run(main)


def test_worker_touches_neither_signal_handlers_nor_logging() -> None:
    def state() -> object:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        ours = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("ergon")]
        return handlers, [(each.name, each.level, each.handlers[:]) for each in (logging.getLogger(), *ours)]

    async def main() -> None:
        before = state()
        async with open_store("memory://") as store, await Worker(store).register(embedded_all, embedded_child).start():
            await (await Scheduler(store).schedule(embedded_all("x"))).result()
            assert state() == before

    run(main)


PROGRAM = """
import asyncio, signal, sys
from ergon_runtime import Scheduler, Worker, flow, open_store, step

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background have it ignored

@step
async def part(n: int) -> None:
    print("begin", n, flush=True)
    await asyncio.sleep(0.3)
    print("end", n, flush=True)

@flow
async def parts() -> None:
    for n in range(100):
        await part(n)

async def main() -> None:
    async with open_store("sqlite:///ergon.db") as store, await Worker(store).register(parts).start():
        await Scheduler(store).schedule(parts(), id="one")
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_program_interrupted_by_ctrl_c_hands_its_flows_back(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin 0\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert re.fullmatch(r"end 0\n(begin (\d+)\nend \2\n)*", out)  # what had begun has ended
    assert process.returncode == -signal.SIGINT
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert "never" not in err  # no task was destroyed pending, no exception never retrieved

    async def status() -> Status:
        async with open_store(f"sqlite:///{tmp_path / 'ergon.db'}") as store:
            return await Scheduler(store).handle("one").status()

    assert run(status) is Status.PENDING


async def _is(asked: object, wanted: Status) -> bool:
    return await asked is wanted  # type: ignore[misc]  # a coroutine of a status
