"""FlowLoop: the asyncio loop that flow code runs on. It has no I/O, no clock and no threads.

Tasks, futures and callbacks live in a ready queue in memory; timers and time belong to the host (the machine). Rules:

L2  Tasks and futures hash by creation number, so that sets of them iterate alike in every run.
L3  A task has a scope, its place in the tree of tasks; a callback has the scope of the task that registered it.
L4  Unfinished tasks and begun async generators are held strongly: the garbage collector decides nothing.
L5  More callbacks in one drain than `SPIN` is a fault.
L6  `evict` ends every coroutine at once; durable operations then raise `Evicted`.
L7  `wind_up`, when the flow function has ended: tasks still running are cancelled and drained, then generators closed.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import sys
from asyncio import events, futures
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from random import Random
from types import AsyncGeneratorType
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar

from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.errors import DefinitionError

T = TypeVar("T")
Callback: TypeAlias = Callable[..., object]

SPIN = 100_000
"""Callbacks in one drain after which a flow counts as spinning."""
ENDINGS = 1000
"""Times that a flow may bring forth tasks or generators while it ends, in one turn; more counts as spinning."""
_MASK = (1 << 60) - 1
_ROUNDS = 100
"""Times a coroutine may await again while it is evicted."""


class Evicted(BaseException):
    """Raised into flow code that asks for something durable while its flow leaves memory."""


class Scope:
    """A task's place in the tree of tasks; counts the names that it uses."""

    __slots__ = ("children", "names", "path", "rng")

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, int] = {}
        self.children = 0
        self.rng: Random | None = None

    def child(self) -> Scope:
        self.children += 1
        return Scope(f"{self.path}{self.children}/")

    def key(self, name: str) -> str:
        """The next key of this name in this scope: `charge`, `charge#2`, `1/charge` (rule L3)."""
        n = self.names[name] = self.names.get(name, 0) + 1
        return f"{self.path}{name}" if n == 1 else f"{self.path}{name}#{n}"


class Host(Protocol):
    """What the loop needs of its machine: time and timers."""

    def time(self) -> float: ...
    def request_alarm(self, when: float, handle: FlowTimer, *, sleep: bool) -> None: ...
    def drop_alarm(self, handle: FlowTimer) -> None: ...


class FlowFuture(asyncio.Future[T]):
    """A future with a fixed hash, which remembers the scope of each callback."""

    def __init__(self, *, loop: FlowLoop) -> None:
        self.number = loop.next_number()
        self.registered: list[tuple[Callback, Scope]] = []
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number

    def add_done_callback(self, fn: Callback, /, *, context: contextvars.Context | None = None) -> None:
        remember(self.registered, fn)
        super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callback, /) -> int:
        self.registered = [each for each in self.registered if each[0] != fn]
        return super().remove_done_callback(fn)


class FlowTask(asyncio.Task[T]):
    """A task with a fixed hash and a scope, which remembers the scope of each callback."""

    def __init__(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        loop: FlowLoop,
        scope: Scope,
        name: str | None,
        context: contextvars.Context | None,
    ) -> None:
        self.number = loop.next_number()
        self.registered: list[tuple[Callback, Scope]] = []
        self.scope = scope
        self.made_at: str | None = None
        """The line that created it, if somebody notes that."""
        self.own_context = contextvars.copy_context() if context is None else context  # an empty one is false
        super().__init__(coro, loop=loop, name=name or f"task {scope.path}", context=self.own_context)
        self._log_destroy_pending = False  # an evicted task is destroyed while pending, on purpose

    def __hash__(self) -> int:
        return self.number

    def add_done_callback(self, fn: Callback, /, *, context: contextvars.Context | None = None) -> None:
        remember(self.registered, fn)
        super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callback, /) -> int:
        self.registered = [each for each in self.registered if each[0] != fn]
        return super().remove_done_callback(fn)


def remember(registered: list[tuple[Callback, Scope]], fn: Callback) -> None:
    """Note which scope registers a callback."""
    loop = events.get_running_loop()
    scope = loop.here() if isinstance(loop, FlowLoop) else None
    if scope is not None:
        registered.append((fn, scope))


