"""A leaf of random programs that runs a DAG: a class of a few steps, wired at random, on which `run_dag` is called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from ergon_runtime.core.asking import machine_here
from ergon_runtime.core.operations import StepOp
from ergon_runtime.dag import run_dag
from ergon_runtime.definitions import flow, flow_type, registry
from tests.simulation.programs import Draw, Kid, Run, leaf, problems
from tests.simulation.steps import make_method


@dataclass(frozen=True, slots=True)
class Wired:
    """A flow type and what its steps need, in the order of definition."""

    make: Any
    needs: dict[str, list[str]]

    def part(self, final: str) -> set[str]:
        """A step and what it needs."""
        return {final}.union(*(self.part(need) for need in self.needs[final]))


@lru_cache(1000)
def wired(seed: int) -> Wired:
    """A random DAG. Its steps have names that no other is likely to have."""
    random = Random(seed)
    names = [f"d{seed % 10_000}.{n}" for n in range(random.randint(2, 6))]
    space: dict[str, Any] = {"run": flow(_run)}
    needs: dict[str, list[str]] = {}
    for n, name in enumerate(names):
        needs[name] = random.sample(names[:n], min(n, random.choice([0, 1, 1, 2, 3])))
    with registry.isolated():
        for name in random.sample(names, len(names)):
            kind = random.choice(["async", "async", "async", "sync", "stubborn", "bitter", "slow"])
            fails, tries = random.choice([0, 0, 0, 0, 1, 2]), random.choice([0, 1, 1, 1, 2])
            told = needs[name][0] if needs[name] and random.random() < 0.7 else None
            others = needs[name] if told is None else needs[name][1:]
            space[name] = make_method(name, kind, tries, fails, others, told)
        made: Any = type("Wired", (), space)
        return Wired(flow_type(dataclass(made)), {name: needs[name] for name in space if name in needs})


async def _run(self: object) -> None: ...


@leaf(3)
async def dag(run: Run, kids: list[Kid], draw: Draw) -> None:
    found = wired(draw.seed)
    final = Random(draw.seed).choice([*found.needs]) if draw.x < 0.4 else None
    part = found.part(final) if final else {*found.needs}
    machine = machine_here()
    assert machine is not None
    scope = machine.scope().path
    try:
        results = await run_dag(found.make(), final)
        run.note(results)
        if [*results] != [name for name in found.needs if name in part]:
            problems.append(f"{machine.id}: a DAG of {sorted(part)} gave {results}")
    except (KeyError, TypeError, AssertionError) as error:
        problems.append(f"{machine.id}: a DAG broke with {error!r}")
    finally:
        left = [
            op.key
            for op in machine.open
            if isinstance(op, StepOp) and op.key.startswith(f"{scope}d{draw.seed % 10_000}.")
        ]
        if left and not machine.loop.evicted:
            problems.append(f"{machine.id}: a DAG has ended, and its steps {left} have not")
