"""How a SQLite handle hears of changes: of its own process's by a bell per handle, of other processes' by
`PRAGMA data_version`.

That pragma tells of all commits but its own connection's, so it is asked on the writing connection: a worker is not
woken by every step that it commits itself. While somebody waits, the log is looked at every few milliseconds, and the
pragma asked if somebody may have committed since: a look costs little, a question the turns of two threads.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref

from ergon_runtime.errors import StoreError
from ergon_runtime.stores.bell import Bell
from ergon_runtime.stores.sqlite.connection import Connection

_POLL, _LAZY_POLL = 0.005, 0.010
"""Seconds between two looks; between those at a log that has not changed for a while."""
_LAZY = 1_000_000_000
"""Nanoseconds: that while."""
_SEEN = 250_000_000
"""Nanoseconds after a change of the log within which it is no news that the log has not changed: a commit is seen only
when its log is on disk, and changes within a tick of the kernel's clock get the same time. One that takes longer is
found by those who wait for it when their own time is over."""
_lock = threading.Lock()
_bells: dict[str, weakref.WeakSet[Bell]] = {}
_Stamp = tuple[int, int, int]


class Watch:
    """What a handle knows of changes to its file."""

    def __init__(self, path: str, connection: Connection) -> None:
        self._path, self._log = path, f"{path}-wal"
        self._connection = connection
        self._version: int | None = None
        self._quiet: _Stamp | None = None
        """The log as it was before the version was asked, if a commit since would show in it."""
        self._waiting = 0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
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
        if self._timer is None and self._asking is None:
            self._look()
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
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    def _look(self) -> None:
        """Look at the log, again and again while somebody waits."""
        self._timer = None
        if not self._waiting or self._closed:
            return
        stamp = self._stamp()
        if stamp is None or stamp != self._quiet:
            self._asking = asyncio.create_task(self._ask(stamp), name="ergon store watch")
        else:
            self._look_in(_POLL if time.time_ns() - stamp[0] < _LAZY else _LAZY_POLL)

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    async def _ask(self, stamp: _Stamp | None) -> None:
        settled = stamp is not None and time.time_ns() - stamp[0] > _SEEN
        try:
            version: int = await self._connection.run(lambda conn: conn.execute("PRAGMA data_version").fetchone()[0])
        except StoreError:  # whoever reads or writes next will be told
            version = -1
        if version != self._version:
            if self._version is not None:
                self.bell.ring()
            self._version = version
        self._quiet = stamp if settled else None
        self._asking = None
        self._look_in(_POLL)

    def _stamp(self) -> _Stamp | None:
        try:
            found = os.stat(self._log)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