class FlowTimer(asyncio.TimerHandle):
    """A handle whose time is a durable timer. `key` is set by the host."""

    __slots__ = ("key", "scope")
    key: str
    scope: Scope | None


class FlowLoop(asyncio.AbstractEventLoop):
    """The loop of one live flow. `report` gets what asyncio would log of it: errors of forgotten tasks."""

    def __init__(self, host: Host, seed: str, report: Callable[[dict[str, Any]], None]) -> None:
        self.host = host
        self.evicted = False
        self.tasks: list[FlowTask[Any]] = []
        self.generators: list[tuple[AsyncGeneratorType[Any, Any], Scope | None]] = []
        self._report = report
        self._ready: deque[tuple[asyncio.Handle, Scope | None]] = deque()
        self._number = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big") & _MASK
        self._callback_scope: Scope | None = None
        self._sweep_at = 64
        self._wound_up: set[FlowTask[Any]] = set()

    # --- identity and scope
    def next_number(self) -> int:
        self._number = (self._number + 1) & _MASK
        return self._number

    def here(self) -> Scope | None:
        """The scope of what runs now; None outside any task or callback of one."""
        task = asyncio.current_task(self)
        return task.scope if isinstance(task, FlowTask) else self._callback_scope

    # --- what asyncio asks of a loop
    def call_soon(  # type: ignore[override]  # typeshed's star-args form says no more
        self, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, _scope_of(callback, args) or self.here()))
        return handle

    def call_later(  # type: ignore[override]  # as above
        self, delay: float, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = FlowTimer(when, callback, args, self, context)
        handle.scope = self.here()
        is_sleep = callback is futures._set_result_unless_cancelled  # type: ignore[attr-defined]  # only asyncio.sleep passes it
        self.host.request_alarm(when, handle, sleep=is_sleep)
        return handle

    def fire(self, handle: FlowTimer) -> None:
        """Run a timer's callback in the coming drain."""
        self._ready.append((handle, handle.scope))

    def _timer_handle_cancelled(self, handle: FlowTimer) -> None:
        self.host.drop_alarm(handle)

    def time(self) -> float:
        return self.host.time()

    def create_future(self) -> asyncio.Future[Any]:
        return FlowFuture(loop=self)

    def create_task(  # type: ignore[override]  # eager_start and other late additions are dropped (L4)
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> FlowTask[T]:
        scope = self.here()
        if scope is None and not self.evicted:
            coro.close()
            raise DefinitionError("a task was created outside any task of the flow; create it in flow code")
        return self.start_task(coro, scope.child() if scope else None, name=name, context=context)

    def start_task(
        self,
        coro: Coroutine[Any, Any, T],
        scope: Scope | None,
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> FlowTask[T]:
        """Create a task in a given scope."""
        if self.evicted or scope is None:
            coro.close()
            raise Evicted
        task = FlowTask(coro, loop=self, scope=scope, name=name, context=context)
        self.tasks.append(task)
        if len(self.tasks) > self._sweep_at:
            self._sweep_at = 64 + 2 * len(self.alive())
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def get_task_factory(self) -> None:
        return None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Evicted):  # what made the flow leave memory is told elsewhere
            self._report(context)

    # --- what the machine asks
    def alive(self) -> list[FlowTask[Any]]:
        """The unfinished tasks, in order of creation."""
        self.tasks = [task for task in self.tasks if not task.done()]
        return self.tasks

    def take_open_generators(self) -> list[tuple[AsyncGeneratorType[Any, Any], Scope | None]]:
        """The async generators begun and not finished, in order; they are forgotten here."""
        found = [(generator, scope) for generator, scope in self.generators if generator.ag_frame is not None]
        self.generators = []
        return found

    def drain(self) -> None:
        """Run callbacks until none is ready. Call it from a plain callback of the real loop, never inside a task.

        Raises Fault when the flow spins.
        """
        ready = self._ready
        if not ready:
            return
        outer, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        asyncio._set_running_loop(None)
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._hold_generator, finalizer=_leave_generator)
        left = SPIN
        try:
            while ready and not self.evicted:  # a fault ends the drain: no other task gets its turn
                handle, self._callback_scope = ready.popleft()
                if not handle.cancelled():
                    try:  # noqa: SIM105  cheaper than suppress()
                        handle._run()
                    except SystemExit:  # the task that raised it has kept it: it fails the flow, not the worker
                        pass
                left -= 1
                if not left:
                    raise Fault(FaultKind.SPINNING, f"flow code ran {SPIN:,} callbacks without waiting for anything")
        finally:
            self._callback_scope = None
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(outer)

    def wind_up(self, main: FlowTask[Any]) -> bool:
        """Cancel what still runs and drain, again for tasks born meanwhile; then close generators, in the order and the
        scopes in which they began. Whether all is over: what was cancelled may still await a durable end (L7). Raises
        Fault when there is no end to it."""
        for _ in range(ENDINGS):
            alive = self.alive()
            fresh = [task for task in alive if task not in self._wound_up]
            if self.evicted or (alive and not fresh):
                return False
            if fresh:
                self._wound_up.update(fresh)
                for task in fresh:
                    task.cancel()
            elif generators := self.take_open_generators():
                for generator, scope in generators:
                    self._wound_up.add(self.start_task(generator.aclose(), (scope or main.scope).child()))
            else:
                return True
            self.drain()
        raise Fault(FaultKind.SPINNING, "tasks are started again and again after the flow function has ended")

    def evict(self) -> None:
        """End every coroutine, each in its own context, until none is left (L6). Idempotent."""
        self.evicted = True
        self._ready.clear()
        outer, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        asyncio._set_running_loop(None)
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._hold_generator, finalizer=_leave_generator)
        try:
            left = [(task.get_coro(), task.own_context) for task in self.tasks if not task.done()]
            for _ in range(_ROUNDS):
                left = [(coro, context) for coro, context in left if not context.run(_throw, coro)]
                if not left:
                    break
            for generator, _scope in self.take_open_generators():
                _throw(generator.aclose())
        finally:
            self.tasks.clear()
            self._ready.clear()
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(outer)

    def _hold_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        assert isinstance(generator, AsyncGeneratorType)  # what the interpreter passes; others have no frame
        self.generators.append((generator, self.here()))
        if len(self.generators) > 64:
            self.generators = [(g, scope) for g, scope in self.generators if g.ag_frame is not None]


