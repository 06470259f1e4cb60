"""Plans: the steps of a class that form a DAG, what each needs, in which order they can run. No flow runs here.

D1  A plan is made when loading ends, once per class; a cycle is an error then. Steps stand in the order of definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ergon_runtime.definitions.steps import StepDefinition
from ergon_runtime.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a DAG. `needs` are names of steps, without repeats; `inputs` maps parameters to names of steps."""

    definition: StepDefinition
    needs: tuple[str, ...]
    inputs: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.definition.name

    def values(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, from the results of other steps and from defaults."""
        inputs, shape = self.inputs, self.definition.shape
        return {name: results[inputs[name]] if name in inputs else shape.defaults[name] for name in shape.names}


class Plan:
    """Steps by name, in the order of definition, with all that they need. `followers` are those that need a step."""

    __slots__ = ("_parts", "followers", "roots", "steps")

    def __init__(self, steps: Iterable[PlannedStep]) -> None:
        self.steps = {step.name: step for step in steps}
        self.roots = [step for step in self.steps.values() if not step.needs]
        self.followers: dict[str, list[PlannedStep]] = {name: [] for name in self.steps}
        for step in self.steps.values():
            for need in step.needs:
                self.followers[need].append(step)
        self._parts: dict[str, Plan] = {}

    def lacks(self) -> dict[str, int]:
        """How many steps each step has to wait for."""
        return {name: len(step.needs) for name, step in self.steps.items()}

    def only(self, final: str) -> Plan:
        """The plan of one step and what it needs."""
        if final not in self._parts:
            wanted, left = {final}, [final]
            while left:
                fresh = [need for need in self.steps[left.pop()].needs if need not in wanted]
                wanted.update(fresh)
                left += fresh
            self._parts[final] = Plan(step for name, step in self.steps.items() if name in wanted)
        return self._parts[final]

    def check(self, owner: str) -> None:
        """Raises DefinitionError, naming the steps, if some wait for each other."""
        if cycle := self._cycle():
            raise DefinitionError(
                f"{owner}: steps need each other: {' -> '.join(cycle)}; take one of these out of depends_on or inputs"
            )

    def _cycle(self) -> list[str]:
        stuck = self._stuck()
        seen: dict[str, int] = {}
        here = next(iter(stuck), None)
        while here is not None and here not in seen:
            seen[here] = len(seen)
            here = next(need for need in self.steps[here].needs if need in stuck)
        if here is None:
            return []
        found = list(seen)[seen[here] :]
        first = min(range(len(found)), key=lambda n: list(self.steps).index(found[n]))
        return [*found[first:], *found[:first], found[first]]

    def _stuck(self) -> dict[str, PlannedStep]:
        """The steps that can never start."""
        started = {step.name for step in self._startable()}
        return {name: step for name, step in self.steps.items() if name not in started}

    def _startable(self) -> Iterator[PlannedStep]:
        lacks, ready = self.lacks(), list(self.roots)
        while ready:
            step = ready.pop()
            yield step
            for follower in self.followers[step.name]:
                lacks[follower.name] -= 1
                if not lacks[follower.name]:
                    ready.append(follower)
