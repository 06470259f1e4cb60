"""Running flow code from the worker's loop: in a plain callback and a fresh context, never inside a task (rule L4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context


async def in_callback(work: Callable[[], None]) -> None:
    """Run `work` in a callback of the running loop and wait for it. Raises what it raises."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def call() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  handed on to the one who waits
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)

    loop.call_soon(call, context=Context())
    await done
