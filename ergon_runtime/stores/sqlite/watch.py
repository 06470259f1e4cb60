"""How a SQLite handle hears of changes: of its own process's by a bell per handle, of other processes' by
`PRAGMA data_version`.

That pragma tells of all commits but its own connection's, so it is asked on the writing connection: a worker is not
woken by every step that it commits itself. It is asked every 5 ms while somebody waits, and never otherwise.
"""

from __future__ import annotations

import asyncio
import threading
import weakref

from ergon_runtime.errors import StoreError
from ergon_runtime.stores.bell import Bell
from ergon_runtime.stores.sqlite.connection import Connection

_POLL = 0.005
_lock = threading.Lock()
_bells: dict[str, weakref.WeakSet[Bell]] = {}


class Watch:
    """What a handle knows of changes to its file."""

    def __init__(self, path: str, connection: Connection) -> None:
        self._path = path
        self._connection = connection
        self._version: int | None = None
        self._waiting = 0
        self._poller: asyncio.Task[None] | None = None
        self.bell = Bell()
        with _lock:
            _bells.setdefault(path, weakref.WeakSet()).add(self.bell)

    def ring(self) -> None:
        """Wake those who wait on any handle of this process on this file."""
        with _lock:
            bells = list(_bells.get(self._path, ()))
        for bell in bells:
            bell.ring()

    async def wait(self, strokes: int, timeout: float) -> None:
        """Return as soon as the bell has rung more often than `strokes`, or after `timeout` seconds."""
        self._waiting += 1
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="ergon store watch")
        try:
            await self.bell.wait(strokes, timeout)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Stop asking."""
        with _lock:
            bells = _bells.get(self._path)
            if bells is not None:
                bells.discard(self.bell)
                if not bells:
                    del _bells[self._path]
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.wait({self._poller})

    async def _poll(self) -> None:
        while self._waiting:
            try:
                version: int = await self._connection.run(
                    lambda conn: conn.execute("PRAGMA data_version").fetchone()[0]
                )
            except StoreError:  # whoever reads or writes next will be told
                version = -1
            if version != self._version:
                if self._version is not None:
                    self.bell.ring()
                self._version = version
            await asyncio.sleep(_POLL)
