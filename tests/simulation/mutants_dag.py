"""Mutants of DAGs."""

from __future__ import annotations

from typing import Any

from ergon_runtime import dag
from ergon_runtime.core.loop import Scope
from ergon_runtime.definitions import Plan
from tests.simulation.mutant import mutant


@mutant("D1 a step waits for the first that it needs", (Plan, "lacks"))
def one_need(outer: Any) -> Any:
    return lambda self: {name: min(lacks, 1) for name, lacks in outer(self).items()}


@mutant("D2 each step has a scope of its own", (dag._Dag, "_start"))
def own_scopes(outer: Any) -> Any:
    def start(self: Any, steps: Any) -> None:
        machine = self._machine
        shared: Scope = machine.scope()
        for step in steps:
            machine.scope = shared.child
            try:
                outer(self, [step])
            finally:
                del machine.scope

    return start


@mutant("D3 a failure is raised at once", (dag._Dag, "_take_end"))
def hasty_failure(outer: Any) -> Any:
    async def take_end(self: Any) -> str:
        name: str = await outer(self)
        if self._failed is not None:
            self._running.clear()
        return name

    return take_end


@mutant("D4 a cancelled DAG goes on", (dag._Dag, "_stop"))
def goes_on(outer: Any) -> Any:
    async def stop(self: Any) -> None:
        return

    return stop
