"""Keeps checkpoints and writers apart, on the builds of SQLite that need it.

SQLite 3.7.0 to 3.51.2 can damage a file when one process checkpoints the log while another begins it anew (fixed in
3.51.3, 3.50.7 and 3.44.6). On such builds SQLite's own checkpoints are off; writers share a lock on `<store>.gate`,
and whoever checkpoints holds it alone. The lock is on a file of its own: closing the store's file would drop SQLite's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Generator

_WISH = 4 * 1024 * 1024
"""Bytes of log above which a checkpoint is tried; every writer passing by tries, none waits."""
_NEED = 64 * 1024 * 1024
"""Bytes of log above which a checkpoint waits for the other writers."""


def needed(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this build of SQLite has the fault."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return not fixed


class Gate:
    """One handle's key to the gate; without `needed` it is always open. `writing` and `checkpoint` run on the writing
    connection's thread. Raises OSError if the gate's file cannot be made."""

    def __init__(self, path: str, needed: bool = needed()) -> None:
        self._log = f"{path}-wal"
        self._file = os.open(f"{path}.gate", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600) if needed else None

    @property
    def settings(self) -> tuple[str, ...]:
        """What a writing connection has to be told."""
        return () if self._file is None else ("PRAGMA wal_autocheckpoint = 0",)

    @contextlib.contextmanager
    def writing(self) -> Generator[None]:
        """While this lasts nobody checkpoints."""
        if self._file is None:
            yield
            return
        fcntl.flock(self._file, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def checkpoint(self, conn: sqlite3.Connection) -> None:
        """Move the log into the store, if it is long and nobody writes. A failure is left to the next one who tries."""
        length = self._length()
        if self._file is None or length < _WISH:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX if length > _NEED else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            with contextlib.suppress(sqlite3.Error):
                _empty(conn)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the key back; idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _length(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0


def _empty(conn: sqlite3.Connection) -> None:
    """Checkpoint without waiting for readers: what they hold back is done the next time."""
    patience = conn.execute("PRAGMA busy_timeout").fetchone()[0]
    conn.execute("PRAGMA busy_timeout = 0")
    try:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        conn.execute(f"PRAGMA busy_timeout = {patience}")
