"""The three places where asyncio itself is not replayable, mended for flow loops only; other loops see no change.

L2  `gather` makes its future without asking the loop, so that future is hashed by address, and forgets the scope of
    callbacks (L3).
L4  Python 3.11's `wait_for` wraps a coroutine in a task of its own, later ones do not: flows get the later one.
    `as_completed` starts its tasks in the order of a set of coroutines, that is of addresses: flows get one that keeps
    the order given. Both also in modules that imported the function by name, which is why its code is replaced.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from asyncio import events, tasks, timeouts
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Iterator
from inspect import isawaitable
from types import FunctionType
from typing import Any, Generic, TypeVar

from ergon_runtime.core.loop import Callback, FlowLoop, remember

T = TypeVar("T")


class as_completed(Generic[T]):  # noqa: N801  it stands in for asyncio.as_completed
    """Await several things, and get them in the order in which they finish.

    `for next_one in as_completed(things): value = await next_one`, or `async for done in as_completed(things)`, which
    gives the finished tasks. Tasks start in the order given. Raises TimeoutError when `timeout` seconds pass first,
    TypeError for a single awaitable.
    """

    def __init__(self, things: Iterable[Awaitable[T]], /, *, timeout: float | None = None) -> None:
        if isawaitable(things):
            raise TypeError(f"as_completed needs an iterable of awaitables, not one {type(things).__name__}")
        self._tasks = [asyncio.ensure_future(thing) for thing in dict.fromkeys(things)]
        self._left = self._unfinished = len(self._tasks)
        self._done: asyncio.Queue[asyncio.Future[T] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(timeout, self._expire) if timeout is not None and self._tasks else None
        for task in self._tasks:
            task.add_done_callback(self._finished)

    def __iter__(self) -> Iterator[Coroutine[Any, Any, T]]:
        while self._left:
            self._left -= 1
            yield self._next_value()

    async def __aiter__(self) -> AsyncIterator[asyncio.Future[T]]:
        while self._left:
            self._left -= 1
            yield await self._next()

    def _finished(self, task: asyncio.Future[T]) -> None:
        self._done.put_nowait(task)
        self._unfinished -= 1
        if self._alarm is not None and not self._unfinished:
            self._alarm.cancel()

    def _expire(self) -> None:
        for task in self._tasks:
            task.remove_done_callback(self._finished)
        for _ in self._tasks:
            self._done.put_nowait(None)

    async def _next(self) -> asyncio.Future[T]:
        task = await self._done.get()
        if task is None:
            raise TimeoutError
        return task

    async def _next_value(self) -> T:
        return (await self._next()).result()


async def _later_wait_for(awaitable: Awaitable[T], timeout: float | None) -> T:
    if timeout is not None and timeout <= 0:
        task = asyncio.ensure_future(awaitable)
        if task.done():
            return task.result()
        cancel_and_wait: Any = tasks._cancel_and_wait  # type: ignore[attr-defined]  # private; 3.11 only comes here
        await cancel_and_wait(task, loop=events.get_running_loop())
        try:
            return task.result()
        except asyncio.CancelledError as error:
            raise TimeoutError from error
    async with timeouts.timeout(timeout):
        return await awaitable


def _gather_hash(self: asyncio.Future[Any]) -> int:
    loop = self.get_loop()
    if not isinstance(loop, FlowLoop):
        return object.__hash__(self)
    number: int | None = getattr(self, "flow_number", None)
    if number is None:
        number = loop.next_number()
        setattr(self, "flow_number", number)  # noqa: B010  the class is asyncio's, and takes attributes
    return number


def _gather_add_done_callback(
    self: asyncio.Future[Any], fn: Callback, /, *, context: contextvars.Context | None = None
) -> None:
    if isinstance(self.get_loop(), FlowLoop):
        if not hasattr(self, "registered"):
            setattr(self, "registered", [])  # noqa: B010  as above
        remember(getattr(self, "registered"), fn)  # noqa: B009  as above
    base: Any = asyncio.Future
    base.add_done_callback(self, fn, context=context)


def _mend_gather() -> None:
    future_class: Any = tasks._GatheringFuture  # type: ignore[attr-defined]  # private, and the only handle on it
    future_class.__hash__ = _gather_hash
    future_class.add_done_callback = _gather_add_done_callback


def _unmended(function: Any) -> Any:
    """A copy of one of asyncio's functions, to be kept when the function's code is replaced."""
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _mend_wait_for() -> None:
    plain = _unmended(tasks.wait_for)

    async def dispatch(fut: Any, timeout: Any) -> Any:
        chosen = _later_wait_for if isinstance(events.get_running_loop(), FlowLoop) else plain
        return await chosen(fut, timeout)

    async def wait_for(fut: Any, timeout: Any) -> Any:
        return await _ergon_wait_for(fut, timeout)  # type: ignore[name-defined]  # noqa: F821  a global of asyncio.tasks

    setattr(tasks, "_ergon_wait_for", dispatch)  # noqa: B010  a name that asyncio does not declare
    tasks.wait_for.__code__ = wait_for.__code__


def _mend_as_completed() -> None:
    original: Any = tasks.as_completed
    plain = _unmended(original)

    def dispatch(fs: Any, timeout: float | None) -> Any:
        chosen: Any = as_completed if isinstance(events._get_running_loop(), FlowLoop) else plain
        return chosen(fs, timeout=timeout)

    def replacement(fs: Any, *, timeout: float | None = None) -> Any:
        return _ergon_as_completed(fs, timeout)  # type: ignore[name-defined]  # noqa: F821  a global of asyncio.tasks

    setattr(tasks, "_ergon_as_completed", dispatch)  # noqa: B010  a name that asyncio does not declare
    original.__code__ = replacement.__code__


_mend_gather()
_mend_as_completed()
if sys.version_info < (3, 12):
    _mend_wait_for()
