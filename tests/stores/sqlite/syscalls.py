"""System calls that SQLite makes on files, with a fault at the one that a rig names.

SQLite lets its calls be replaced (`xSetSystemCall`), which is done here by ctypes for the whole process, and undone.
The calls are those of whatever SQLite this Python has; `fsync` cannot be replaced.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_NUMBER = ctypes.c_longlong
_PROTOTYPES: dict[str, list[Any]] = {
    "read": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t],
    "pread": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, _NUMBER],
    "pread64": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, _NUMBER],
    "write": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t],
    "pwrite": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, _NUMBER],
    "pwrite64": [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, _NUMBER],
    "ftruncate": [ctypes.c_int, _NUMBER],
}
READING = frozenset({"read", "pread", "pread64"})
Fault = Callable[[int, str], int]
"""Is asked at each call, with its number from 1 and its name; answers the errno that it fails with, or 0."""


class _VFS(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("size", ctypes.c_int),
        ("longest", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        *((f"method{n}", ctypes.c_void_p) for n in range(13)),
        ("set_call", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
        ("get_call", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    ]


class Calls:
    """How many there were, and of which names."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failed = 0


@contextmanager
def faulty(fault: Fault) -> Generator[Calls]:
    """Every call of SQLite in this process asks `fault` first."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_VFS)
    found = library.sqlite3_vfs_find(None)
    vfs, calls = found.contents, Calls()
    kept: list[object] = []  # a function that is collected must not be called any more
    for name, arguments in _PROTOTYPES.items():
        address = vfs.get_call(found, name.encode())
        if address:
            prototype = ctypes.CFUNCTYPE(ctypes.c_ssize_t, *arguments, use_errno=True)
            replaced = prototype(_replacement(prototype(address), name, fault, calls))
            kept.append(replaced)
            vfs.set_call(found, name.encode(), ctypes.cast(replaced, ctypes.c_void_p))
    try:
        yield calls
    finally:
        for name in _PROTOTYPES:
            vfs.set_call(found, name.encode(), None)


def _replacement(real: Any, name: str, fault: Fault, calls: Calls) -> Callable[..., int]:
    def call(*arguments: int) -> int:
        calls.names.append(name)
        if number := fault(len(calls.names), name):
            calls.failed += 1
            ctypes.set_errno(number)
            return -1
        done: int = real(*arguments)
        return done

    return call
