"""`run_dag`: the steps of a flow object that depend on each other, each run as soon as what it needs has ended.

D2  Every step runs in a task of its own in the caller's scope: its key is its name, however many others there are.
D3  After a failure nothing more is started; what runs is let end, and the first failure is raised.
D4  Cancelling the wait stops every step that runs (T3) and awaits their ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.definitions import Plan, PlannedStep, StepRef, wired_steps
from ergon_runtime.primitives import flow_machine


def run_dag(flow: object, final: StepRef | None = None) -> Coroutine[object, None, dict[str, Any]]:
    """Run the steps of `flow`, an object of a `@flow_type` class, that have `depends_on` or `inputs`; await what this
    gives for their results, by name, in the order of definition.

    With `final`, a step or its name, only that one and what it needs. Each step starts as soon as the steps it depends
    on have ended. When one fails, no other is started; those that run are awaited, and its error is raised. Flow code
    only. Raises DefinitionError for a class without such steps and for a `final` that is none of them.
    """
    machine = flow_machine("run_dag")
    return _Dag(machine, flow, wired_steps(flow).plan(final)).run()


class _Dag:
    """One run of a plan. Steps are started in the order of definition among those that become ready together."""

    __slots__ = ("_ended", "_failed", "_flow", "_lacks", "_machine", "_plan", "_results", "_running")

    def __init__(self, machine: FlowMachine, flow: object, plan: Plan) -> None:
        self._machine, self._flow, self._plan = machine, flow, plan
        self._lacks = plan.lacks()
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._ended: asyncio.Queue[str] = asyncio.Queue()
        self._results: dict[str, Any] = {}
        self._failed: asyncio.Task[Any] | None = None

    async def run(self) -> dict[str, Any]:
        try:
            self._start(self._plan.roots)
            while self._running:
                name = await self._take_end()
                if self._failed is None:
                    self._start(self._freed_by(name))
        except asyncio.CancelledError:
            await self._stop()
            raise
        if self._failed is not None:
            self._failed.result()  # raises
        return {name: self._results[name] for name in self._plan.steps}

    def _start(self, steps: list[PlannedStep]) -> None:
        scope = self._machine.scope()
        for step in steps:
            asking = step.definition.ask(self._machine, self._flow, step.values(self._results))
            task = self._machine.loop.start_task(asking, scope, name=f"step {scope.path}{step.name}")
            self._running[step.name] = task
            task.add_done_callback(partial(self._note_end, step.name))

    def _note_end(self, name: str, task: asyncio.Task[Any]) -> None:
        self._ended.put_nowait(name)

    async def _take_end(self) -> str:
        name = await self._ended.get()
        task = self._running.pop(name)
        if not task.cancelled() and task.exception() is None:
            self._results[name] = task.result()
        elif self._failed is None:
            self._failed = task
        return name

    def _freed_by(self, name: str) -> list[PlannedStep]:
        freed: list[PlannedStep] = []
        for follower in self._plan.followers[name]:
            self._lacks[follower.name] -= 1
            if not self._lacks[follower.name]:
                freed.append(follower)
        return freed

    async def _stop(self) -> None:
        for task in self._running.values():
            task.cancel()
        while self._running:
            with suppress(asyncio.CancelledError):  # further cancels do not shorten the wait
                await self._take_end()
