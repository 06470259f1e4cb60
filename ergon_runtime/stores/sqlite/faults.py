"""What SQLite's errors mean to a user of the store: each becomes a StoreError that says what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator

from ergon_runtime.errors import StoreCorrupt, StoreError, StoreUnavailable
from ergon_runtime.stores.sqlite import holders

_UNAVAILABLE = {
    "BUSY": "is locked by another process; try again, or find and stop the process that holds it",
    "LOCKED": "is locked by another connection; try again",
    "FULL": "cannot grow: the disk is full; free some space",
    "IOERR": "cannot be read or written: the disk reports an error; check the disk, its quota and size limits",
    "READONLY": "is read-only; check the permissions of the file and its folder",
    "CANTOPEN": "cannot be opened; check that the folder exists and that file and folder may be read and written",
    "PERM": "may not be used; check the permissions of the file and its folder",
    "AUTH": "may not be used; check the permissions of the file and its folder",
    "NOMEM": "cannot be used: there is no memory left",
}
_CORRUPT = {
    "NOTADB": "is not an Ergon store; name another file",
    "CORRUPT": "is damaged; stop all workers, keep a copy, and restore a backup",
}

_DAMAGED = ("Could not decode to UTF-8", "no such table", "no such column")
"""What Python says of text that is none, and SQLite of tables that are not ours any more: their codes say less."""
_WRITING = {"SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_DIR_FSYNC"}


def busy(error: sqlite3.Error) -> bool:
    """Whether trying again may help."""
    return _kind(error) in {"BUSY", "LOCKED"}


def of_writing(error: sqlite3.Error) -> bool:
    """Whether it was a file's writing or creation that failed."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return _kind(error) in {"FULL", "READONLY", "CANTOPEN"} or name in _WRITING


def explain(error: sqlite3.Error, path: str) -> StoreError:
    """The StoreError that stands for an error of SQLite."""
    kind = _kind(error)
    if kind == "BUSY" and (pid := holders.writer(path)) is not None:
        return StoreUnavailable(f"store {path} {_held(pid)} ({error})")
    if kind in _UNAVAILABLE:
        return StoreUnavailable(f"store {path} {_UNAVAILABLE[kind]} ({error})")
    if str(error).startswith(_DAMAGED):
        kind = "CORRUPT"
    if kind in _CORRUPT:
        return StoreCorrupt(f"{path} {_CORRUPT[kind]} ({error})")
    return StoreError(f"store {path} failed in an unforeseen way ({error}); please report this")


def _held(pid: int) -> str:
    if pid == os.getpid():
        return "is locked by another connection of this process; try again"
    return f"is locked by another process, {holders.describe(pid)}; try again; if it hangs, end it: kill -9 {pid}"


@contextlib.contextmanager
def explained(path: str) -> Generator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _kind(error: sqlite3.Error) -> str:
    """SQLITE_BUSY_RECOVERY and its kin are all BUSY."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.removeprefix("SQLITE_").partition("_")[0]
