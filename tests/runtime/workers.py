"""Workers in this process on a memory store, for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ergon_runtime import RunningWorker, Scheduler, Store, Worker, open_store
from tests.encryption import as_told

T = TypeVar("T")
PATIENCE = 20.0


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run an async test, with a deadline."""

    async def bounded() -> T:
        return await asyncio.wait_for(main(), PATIENCE)

    return asyncio.run(bounded())


@asynccontextmanager
async def shop(*flows: object, **settings: Any) -> AsyncIterator[Shop]:
    """A memory store with a worker that serves these flows, until the end of the block."""
    async with open_store("memory://") as plain:
        store = as_told(plain)
        shop = Shop(store, await Worker(store, **settings).register(*flows).start())
        try:
            yield shop
        finally:
            await shop.worker.shutdown()


class Shop:
    """A store, a scheduler for it and a worker on it."""

    def __init__(self, store: Store, worker: RunningWorker) -> None:
        self.store, self.worker, self.scheduler = store, worker, Scheduler(store)


async def until(condition: Callable[[], bool] | Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Let others run until the condition holds; the test's deadline bounds it."""
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        await asyncio.sleep(0.005)