def _leave_generator(_: AsyncGenerator[Any, Any]) -> None:
    """The loop closes generators itself, when the flow ends."""


def _scope_of(callback: Callback, args: tuple[Any, ...]) -> Scope | None:
    if not args or not asyncio.isfuture(args[0]):
        return None
    registered: list[tuple[Callback, Scope]] = getattr(args[0], "registered", [])  # a plain future has none
    return next((scope for fn, scope in registered if fn == callback), None)


def _throw(coro: Coroutine[Any, Any, Any] | Generator[Any, Any, Any] | None) -> bool:
    """Throw Evicted into a coroutine; whether it has ended. Not close(): up to 3.12 that leaves an async generator
    suspended inside an await as it was."""
    if coro is None:
        return True
    try:
        coro.throw(Evicted())
    except BaseException:  # noqa: BLE001  whatever the code raises on its way out, it is leaving memory
        return getattr(coro, "cr_frame", None) is None
    return False  # it awaited again, as TaskGroup does


def _refuse(self: FlowLoop, *_: object, **__: object) -> NoReturn:
    raise DefinitionError("I/O in a flow: put it in a step (sockets, threads and processes cannot be replayed)")


_IO = """
    run_in_executor call_soon_threadsafe getaddrinfo getnameinfo create_connection create_server sendfile start_tls
    create_unix_connection create_unix_server create_datagram_endpoint connect_read_pipe connect_write_pipe
    connect_accepted_socket subprocess_shell subprocess_exec add_reader remove_reader add_writer remove_writer
    sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendto sock_sendall sock_connect sock_accept
    sock_sendfile add_signal_handler remove_signal_handler run_forever run_until_complete stop close
    shutdown_asyncgens shutdown_default_executor set_default_executor set_task_factory set_exception_handler
    set_debug
"""
for _name in _IO.split():
    setattr(FlowLoop, _name, _refuse)
