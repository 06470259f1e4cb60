"""A bell: wakes whoever waits for a change, in any thread and event loop. It counts its strokes, so none is missed.

And what each caller of a store's `wait` has been told, so that each is told of every change once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref


class Bell:
    """Rung when something may have changed. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._strokes = 0
        self._sleepers: set[asyncio.Future[None]] = set()

    @property
    def strokes(self) -> int:
        """How often it has been rung."""
        return self._strokes

    def ring(self) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self._strokes += 1
            sleepers, self._sleepers = self._sleepers, set()
        for sleeper in sleepers:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits there any more
                sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    async def wait(self, strokes: int, timeout: float) -> None:
        """Return as soon as it has been rung more often than `strokes`, or after `timeout` seconds."""
        sleeper = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._strokes > strokes:
                return
            self._sleepers.add(sleeper)
        try:
            await asyncio.wait({sleeper}, timeout=timeout)
        finally:
            with self._lock:
                self._sleepers.discard(sleeper)


class Told:
    """Up to where each waiter has heard: strokes of the bell, and the store's counter. A worker is known by its name, a
    caller without one by its task. Who has never waited has heard nothing, so his first wait returns at once."""

    def __init__(self) -> None:
        self._workers: dict[str, tuple[int, int]] = {}
        self._tasks: weakref.WeakKeyDictionary[asyncio.Task[object], tuple[int, int]] = weakref.WeakKeyDictionary()

    def get(self, worker: str) -> tuple[int, int]:
        """What the calling task's waiter has heard."""
        task = asyncio.current_task()
        if worker or task is None:
            return self._workers.get(worker, (-1, 0))
        return self._tasks.get(task, (-1, 0))

    def note(self, worker: str, strokes: int, heard: int) -> None:
        """Remember what it has heard now."""
        task = asyncio.current_task()
        if worker or task is None:
            self._workers[worker] = (strokes, heard)
        else:
            self._tasks[task] = (strokes, heard)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
