"""Every mutant there is: those of the source, and those that the simulation plants in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutants import histories
from tests.mutants.mutant import TABLE, SourceMutant
from tests.simulation.mutants import MUTANTS


@dataclass(frozen=True, slots=True)
class Known:
    """A mutant of either kind. `rig` is what is run when nothing is broken."""

    name: str
    rule: str
    what: str
    killer: str
    source: SourceMutant | None = None

    @property
    def rig(self) -> str:
        return self.killer if self.source else "tests.simulation.run 40"


def everything() -> Iterator[Known]:
    """Source first, file by file; then the simulation's."""
    for each in TABLE:
        yield Known(each.name, each.rule, each.what, each.killer, each)
    for name, planted in MUTANTS.items():
        rule, _, what = planted.what.partition(" ")
        yield Known(name, rule, what, histories.killer(name))
