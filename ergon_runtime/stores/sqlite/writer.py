"""The one writer of a SQLite handle: it drains a queue of operations into one transaction at a time.

A caller that is cancelled abandons its future; the operation may or may not have been applied, and the lock is not
stranded. The writer's task is nobody else's to cancel: `close` lets it finish what is queued.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.sqlite.connection import Connection
from ergon_runtime.stores.sqlite.gate import Gate
from ergon_runtime.stores.sqlite.transaction import Outcome, Work, run_group

T = TypeVar("T")
_Job = tuple[Work, "asyncio.Future[object]"]
_GROUP = 256
"""Operations in one transaction, at most."""


class Writer:
    """Runs operations in groups. `after` is called in the event loop after each group, when it has been answered."""

    def __init__(
        self, connection: Connection, gate: Gate, path: str, patience: float, after: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._path = path
        self._patience = patience
        self._after = after
        self._queue: deque[_Job] = deque()
        self._wanted = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="ergon store writer")

    async def write(self, work: Callable[[], T]) -> T:
        """Run an operation in the next transaction; returns when it is on disk. Raises what the operation raises, and
        StoreError."""
        if self._closed or self._task.done():
            raise StoreUnavailable(f"store {self._path} is closed")
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._queue.append((work, future))
        self._wanted.set()
        return cast("T", await future)

    async def close(self) -> None:
        """Finish what is queued, then stop."""
        self._closed = True
        self._wanted.set()
        await asyncio.wait({self._task})
        self._gate.close()

    async def _run(self) -> None:
        try:
            while not self._closed or self._queue:
                await self._wanted.wait()
                self._wanted.clear()
                while self._queue:
                    await self._drain()
        finally:
            self._abandon(self._queue)

    async def _drain(self) -> None:
        group = [self._queue.popleft() for _ in range(min(_GROUP, len(self._queue)))]
        wanted = [(work, future) for work, future in group if not future.done()]
        works, loop = [work for work, _ in wanted], asyncio.get_running_loop()

        def run(conn: sqlite3.Connection) -> None:
            outcomes: list[Outcome]
            try:
                with self._gate.writing(self._patience):
                    outcomes = run_group(conn, works, self._path, self._patience)
            except StoreUnavailable as shut:
                outcomes = [(None, shut)] * len(works)
            loop.call_soon_threadsafe(self._answer, wanted, outcomes)  # nobody is to wait for the checkpoint
            self._gate.checkpoint(conn)

        try:
            await self._connection.run(run)
        finally:
            self._abandon(wanted)

    def _answer(self, group: list[_Job], outcomes: list[Outcome]) -> None:
        for (_, future), (result, error) in zip(group, outcomes, strict=True):
            if future.done():
                continue  # its caller was cancelled
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        self._after()

    def _abandon(self, jobs: Iterable[_Job]) -> None:
        """Answer who has no answer yet, because the loop or the connection ends under the writer."""
        for _, future in jobs:
            if not future.done():
                future.set_exception(StoreUnavailable(f"store {self._path} was closed; the outcome is unknown"))
