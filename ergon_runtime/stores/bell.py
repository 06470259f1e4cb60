"""A bell: wakes whoever waits for a change, in any thread and event loop. It counts its strokes, so none is missed."""

from __future__ import annotations

import asyncio
import contextlib
import threading


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


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
