"""What flow code asks of its machine: a step's result, a signal, a timer, a child's end. Answers are journal entries.

T3  A step cancelled in the turn that asked for it never starts; later it is asked to stop, and its end is awaited.
K1  A child's id is its parent's id, `/`, its key, and `~N` where N is the parent's life number from 2 on.
K4  Cancelling the await of a child cancels the child, unless it is detached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from ergon_runtime.core.divergence import describe, divergence
from ergon_runtime.core.entries import ChildCancelled, ChildCreated, ChildEnded, SignalReceived, StepEnded
from ergon_runtime.core.loop import FlowFuture, FlowLoop, FlowTimer
from ergon_runtime.core.machine import FlowMachine, milliseconds
from ergon_runtime.core.operations import ChildOp, SignalOp, StepOp, TimerOp

_ESCAPED = str.maketrans({"%": "%25", "/": "%2F", "#": "%23"})
"""Signal names are free text; in a key `/` parts scopes and `#` numbers names."""


def machine_here() -> FlowMachine | None:
    """The machine of the flow whose code runs now; None outside flow code."""
    loop = asyncio._get_running_loop()
    return cast(FlowMachine, loop.host) if isinstance(loop, FlowLoop) else None


async def step_end(
    machine: FlowMachine, name: str, digest: str, args: str, call: object, *, at_most_once: bool = False
) -> StepEnded:
    """Ask for a step and wait for its record."""
    key = machine.scope().key(name)
    future: asyncio.Future[StepEnded] = FlowFuture(loop=machine.loop)
    op = StepOp(key, name, digest, args, call, at_most_once, machine.turn, future)
    machine.ask(op)
    try:
        return await future
    except asyncio.CancelledError:
        machine.stop_step(op)
        while not op.over and machine.open.holds(op):
            op.ended = FlowFuture(loop=machine.loop)
            try:
                await op.ended
            except asyncio.CancelledError:
                continue  # further cancels do not shorten the wait
        raise


async def signal(machine: FlowMachine, name: str, accepts: Callable[[str], bool]) -> SignalReceived:
    """Wait for a signal whose payload `accepts` takes."""
    key = machine.scope().key(name.translate(_ESCAPED))
    future: asyncio.Future[SignalReceived] = FlowFuture(loop=machine.loop)
    op = SignalOp(key, name, accepts, machine.asked_at, machine.turn, future)
    machine.ask(op)
    try:
        return await future
    except asyncio.CancelledError:
        machine.abandon(op)
        raise


async def timer(machine: FlowMachine, name: str, when: float, *, absolute: bool = False) -> None:
    """Sleep until flow time `when` (seconds), under a name of its own. A retry puts off all but `absolute` times."""
    future: asyncio.Future[None] = FlowFuture(loop=machine.loop)
    scope = machine.scope()
    handle = FlowTimer(when, _wake, (future,), machine.loop, None)
    handle.scope, handle.key = scope, scope.key(name)
    due = milliseconds(when) if absolute else machine.due_at(when)
    machine.ask(TimerOp(handle.key, name, min(machine.asked_at, due), due, True, machine.turn, handle))
    try:
        await future
    except asyncio.CancelledError:
        machine.drop_alarm(handle)
        raise


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class ChildRequest:
    """A child asked for: its key is taken and its creation marked at once; `end` waits for its end, as often as
    wanted."""

    __slots__ = ("_detached", "_digest", "_end", "_machine", "_name", "_op", "_waiters", "id", "key")

    def __init__(
        self, machine: FlowMachine, type_: str, version: str | None, digest: str, args: str, *, detached: bool
    ) -> None:
        self._machine, self._digest, self._detached, self._name = machine, digest, detached, type_
        self._op: ChildOp | None = None
        self._end: ChildEnded | None = None
        self._waiters = 0
        self.key = machine.scope().key(type_)
        self.id = f"{machine.id}/{self.key}" + (f"~{machine.life}" if machine.life > 1 else "")
        if machine.pooled(self.key, ChildEnded.kind, digest):
            self._detached = True  # it ended in an earlier life; in this one there is nobody to cancel
            return
        attached = machine.history.attached.get((self.key, digest))
        if attached is not None:
            self.id = attached.child
            return
        asked = ChildCreated(self.key, 0, digest, self.id, type_, version, args, detached)
        recorded = machine.see(ChildCreated.kind, self.key)
        if recorded is None:
            machine.mark(asked)
        elif not isinstance(recorded, ChildCreated) or recorded.digest != digest:
            message = f"child {self.key} has other arguments"
            raise machine.stop(divergence(self.key, message, recorded, (describe(asked),), machine.where(self.key)))

    async def end(self) -> ChildEnded:
        """Wait for the child's end. The last waiter to be cancelled cancels the child, unless it is detached."""
        self._end = self._end or self._machine.late_ends.get(self.key)
        if self._end is not None:
            return self._end
        op = self._op
        if op is None:
            machine = self._machine
            future: asyncio.Future[ChildEnded] = FlowFuture(loop=machine.loop)
            op = ChildOp(self.key, self._name, self._digest, self.id, machine.asked_at, machine.turn, future)
            machine.ask(op)
            self._op = op
        self._waiters += 1
        try:
            end = await asyncio.shield(op.future)
            self._end = end
        except asyncio.CancelledError:
            if self._waiters == 1:
                self._give_up(op)
            raise
        finally:
            self._waiters -= 1
        return end

    def _give_up(self, op: ChildOp) -> None:
        if op.over:
            return
        self._op = None
        self._machine.abandon(op)
        recorded = self._machine.see(ChildCancelled.kind, self.key)
        if not self._detached and recorded is None:
            self._machine.mark(ChildCancelled(self.key, 0, self.id))
