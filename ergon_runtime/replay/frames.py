"""The stacks of a flow in memory, as data: each of its tasks, what it waits for, and the lines of the user's own code.

Only a machine in memory has them. Values of variables are what `repr` says of them, cut; nothing of a value is kept.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
import reprlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ergon_runtime.core.divergence import describe
from ergon_runtime.core.loop import FlowTask
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.places import Places, scope_of
from ergon_runtime.core.stack import frames, is_users, running_frames

SHOWN = 10
"""Tasks named where a task waits for others."""
LONGEST = 200
"""Characters of a value."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of the user's own code that is under way. `values` are its variables, where they were asked for."""

    file: str
    line: int
    function: str
    source: str | None
    values: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "function": self.function,
            "source": self.source,
            "values": dict(self.values),
        }


@dataclass(frozen=True, slots=True)
class TaskStack:
    """A task of the flow. `scope` is its place in the tree of tasks (`` is the flow function's own), `name` what the
    code calls it. `waits` says for what it waits, `frames` where, outermost first. `running`: it is its turn."""

    scope: str
    name: str | None
    waits: tuple[str, ...]
    frames: tuple[Frame, ...]
    running: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "scope": self.scope,
            "name": self.name,
            "waits": list(self.waits),
            "running": self.running,
            "frames": [frame.to_json() for frame in self.frames],
        }


def stacks_of(machine: FlowMachine, *, values: bool = False) -> tuple[TaskStack, ...]:
    """Every task of the flow that has not ended, in order of creation."""
    alive = list(machine.loop.alive())
    places, waits = Places(alive), defaultdict[int, list[str]](list)
    for op in machine.open:
        if (task := places.task_of(op)) is not None:
            waits[id(task)].append(describe(op))
    below = defaultdict[str, list[str]](list)
    for task in alive:
        if path := task.scope.path:
            below[scope_of(path[:-1])].append(path)
    return tuple(
        TaskStack(
            task.scope.path,
            None if task.get_name() == f"task {task.scope.path}" else task.get_name(),
            tuple(waits[id(task)]) or tuple(_waits_inside(task, below[task.scope.path])),
            tuple(_frame(frame, values=values) for frame in frames_of(task)),
            running=_runs(task),
        )
        for task in alive
    )


def running_stack(machine: FlowMachine) -> list[FrameType]:
    """The frames of the user's own in the task that runs now, outermost first, below those of the tasks above it."""
    task = asyncio.current_task(machine.loop)
    if not isinstance(task, FlowTask):
        return list(running_frames())[::-1]
    places = Places(machine.loop.alive())
    found, place = frames_of(task), places.parent_of(task)
    while place is not None:
        found = frames_of(place) + found
        place = places.parent_of(place) if place.scope.path else None
    return found


def frames_of(task: FlowTask[Any]) -> list[FrameType]:
    """The frames of the user's own in a task, outermost first."""
    if _runs(task):
        return list(running_frames())[::-1]
    coro: Any = task.get_coro()
    if inspect.iscoroutine(coro) and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
        return []  # it has not begun
    return [frame for frame in frames(coro) if is_users(frame.f_code.co_filename)]


def shown(value: object) -> str:
    """A value in a few words, whatever it is."""
    try:
        return _short.repr(value)
    except (TypeError, ValueError, AttributeError):  # a class with the name of a container of Python's, a giant number
        return f"<{type(value).__name__}>"


def _runs(task: FlowTask[Any]) -> bool:
    loop = task.get_loop()
    return asyncio._get_running_loop() is loop and asyncio.current_task(loop) is task


def _waits_inside(task: FlowTask[Any], below: list[str]) -> Iterator[str]:
    """What a task waits for that is not durable itself: mostly the tasks that it has created."""
    if _runs(task):
        return
    waits_for: object = getattr(task, "_fut_waiter", None)  # asyncio's own; nothing public tells it
    if isinstance(waits_for, FlowTask):
        yield f"task {waits_for.scope.path}"
    elif below:
        yield from (f"task {path}" for path in below[:SHOWN])
        if len(below) > SHOWN:
            yield f"{len(below) - SHOWN:,} more"
    else:
        yield "its turn" if waits_for is None else "another task of the flow"


def _frame(frame: FrameType, *, values: bool) -> Frame:
    code = frame.f_code
    source = linecache.getline(code.co_filename, frame.f_lineno, frame.f_globals).strip()
    found: list[tuple[str, str]] = []
    if values:
        found = [(name, shown(value)) for name, value in frame.f_locals.items() if not name.startswith((".", "__"))]
    return Frame(code.co_filename, frame.f_lineno, code.co_qualname, source or None, tuple(found))


def _cutting() -> reprlib.Repr:
    made = reprlib.Repr()
    made.maxstring = made.maxother = made.maxlong = LONGEST
    made.maxlevel, made.maxdict = 4, 10
    made.maxlist = made.maxtuple = made.maxset = made.maxfrozenset = made.maxdeque = made.maxarray = 10
    return made


_short = _cutting()
