"""Wiring: what `depends_on` and `inputs` of a class's steps say, read once per class and made a plan (rule D1).

A step is meant by its name, or by what `@step` left in the class body; an override stands in its base's place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import MethodType
from typing import Any, TypeAlias, cast

from ergon_runtime.definitions.plan import Plan, PlannedStep
from ergon_runtime.definitions.steps import StepDefinition, StepFunction, Wiring
from ergon_runtime.errors import DefinitionError

StepRef: TypeAlias = str | Callable[..., Coroutine[object, None, Any]]
"""A step by its name, or as decorated."""


def wiring_of(name: str, depends_on: object, inputs: object) -> Wiring | None:
    """What `@step` was told; None if it was told neither. Raises DefinitionError for what is no step."""
    if depends_on is None and inputs is None:
        return None
    if not isinstance(inputs, Mapping | None):
        raise DefinitionError(f"step {name}: inputs= takes a dict from parameters to steps, not {inputs!r}")
    alone = depends_on is not None and not isinstance(depends_on, list | tuple)
    listed = cast("Sequence[object]", [depends_on] if alone else depends_on or ())
    fed = cast("Mapping[str, object]", inputs or {})
    return Wiring(
        tuple(_meant(f"step {name}: depends_on=", each) for each in listed),
        {parameter: _meant(f"step {name}: inputs=", each) for parameter, each in fed.items()},
    )


class WiredSteps:
    """The step methods of a class; those with depends_on or inputs, and those they name, form its DAG.

    Raises DefinitionError, which says where, for what is wired wrongly. `owner` names the class's flow type in errors.
    """

    __slots__ = ("_names", "_owner", "_plan", "_steps")

    def __init__(self, owner: str, cls: type) -> None:
        found: dict[str, object] = {}
        for base in reversed(cls.__mro__):
            found |= vars(base)
        methods = {attribute: step.definition for attribute, step in found.items() if isinstance(step, StepFunction)}
        self._owner = owner
        self._names = {
            step.definition: methods[attribute].name
            for base in cls.__mro__
            for attribute, step in vars(base).items()
            if isinstance(step, StepFunction) and attribute in methods
        }
        """What each step is called here, also the overridden ones."""
        self._steps: dict[str, list[StepDefinition]] = {}
        for step in dict.fromkeys(methods.values()):
            if step.is_method:
                self._steps.setdefault(step.name, []).append(step)
        self._plan = self._made()

    def plan(self, final: StepRef | None = None) -> Plan:
        """The plan of all, or of one step and what it needs. Raises DefinitionError if there is none."""
        if self._plan is None:
            raise DefinitionError(f"run_dag: no step of {self._owner} has depends_on= or inputs=")
        if final is None:
            return self._plan
        name = self._find("run_dag: final=", _meant("run_dag: final=", final))
        if name not in self._plan.steps:
            raise DefinitionError(f"run_dag: step {name} takes no part in the DAG; give it depends_on=[]")
        return self._plan.only(name)

    def _made(self) -> Plan | None:
        steps = [step for called in self._steps.values() for step in called]
        needs = {step.name: self._needs(step, wiring) for step in steps if (wiring := step.options.wiring)}
        if not needs:
            return None
        taking_part = {*needs, *(need for each in needs.values() for need in each)}
        plan = Plan(self._planned(step, needs.get(step.name, ())) for step in steps if step.name in taking_part)
        plan.check(self._owner)
        return plan

    def _needs(self, step: StepDefinition, wiring: Wiring) -> tuple[str, ...]:
        named = [self._find(_place(step), each) for each in (*wiring.needs, *wiring.inputs.values())]
        if step.name in named:
            raise DefinitionError(f"{_place(step)} depends on itself; take it out of depends_on and inputs")
        return tuple(dict.fromkeys(named))

    def _planned(self, step: StepDefinition, needs: tuple[str, ...]) -> PlannedStep:
        if len(called := self._steps[step.name]) > 1:
            places = " and ".join(each.source for each in called)
            raise DefinitionError(f"{self._owner} has {len(called)} steps called {step.name}, at {places}; rename one")
        wired = (step.options.wiring or Wiring((), {})).inputs
        parameters = step.shape.names
        for parameter in wired:
            if parameter not in parameters:
                raise DefinitionError(f"{_place(step)} has no parameter {parameter!r}{_guess(parameter, parameters)}")
        for parameter in parameters:
            if parameter not in wired and parameter not in step.shape.defaults:
                raise DefinitionError(
                    f"{_place(step)} gets nothing for {parameter!r}: give it a default, or a step in inputs="
                )
        return PlannedStep(step, needs, {name: self._find(_place(step), each) for name, each in wired.items()})

    def _find(self, where: str, step: str | StepDefinition) -> str:
        if isinstance(step, str):
            if step in self._steps:
                return step
            raise DefinitionError(f"{where}: {self._owner} has no step {step!r}{_guess(step, self._steps)}")
        name = self._names.get(step)
        if name not in self._steps:
            raise DefinitionError(f"{where}: step {step.name} of {step.source} is no method of {self._owner}")
        return name


def _meant(where: str, step: object) -> str | StepDefinition:
    if isinstance(step, MethodType):
        step = step.__func__
    if isinstance(step, StepFunction):
        return step.definition
    if isinstance(step, str):
        return step
    fix = "put @step on it" if callable(step) else "several go into a list"
    raise DefinitionError(f"{where} takes steps and names of steps, not {step!r}; {fix}")


def _place(step: StepDefinition) -> str:
    return f"step {step.name} at {step.source}"


def _guess(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; it has {', '.join(names) or 'none'}"
