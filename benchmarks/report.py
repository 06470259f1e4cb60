"""Figures of all rounds, in one: their medians, the targets, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.results import Result, Setting, read
from benchmarks.works import TARGETS, WORKS, Target

Key = tuple[str, str]
"""A work, and a name in it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over all rounds, and the settings of the last one."""

    work: str
    name: str
    unit: str
    values: tuple[float, ...]
    settings: Mapping[str, Setting]

    @property
    def median(self) -> float:
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target, and what was reached; None if it was not measured."""

    target: Target
    value: float | None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.target.bound if self.target.at_least else self.value <= self.target.bound

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.target.at_least else '≤'} {self.target.bound:,g}"


@dataclass(slots=True)
class Report:
    """All figures, the machine that those of a work are from (as it was then), and what could not be run."""

    machines: dict[str, Mapping[str, Setting]]
    figures: list[Result] = field(default_factory=list[Result])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def summaries(self, work: str | None = None) -> list[Summary]:
        """Each figure once, in the order they came in."""
        groups: dict[Key, list[Result]] = {}
        for each in self.figures:
            if work in (None, each.work):
                groups.setdefault((each.work, each.name), []).append(each)
        return [
            Summary(*key, found[-1].unit, tuple(each.value for each in found), found[-1].settings)
            for key, found in groups.items()
        ]

    def verdicts(self) -> list[Verdict]:
        """The targets of the works that were measured."""
        medians = {(each.work, each.name): each.median for each in self.summaries()}
        measured = {work for work, _ in medians}
        return [Verdict(target, _reached(target, medians)) for target in TARGETS if target.work in measured]

    def works(self) -> list[str]:
        """The works that were measured, in their order."""
        measured = {each.work for each in self.figures}
        return [work for work in WORKS if work in measured]

    def take(
        self,
        works: Sequence[str],
        figures: Sequence[Result],
        missing: Mapping[str, str],
        machine: Mapping[str, Setting],
        *,
        add: bool,
    ) -> None:
        """Take in new figures of these works, in the place of all that there are unless they are to be added, and what
        could not be run of them this time on this machine."""
        measured = set(works)
        self.machines |= dict.fromkeys(works, machine)
        kept = self.figures if add else [each for each in self.figures if each.work not in measured]
        self.figures = [*kept, *figures]
        others = {name: why for name, why in self.missing.items() if name.split()[0] not in measured}
        self.missing = {**others, **missing}

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        lines = [json.loads(each.line()) for each in self.figures]
        text = ",\n".join(json.dumps(line) for line in lines)
        head = json.dumps({"machines": self.machines, "missing": self.missing}, indent=1)[:-2]
        path.write_text(f'{head},\n "figures": [\n{text}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> Report:
        """What a file keeps."""
        kept = json.loads(path.read_text())
        return cls(kept["machines"], [read(json.dumps(line)) for line in kept["figures"]], kept["missing"])


def _reached(target: Target, medians: Mapping[Key, float]) -> float | None:
    value, over = medians.get(target.figure), 1.0 if target.over is None else medians.get(target.over)
    return None if value is None or not over else target.factor * value / over
