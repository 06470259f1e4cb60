"""Where flow code stands: the innermost line that is the user's own, of a suspended coroutine, of what runs now, or of
what an error passed through. The lines of this package and of Python's own library are left out."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from pathlib import PurePath
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

_OURS = str(PurePath(__file__).parent.parent)
_LIBRARY = str(PurePath(asyncio.__file__).parent.parent)
_INSTALLED = ("site-packages", "dist-packages")
_CALLBACK = asyncio.Handle._run.__code__  # pyright: ignore[reportPrivateUsage]  # the bottom of what a loop runs

_WRAPPERS = frozenset({"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"})
"""Types of Python's own that stand between two frames and do not tell what they wrap."""
_CODE = (AsyncGeneratorType, CoroutineType, GeneratorType)


def is_users(file: str) -> bool:
    """Whether a source file is the user's own."""
    if file.startswith((_OURS, "<frozen ")):
        return False
    return not file.startswith(_LIBRARY) or any(each in file for each in _INSTALLED)


def frames(coro: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, outermost first, through what it awaits."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None) or getattr(coro, "gi_frame", None)
        if frame is not None:
            yield frame
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None) or getattr(coro, "gi_yieldfrom", None)
        if type(coro).__name__ in _WRAPPERS:
            coro = _wrapped(coro)


def _wrapped(wrapper: object) -> object:
    """The coroutine or generator that one of Python's own awaitables wraps."""
    for each in gc.get_referents(wrapper):
        if type(each).__name__ in _WRAPPERS:
            return _wrapped(each)
        if type(each) in _CODE:
            return each
    return None


def awaiting_line(coro: Any) -> str | None:
    """`file:line` of the innermost frame of a suspended coroutine that is the user's; None if there is none."""
    found = None
    for frame in frames(coro):
        if is_users(frame.f_code.co_filename):
            found = frame
    return found and line_of(found)


def running_frames() -> Iterator[FrameType]:
    """The frames of the user's own code that calls this, in a callback of a loop, innermost first."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, and cheap
    while frame is not None and frame.f_code is not _CALLBACK:
        if is_users(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def running_line() -> str | None:
    """`file:line` of the user's own code that calls this, in a callback of a loop; None if there is none."""
    frame = next(running_frames(), None)
    return frame and line_of(frame)


def raising_line(error: BaseException) -> str | None:
    """`file:line` of the innermost frame of the user's own that an error passed through; None if there is none."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def line_of(frame: FrameType) -> str:
    """`file:line` where a frame stands."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
