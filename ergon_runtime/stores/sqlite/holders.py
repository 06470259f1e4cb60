"""Which processes hold the locks of a SQLite store, so that a message can name them.

The kernel's table of locks tells it (Linux alone has one), and no file of the store is opened for it: closing one would
drop the locks that SQLite has on it in this process. Processes of other containers are not in the table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TABLE = Path("/proc/locks")
_PROCESSES = Path("/proc")
_WRITER = range(120, 121)
"""SQLite's byte of the index of the log (`-shm`) that a writer locks."""
_READERS = range(123, 128)


def writer(path: str) -> int | None:
    """The process that writes to a store; None if nobody can tell."""
    return next(_holders(f"{path}-shm", "POSIX", "WRITE", _WRITER), None)


def readers(path: str) -> list[int]:
    """The processes that read a store at this moment."""
    return sorted(set(_holders(f"{path}-shm", "POSIX", "READ", _READERS)))


def owner(file: str) -> int | None:
    """The process that has a file for itself by `flock`; None if nobody can tell."""
    return next(_holders(file, "FLOCK", "WRITE", None), None)


def describe(pid: int) -> str:
    """A process in words: `4711 (python3, stopped)`."""
    try:
        name = (_PROCESSES / str(pid) / "comm").read_text(errors="replace").strip()
        state = (_PROCESSES / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return str(pid)
    return f"{pid} ({name}, stopped)" if state == "T" else f"{pid} ({name})"


def _holders(file: str, kind: str, mode: str, bytes_: range | None) -> Iterator[int]:
    try:
        found = os.stat(file)
        lines = _TABLE.read_text().splitlines()
    except OSError:
        return
    inode = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        match line.split():
            case [_, its_kind, _, its_mode, pid, its_inode, first, last] if (its_kind, its_mode, its_inode) == (
                kind,
                mode,
                inode,
            ):
                if bytes_ is None or (int(first) < bytes_.stop and (last == "EOF" or int(last) >= bytes_.start)):
                    yield int(pid)
            case _:  # somebody who waits has an arrow more
                pass
