"""Ergon with its workers in processes of their own, started by `ergon worker`: latencies (T5), and two workers (T7)."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from benchmarks.programs import ergon_flows as flows
from benchmarks.programs.common import FLOW_STEPS, Order, order
from benchmarks.programs.ergon import AT_ONCE, UNFINISHED, address, in_force
from benchmarks.results import emit
from ergon_runtime import Scheduler, Status, Store, open_store

WORKER = ("-m", "ergon_cli", "worker", "-m", "benchmarks.programs.ergon_flows", "-c", str(AT_ONCE), "--store")
BEGIN = 30.0
"""Seconds for workers to begin, at most."""
LEAD = 4.0
"""Seconds in which they begin as a rule."""
PROBES = 100
"""Flows that show how long scheduling takes."""


async def latencies(asked: Order) -> None:
    """How long after a call its effect is seen in the worker's process. The worker is idle before each."""
    url = address(asked.place)
    async with open_store(url) as store, workers(store, url, 1):
        draw, scheduler = random.Random(1), Scheduler(store)
        starts, resumes = list[float](), list[float]()
        for number in range(asked.count + 5):  # the first ones warm it up
            await asyncio.sleep(draw.uniform(0.005, 0.02))
            begun = time.monotonic()
            handle = await scheduler.schedule(flows.started())
            starts.append(await handle.result() - begun)
            waiting = await scheduler.schedule(flows.signalled())
            while await waiting.status() is not Status.WAITING:
                await asyncio.sleep(0.005)
            await asyncio.sleep(draw.uniform(0.005, 0.02))
            begun = time.monotonic()
            await waiting.signal("go", number)
            resumes.append(await waiting.result() - begun)
        settings = await in_force(store)
    for what, found in (("schedule to start", starts[5:]), ("signal to resume", resumes[5:])):
        for part, share in (("p50", 0.5), ("p99", 0.99)):
            value = round(quantile(found, share) * 1000, 3)
            emit(asked.work, f"{asked.name}, {what} {part}", value, "ms", count=asked.count, **settings)


async def together(asked: Order) -> None:
    """Flows that become due at one instant, by one worker and then by two. From that instant until all have ended."""
    for count in (1, 2):
        url = address(asked.place)
        async with open_store(url) as store:
            due = await schedule_all(store, asked.count)
            async with workers(store, url, count):
                assert time.time() < due, "the workers took too long to begin"
                await asyncio.sleep(due - time.time())
                while await store.list(UNFINISHED):
                    await asyncio.sleep(0.02)
                seconds, settings = time.time() - due, await in_force(store)
        steps, name = asked.count * FLOW_STEPS, f"{asked.name}, {count} worker{'s' if count > 1 else ''}"
        more = {"count": steps, "seconds": round(seconds, 4), "flows_at_once_each": AT_ONCE}
        emit(asked.work, name, round(steps / seconds, 1), "steps/s", **more, **settings)


async def schedule_all(store: Store, count: int) -> float:
    """Schedule so many flows for one instant, late enough for all of them and for workers to begin; that instant."""
    scheduler, soon = Scheduler(store), timedelta(hours=1)
    begun = time.monotonic()
    probes = await asyncio.gather(*(scheduler.schedule(flows.short(n), delay=soon) for n in range(PROBES)))
    each = (time.monotonic() - begun) / PROBES
    for probe in probes:
        await probe.cancel()
    due = time.time() + LEAD + 2 * each * count
    at = datetime.fromtimestamp(due, UTC)
    await asyncio.gather(*(scheduler.schedule(flows.short(n), at=at) for n in range(count)))
    return due


@asynccontextmanager
async def workers(store: Store, url: str, count: int) -> AsyncGenerator[None]:
    """So many `ergon worker` processes, all of them at work; stopped at the end."""
    started: Sequence[subprocess.Popen[bytes]] = [
        subprocess.Popen([sys.executable, *WORKER, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        end = time.monotonic() + BEGIN
        while len(await store.workers()) < count:
            assert time.monotonic() < end, "the workers do not begin"
            await asyncio.sleep(0.02)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def quantile(found: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    return sorted(found)[min(len(found) - 1, int(share * len(found)))]


if __name__ == "__main__":
    given = order()
    asyncio.run({"T5": latencies, "T7": together}[given.work](given))
