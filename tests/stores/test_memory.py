"""What only the memory store promises: handles in several threads share one state and wake each other."""

from __future__ import annotations

import asyncio
import threading

from ergon_runtime.core.flows import FlowQuery
from ergon_runtime.stores.memory import MemoryStore
from tests.stores.harness import new


def test_clone_in_another_thread_is_woken() -> None:
    store = MemoryStore()
    asleep, woken = threading.Event(), threading.Event()

    async def sleep() -> None:
        clone = store.clone()
        await clone.wait("v", 60)
        asleep.set()
        await clone.wait("v", 60)
        woken.set()

    thread = threading.Thread(target=lambda: asyncio.run(sleep()))
    thread.start()
    assert asleep.wait(10)
    asyncio.run(store.create(new()))
    assert woken.wait(10)
    thread.join()


def test_threads_share_one_state() -> None:
    store = MemoryStore()

    async def fill(first: int) -> None:
        clone = store.clone()
        for number in range(first, first + 200):
            await clone.create(new(f"f{number}"))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(fill(n * 100))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asyncio.run(store.list(FlowQuery(limit=10_000)))) == 500


def test_waiter_whose_loop_is_gone_does_not_disturb() -> None:
    store = MemoryStore()

    async def leave() -> None:
        await store.wait("w", 60)
        sleeping = asyncio.create_task(store.wait("w", 60))
        await asyncio.sleep(0)
        sleeping.cancel()

    asyncio.run(leave())
    assert asyncio.run(store.create(new()))
