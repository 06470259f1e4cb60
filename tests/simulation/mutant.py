"""One rule switched off in the real code: what a mutant is, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.simulation.plant import planted

Plant: TypeAlias = tuple[object, str, Callable[[Any], Any]]
"""Where, and what stands there instead; it is made from what stood there."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule switched off."""

    name: str
    what: str
    plants: tuple[Plant, ...]

    def grow(self) -> ExitStack:
        """Switch the rule off, as long as the stack is open."""
        stack = ExitStack()
        for owner, name, make in self.plants:
            stack.enter_context(planted(owner, name, make(vars(owner)[name])))
        return stack


MUTANTS: dict[str, Mutant] = {}


def mutant(what: str, *places: tuple[object, str]) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """The function makes, from what stands at each place, what stands there instead."""

    def enter(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        name = make.__name__
        MUTANTS[name] = Mutant(name, what, tuple((owner, attribute, make) for owner, attribute in places))
        return make

    return enter


def constant(name: str, what: str, owner: object, attribute: str, value: object) -> None:
    """A mutant that puts a plain value in a place."""
    MUTANTS[name] = Mutant(name, what, ((owner, attribute, lambda _: value),))
