"""Keeps checkpoints and writers apart, and the log short.

SQLite 3.7.0 to 3.51.2 can damage a file when one process checkpoints the log while another begins it anew (fixed in
3.51.3, 3.50.7 and 3.44.6). A store may be shared by processes with different builds, so none leaves checkpoints to
SQLite: writers share a lock on `<store>.gate`, and whoever checkpoints holds it alone. When the log gets long he first
closes `<store>.turn`, through which all writers come: else some of them would always be inside. The locks are on files
of their own: closing the store's file would drop SQLite's.

A log that was checkpointed keeps its file, unless it is very long, and is written over from its beginning: that takes
half as long to bring to disk as what makes a file longer.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Generator

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.sqlite import holders

log = logging.getLogger(__name__)

SETTINGS = ("PRAGMA wal_autocheckpoint = 0",)
"""What a writing connection has to be told."""
_WISH = 4 * 1024 * 1024
"""Bytes of log above which a checkpoint is tried; every writer passing by tries, none waits."""
_NEED = 16 * 1024 * 1024
"""Bytes of log above which a checkpoint makes the writers wait, and cuts the file off."""
_LONG = 64 * 1024 * 1024
"""Bytes of log of which people are warned."""
_WAIT = 0.5
"""Seconds for which a checkpoint waits for writers to leave, and for which it then lets them be."""
_READERS = 100
"""Milliseconds for which such a checkpoint, and with it the writers, waits for those who read."""
_SILENCE = 60.0
"""Seconds between two warnings."""


class Gate:
    """One handle's key to the gate. `writing` and `checkpoint` run on the writing connection's thread. Raises OSError
    if its files cannot be made."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._gate = _open(f"{path}.gate")
        self._turn = _open(f"{path}.turn")
        self._rest_until = self._silent_until = 0.0
        self._closed = False

    @contextlib.contextmanager
    def writing(self, patience: float) -> Generator[None]:
        """While this lasts nobody checkpoints. Raises StoreUnavailable if somebody does for `patience` seconds."""
        deadline = time.monotonic() + patience
        with _locked(self._turn, fcntl.LOCK_SH, deadline) as passed:
            if not passed or not _lock(self._gate, fcntl.LOCK_SH, deadline):
                raise self._shut(f"{self._path}.{'gate' if passed else 'turn'}")
        try:
            yield
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def checkpoint(self, conn: sqlite3.Connection) -> None:
        """Move the log into the store, if it is long and nobody writes. A failure is left to the next one who tries."""
        length, now = self._length(), time.monotonic()
        if length < _WISH:
            return
        deadline = now + _WAIT if length > _NEED and now >= self._rest_until else now
        kind = fcntl.LOCK_EX if deadline > now else fcntl.LOCK_SH
        with _locked(self._turn, kind, deadline) as passed, _locked(self._gate, fcntl.LOCK_EX, deadline) as alone:
            if passed and alone:
                with contextlib.suppress(sqlite3.Error):
                    _empty(conn, cut=length > _NEED, wait=_READERS if deadline > now else 0)
        if length > _NEED and self._length() > _NEED:
            self._rest_until = time.monotonic() + _WAIT
        self._warn()

    def close(self) -> None:
        """Give the key back; idempotent."""
        if not self._closed:
            self._closed = True
            os.close(self._gate)
            os.close(self._turn)

    def _warn(self) -> None:
        length, now = self._length(), time.monotonic()
        if length < _LONG or now < self._silent_until:
            return
        self._silent_until = now + _SILENCE
        reading = ", ".join(map(holders.describe, holders.readers(self._path)))
        log.warning(
            "the log of store %s has grown to %d MiB, because somebody reads the store without a pause; processes that "
            "read it now: %s",
            *(self._path, length >> 20, reading or "unknown"),
        )

    def _shut(self, file: str) -> StoreUnavailable:
        pid = holders.owner(file)
        by = f"a process that holds {file}" if pid is None else f"process {holders.describe(pid)}"
        end = "find and end it" if pid is None else f"end it: kill -9 {pid}"
        return StoreUnavailable(f"store {self._path} is locked for a checkpoint by {by}; try again; if it hangs, {end}")

    def _length(self) -> int:
        """Bytes of the log's file; 0 if the log was begun anew in it, and is still short."""
        log = f"{self._path}-wal"
        try:
            length = os.stat(log).st_size
            return length if length < _WISH or _is_filled(log, _WISH) else 0
        except OSError:
            return 0


def _is_filled(log: str, length: int) -> bool:
    """Whether the log reaches so far. The frames of its present life have the salts of its header, those of earlier
    lives have others (https://www.sqlite.org/fileformat2.html#walformat)."""
    with open(log, "rb", buffering=0) as file:
        header = os.pread(file.fileno(), 32, 0)
        frame = 24 + int.from_bytes(header[8:12], "big")
        last = max(0, length - 32) // frame
        return os.pread(file.fileno(), 8, 32 + last * frame + 8) == header[16:24]


def _open(file: str) -> int:
    return os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def _locked(file: int, kind: int, deadline: float) -> Generator[bool]:
    """With the lock, if it could be had."""
    held = _lock(file, kind, deadline)
    try:
        yield held
    finally:
        if held:
            fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: int, kind: int, deadline: float) -> bool:
    """Take a lock; False if it cannot be had in time. The kernel's own waiting has no end."""
    pause = 0.0005
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(0.02, pause * 2)
        else:
            return True


def _empty(conn: sqlite3.Connection, *, cut: bool, wait: int) -> None:
    """Checkpoint, and wait so many milliseconds for readers: what they hold back is done the next time."""
    patience = conn.execute("PRAGMA busy_timeout").fetchone()[0]
    conn.execute(f"PRAGMA busy_timeout = {wait}")
    try:
        conn.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if cut else 'RESTART'})").fetchall()
    finally:
        conn.execute(f"PRAGMA busy_timeout = {patience}")
