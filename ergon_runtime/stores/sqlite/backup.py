"""Backups of a SQLite store: one consistent copy of its file, made while workers run.

The copy is one snapshot, read by SQLite's own backup; what is written meanwhile stays in the log until it is done. It
is made under another name, checked and synced to disk, and only then gets its own, which must be free: it is whole, or
it is not there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from threading import Event

from ergon_runtime.errors import BackupRefused, StoreCorrupt, StoreUnavailable
from ergon_runtime.stores.sqlite import faults, origin, places
from ergon_runtime.stores.sqlite.connection import open_reader
from ergon_runtime.stores.sqlite.transaction import snapshot

PAGES = 1000
"""Copied between two reports: 4 MB."""
_SETTINGS = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA locking_mode = EXCLUSIVE")
"""Nobody sees the copy before it is whole and synced."""
_OTHERS = ("", "-journal", "-wal", "-shm")
Tell = Callable[[int, int], None]
"""Is told how many pages are copied, and of how many; in another thread."""


async def back_up(source: Path, target: Path, tell: Tell = lambda done, total: None, *, network: bool = False) -> int:
    """Write a backup of the store in a file, which may be in use, to a new file for its owner only; its size in bytes.

    Raises BackupRefused if `target` is there already or cannot be, StoreMissing, StoreUnavailable, StoreCorrupt if the
    store is damaged; then nothing is left of the backup.
    """
    path, place = _real(source), str(Path(_real(target.parent), target.name))
    if not network:
        places.check(path)
    stop = Event()

    def report(status: int, left: int, total: int) -> None:
        if stop.is_set():
            raise InterruptedError
        tell(total - left, total)

    reader = await open_reader(path)
    try:
        with _refused(place):
            return await reader.run(lambda conn: _make(conn, path, place, report))
    except BaseException:
        stop.set()  # the thread goes on until it is told
        raise
    finally:
        await reader.close()


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _make(conn: sqlite3.Connection, path: str, place: str, report: Callable[[int, int, int], None]) -> int:
    if os.path.lexists(place):
        raise FileExistsError
    part = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.{secrets.token_hex(4)}")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        with _copying(path, place), closing(sqlite3.connect(part, isolation_level=None)) as copy:
            for setting in _SETTINGS:
                copy.execute(setting)
            with snapshot(conn):
                conn.execute("SELECT count(*) FROM meta").fetchone()  # the first read takes it
                conn.backup(copy, pages=PAGES, progress=report)
            _finish(copy, path)
        _sync(part)
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))  # the name is ours, or it was taken
        os.replace(part, place)
        _sync(os.path.dirname(place))
        return os.stat(place).st_size
    finally:
        for other in _OTHERS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part + other)


def _finish(copy: sqlite3.Connection, path: str) -> None:
    """Make the copy a file that needs no other beside it, and check it. Raises StoreCorrupt."""
    copy.execute("PRAGMA journal_mode = DELETE")
    origin.mark(copy, path)
    (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise StoreCorrupt(f"{path} is damaged ({found}); stop all workers, keep a copy, and restore a backup")


def _sync(path: str) -> None:
    """To disk, a file or a folder that no connection has open."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def _copying(path: str, place: str) -> Generator[None]:
    """SQLite does not say which of the two files fails; but only one is written."""
    try:
        yield
    except sqlite3.Error as error:
        raise faults.explain(error, place if faults.of_writing(error) else path) from error


@contextlib.contextmanager
def _refused(place: str) -> Generator[None]:
    """Turn the system's errors into ours."""
    try:
        yield
    except FileExistsError:
        raise BackupRefused(f"{place} is there already, and is not written over; name another file") from None
    except (FileNotFoundError, NotADirectoryError):
        raise BackupRefused(f"no folder {os.path.dirname(place)} for the backup; create it, or name another") from None
    except OSError as error:
        raise StoreUnavailable(f"backup {place} cannot be written: {error.strerror}; name another place") from error
