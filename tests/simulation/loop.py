"""SimLoop: a deterministic asyncio loop in virtual time, in which whole worker processes die, freeze and wake.

Every callback belongs to the process whose callback scheduled it (None: the world outside). Callbacks of a dead process
are dropped, as SIGKILL would; those of a frozen one wait until it thaws, as under SIGSTOP. No threads, no I/O.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Process:
    """One simulated operating system process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen_until = 0.0

    def freeze(self, now: float, seconds: float) -> None:
        """SIGSTOP now, SIGCONT after `seconds`."""
        self.frozen_until = max(self.frozen_until, now + seconds)


class SimHandle(asyncio.TimerHandle):
    """A callback to come. It knows no loop, and is cheaper to make than asyncio's own."""

    __slots__ = ("args", "callback", "context", "dead", "when_due")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None, when: float
    ) -> None:
        self.callback, self.args, self.when_due, self.dead = callback, args, when, False
        self.context = contextvars.copy_context() if context is None else context

    def cancel(self) -> None:
        self.dead = True

    def cancelled(self) -> bool:
        return self.dead

    def when(self) -> float:
        return self.when_due

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<SimHandle {self.callback!r}>"


class SimTask(asyncio.Task[T]):
    """A task that hashes by creation number, so that sets of tasks iterate alike in every run."""

    def __init__(
        self, coro: Coroutine[Any, Any, T], number: int, loop: SimLoop, context: Any, name: str | None
    ) -> None:
        self.number = number
        super().__init__(coro, loop=loop, name=name or f"sim {number}", context=context)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.AbstractEventLoop):
    """Run it with `run`. `owner` is the process whose callback runs now; `as_owner` schedules for another."""

    def __init__(self) -> None:
        self.now = 0.0
        self.owner: Process | None = None
        self.stopped = False
        self.problems: list[dict[str, Any]] = []
        """What asyncio would log."""
        self.spent = 0.0
        """Seconds that the sync function which runs now says it takes."""
        self.callbacks = 0
        self.queue: Callable[[], float] = float
        """Seconds until a thread is free for the next function."""
        self._ready: deque[tuple[Process | None, SimHandle]] = deque()
        self._later: list[tuple[float, int, Process | None, SimHandle]] = []
        self._numbers = 0
        self._tasks: list[SimTask[Any]] = []

    # --- what asyncio asks of a loop
    def time(self) -> float:
        return self.now

    def call_soon(  # type: ignore[override]  # typeshed's star-args form says no more
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = SimHandle(callback, args, context, self.now)
        self._ready.append((self.owner, handle))
        return handle

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = SimHandle(callback, args, context, when)
        self._numbers += 1
        heapq.heappush(self._later, (when if when > self.now else self.now, self._numbers, self.owner, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # late additions are dropped
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Any = None, **_: Any
    ) -> SimTask[T]:
        task = SimTask(coro, self._next(), self, context, name)
        self._tasks.append(task)
        if len(self._tasks) > 5000:
            self._tasks = [task for task in self._tasks if not task.done()]
        return task

    def run_in_executor(  # type: ignore[override]  # as above
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """A thread takes it when one is free; its result comes after the time that the function says it spent."""
        future = self.create_future()
        self.call_later(self.queue(), self._take, future, func, args)
        return future

    def _take(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        self.spent = 0.0
        try:
            result = func(*args)
        except Exception as error:
            self.call_later(self.spent, _fail, future, error)
        else:
            self.call_later(self.spent, _fulfil, future, result)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.stopped

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.problems.append(context)

    # --- what the simulation asks
    @contextlib.contextmanager
    def as_owner(self, process: Process | None) -> Iterator[None]:
        """What is scheduled inside belongs to this process."""
        outer, self.owner = self.owner, process
        try:
            yield
        finally:
            self.owner = outer

    def post(self, process: Process | None, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Call something in another process, `delay` seconds from now."""
        with self.as_owner(process):
            self.call_later(delay, callback, *args)

    def run(self, end: float, most: int) -> None:
        """Run until `stop`, until nothing is left to do, until virtual time `end`, or for `most` callbacks."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        asyncio._set_running_loop(self)
        try:
            while not self.stopped and self.now < end and self.callbacks < most and self._advance():
                ready = self._ready
                while ready and not self.stopped and self.callbacks < most:
                    self._run_one(*ready.popleft())
        finally:
            self.owner = None
            asyncio._set_running_loop(outer)

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        """End all coroutines that are left, so that the garbage collector finds none of them later."""
        self.stopped = True
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        asyncio._set_running_loop(self)
        try:
            for task in [task for task in self._tasks if not task.done()]:
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is destroyed while pending, on purpose
                coro = task.get_coro()
                for _ in range(20):
                    with contextlib.suppress(BaseException):
                        assert coro is not None
                        coro.throw(GeneratorExit)
                        continue
                    break
            self._tasks.clear()
            self._ready.clear()
            self._later.clear()
        finally:
            asyncio._set_running_loop(outer)

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _advance(self) -> bool:
        """Make something ready; whether there was anything."""
        ready, later = self._ready, self._later
        while not ready:
            if not later:
                return False
            now = self.now = max(self.now, later[0][0])
            while later and later[0][0] <= now:
                _, _, owner, handle = heapq.heappop(later)
                if not handle.dead:
                    ready.append((owner, handle))
        return True

    def _run_one(self, owner: Process | None, handle: SimHandle) -> None:
        if handle.dead:
            return
        if owner is not None:
            if not owner.alive:
                return
            if owner.frozen_until > self.now:
                heapq.heappush(self._later, (owner.frozen_until, self._next(), owner, handle))
                return
        self.owner = owner
        self.callbacks += 1
        try:
            handle.context.run(handle.callback, *handle.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # as asyncio does
            self.call_exception_handler({"message": f"exception in {handle.callback!r}", "exception": error})


def _fulfil(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
