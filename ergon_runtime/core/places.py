"""Places: the line of flow code that waits for an operation.

It is the line of the task that awaits the operation, else of the task that its key names (L3). A task without code of
the user's own, as `gather` makes of a step, stands where it was created, if that was noted, else where its parent
waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from ergon_runtime.core.loop import FlowLoop, FlowTask
from ergon_runtime.core.operations import ChildOp, Op, SignalOp, StepOp, TimerOp
from ergon_runtime.core.stack import awaiting_line, frames, running_line


def scope_of(key: str) -> str:
    """The path of the scope that a key belongs to: `1/` of `1/charge`."""
    return key[: key.rfind("/") + 1]


def in_place_of(key: str | None, ops: Iterable[Op]) -> list[Op]:
    """Open operations, the likeliest first to stand where the code once asked for this key: those of its own task, then
    those asked for last; alarms of timeouts at the end."""
    scope = None if key is None else scope_of(key)
    return sorted(ops, key=lambda op: (isinstance(op, TimerOp) and not op.sleep, scope_of(op.key) != scope, -op.turn))


class Places:
    """The lines at which tasks wait, by what they wait for."""

    def __init__(self, tasks: Iterable[FlowTask[Any]]) -> None:
        self._by_future: dict[int, FlowTask[Any]] = {}
        self._by_scope: dict[str, FlowTask[Any]] = {}
        self._by_child: dict[int, FlowTask[Any]] | None = None
        for task in tasks:
            self._by_scope.setdefault(task.scope.path, task)
            waits_for: object = getattr(task, "_fut_waiter", None)  # asyncio's own; nothing public tells it
            if waits_for is not None:
                self._by_future[id(waits_for)] = task

    def task_of(self, op: Op) -> FlowTask[Any] | None:
        """The task that awaits an open operation, else the one that its key names."""
        return self._task(op) or self._by_scope.get(scope_of(op.key))

    def parent_of(self, task: FlowTask[Any]) -> FlowTask[Any] | None:
        """The nearest task that lives and whose code has created this one, at whatever depth."""
        path = task.scope.path
        found = self._by_scope.get(path)
        while found is None or found is task:
            if not path:
                return None
            path = scope_of(path[:-1])
            found = self._by_scope.get(path)
        return found

    def of(self, op: Op) -> str | None:
        """The line that awaits an open operation."""
        task = self._task(op)
        return self._line(task) if task is not None else self.of_scope(scope_of(op.key))

    def of_scope(self, path: str) -> str | None:
        """The line at which the task of this scope waits; of its nearest parent if it has none."""
        while True:
            task = self._by_scope.get(path)
            line = (awaiting_line(task.get_coro()) or task.made_at) if task is not None else None
            if line or not path:
                return line
            path = scope_of(path[:-1])

    def _line(self, task: FlowTask[Any]) -> str | None:
        return awaiting_line(task.get_coro()) or task.made_at or self.of_scope(task.scope.path)

    def _task(self, op: Op) -> FlowTask[Any] | None:
        match op:
            case StepOp():
                return self._by_future.get(id(op.ended or op.future))
            case SignalOp():
                return self._by_future.get(id(op.future))
            case TimerOp():
                args: tuple[object, ...] = getattr(op.handle, "_args", None) or (None,)  # a sleep's future is the first
                return self._by_future.get(id(args[0]))
            case ChildOp():  # its future is shielded, and so awaited by another
                if self._by_child is None:
                    self._by_child = _waiting_for_children(self._by_future.values())
                return self._by_child.get(id(op))


def _waiting_for_children(tasks: Iterable[FlowTask[Any]]) -> dict[int, FlowTask[Any]]:
    found: dict[int, FlowTask[Any]] = {}
    for task in tasks:
        for frame in frames(task.get_coro()):
            if isinstance(op := frame.f_locals.get("op"), ChildOp):
                found.setdefault(id(op), task)
    return found


def standing_line(loop: FlowLoop, op: Op | None) -> str | None:
    """The line of the flow that runs now; else the one that awaits this operation, or that of the task created last."""
    if asyncio._get_running_loop() is loop:
        task = asyncio.current_task(loop)
        path = task.scope.path if isinstance(task, FlowTask) else ""
        return running_line() or Places(each for each in loop.alive() if each is not task).of_scope(path)
    if op is not None and (line := Places(loop.alive()).of(op)):
        return line
    for task in reversed(loop.alive()):
        if line := awaiting_line(task.get_coro()):
            return line
    return None
