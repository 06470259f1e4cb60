"""Where suspended flow code stands: the innermost line of a coroutine that is the user's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import PurePath
from types import FrameType
from typing import Any

_OURS = (str(PurePath(__file__).parent.parent), str(PurePath(asyncio.__file__).parent))


def frames(coro: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, outermost first, through what it awaits."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None) or getattr(coro, "gi_frame", None)
        if frame is not None:
            yield frame
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None) or getattr(coro, "gi_yieldfrom", None)


def awaiting_line(coro: Any) -> str | None:
    """`file:line` of the innermost frame that belongs neither to asyncio nor to this package; None if there is none."""
    found = None
    for frame in frames(coro):
        if not frame.f_code.co_filename.startswith(_OURS):
            found = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return found


def raising_line(error: BaseException) -> str | None:
    """`file:line` of the innermost frame of the user's own that an error passed through; None if there is none."""
    found, trace = None, error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
