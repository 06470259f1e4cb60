"""A graceful shutdown: ten flows on two workers that are told to stop in the middle, and nothing is lost.

Shows what `shutdown()` does: steps that run come to their end and are recorded, no other begins, and the flows are
handed back at once, as `pending`. Other workers go on with them. No step's body runs twice.

    python sample_flows/shutdown.py

It prints how far the flows had come when the workers had stopped, and how they end; with 0 if every step ran once. The
same with processes, where SIGTERM asks for the shutdown:

    ergon schedule long_work -m sample_flows/shutdown.py -a number=1 -a seconds=2
    ergon worker -m sample_flows/shutdown.py &
    kill %1
    ergon list
    ergon worker -m sample_flows/shutdown.py --burst

If the worker had begun when it was told, `ergon list` shows the flow as pending, and the other worker ends it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from ergon_runtime import Scheduler, Status, Store, Worker, flow, open_store, step

FLOWS = 10
PARTS = 3

begun: Counter[tuple[int, int]] = Counter()
"""How often each part of each flow's work has been begun in this process."""


@step
async def work(number: int, part: int, seconds: float) -> str:
    begun[number, part] += 1
    await asyncio.sleep(seconds)  # in a step this is not durable; it stands for work that takes a while
    return f"part {part} of {number}"


@flow
async def long_work(number: int, seconds: float = 0.3) -> list[str]:
    return [await work(number, part, seconds) for part in range(PARTS)]


def worker(store: Store, name: str) -> Worker:
    return Worker(store, name=name, concurrency=5).register(long_work)


async def play(url: str) -> bool:
    """Stop two workers when every flow is in its first part, and let two others finish; whether all was as promised."""
    begun.clear()
    async with open_store(url) as store:
        scheduler = Scheduler(store)
        handles = [await scheduler.schedule(long_work(number)) for number in range(FLOWS)]
        async with await worker(store, "first").start(), await worker(store, "second").start(), asyncio.timeout(30):
            while len(begun) < FLOWS:  # noqa: ASYNC110  steps ring no bell when they begin
                await asyncio.sleep(0.01)
        stopped = Counter([await handle.status() for handle in handles])  # both have shut down
        print(f"after the shutdown: {sum(begun.values())} parts done, {stopped[Status.PENDING]} flows handed back")
        async with await worker(store, "third").start(), await worker(store, "fourth").start():
            results = await asyncio.gather(*(handle.result(timeout=30) for handle in handles))
    once = len(begun) == FLOWS * PARTS and set(begun.values()) == {1}
    print(f"in the end: {len(results)} flows completed, {len(begun)} parts done, {'each once' if once else 'NOT once'}")
    return once and stopped[Status.PENDING] + stopped[Status.COMPLETED] == FLOWS


def main(url: str = "memory://") -> int:
    return 0 if asyncio.run(play(url)) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
