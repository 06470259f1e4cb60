"""Which rows of a long table are shown, and which fold into one. Pure.

Up to LIMIT rows nothing is folded. Beyond it completed steps of one kind and name fold into one row, wherever their
loops and scopes are; what failed or is open stays, and so do the last rows. Of very many failures or open steps of one
name the first are shown, and the others counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ergon_runtime.view import StepView

LIMIT = 200
LAST = 10
"""Rows at the end that are shown, whatever they are."""
FEW = 4
"""Fewer equal siblings are not worth folding."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A step and its number in the flow, from 1."""

    n: int
    step: StepView


@dataclass(frozen=True, slots=True)
class Fold:
    """Siblings that are equal but for their times. They are shown where the first of them would stand."""

    steps: tuple[StepView, ...]


def wanted(steps: Sequence[StepView], *, failed: bool) -> list[Numbered]:
    """The steps with their numbers; with `failed` only those that failed or are open."""
    return [Numbered(n, step) for n, step in enumerate(steps, 1) if not failed or step.status != "completed"]


def folded(rows: Sequence[Numbered]) -> Iterator[Numbered | Fold]:
    """The rows, folded if there are too many."""
    if len(rows) <= LIMIT:
        yield from rows
        return
    groups: dict[tuple[str, str, str], list[int]] = {}
    for place, row in enumerate(rows[:-LAST]):
        groups.setdefault((row.step.kind, row.step.name, row.step.status), []).append(place)
    folds: dict[int, Fold] = {}
    hidden: set[int] = set()
    for (kind, _, status), places in groups.items():
        spare = places if status == "completed" else places[LIMIT:]
        if kind != "marker" and len(spare) >= FEW:
            folds[spare[0]] = Fold(tuple(rows[place].step for place in spare))
            hidden.update(spare)
    for place, row in enumerate(rows):
        if place in folds:
            yield folds[place]
        if place not in hidden:
            yield row
