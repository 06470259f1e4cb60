"""A case of a fuzzer, what was found with it, and making it smaller.

A case is JSON, so a file holds it, and `python -m tests.fuzz.run --repeat FILE` tries it again. What is found is a text
`kind: detail`; two findings of one kind are the same fault.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any
Faults: TypeAlias = list[str]


@dataclass(frozen=True)
class Case:
    """What a fuzzer tries, and where it comes from."""

    fuzzer: str
    seed: str
    number: int
    data: Json

    def dump(self) -> str:
        return json.dumps({"fuzzer": self.fuzzer, "seed": self.seed, "number": self.number, "data": self.data})

    @staticmethod
    def load(path: Path) -> Case:
        return Case(**json.loads(path.read_text()))


class Fuzzer(Protocol):
    """Makes cases and tries them. It is made in an empty folder of its own."""

    def make(self, random: Random) -> Json:
        """The data of a case."""
        ...

    def run(self, data: Json) -> Faults:
        """Try it; what is wrong."""
        ...


class Stuck(BaseException):
    """A case came to no end in time."""


def made(fuzzer: Fuzzer, name: str, seed: str, number: int) -> Case:
    """The case of this number: it follows from the seed alone."""
    return Case(name, seed, number, fuzzer.make(Random(f"{seed}:{name}:{number}")))


def kind(fault: str) -> str:
    return fault.partition(":")[0]


def smaller(case: Case, fault: str, attempt: Callable[[Json], Faults], seconds: float) -> Case:
    """The case with all taken out that the fault does not need, as far as the time allows."""
    end, data, again = time.monotonic() + seconds, case.data, True
    while again and time.monotonic() < end:
        again = False
        for less in _simpler(data):
            if time.monotonic() > end:
                break
            try:
                found = attempt(less)
            except Exception:
                continue  # it is no case any more
            if any(kind(each) == kind(fault) for each in found):
                data, again = less, True
                break
    return replace(case, data=data)


def _simpler(data: Json) -> Iterator[Json]:
    """Simpler forms of a JSON value, the simplest first."""
    match data:
        case list():
            half = len(data) // 2
            if half:
                yield data[:half]
                yield data[half:]
            yield from (data[:place] + data[place + 1 :] for place in range(len(data)))
            yield from _inside(data, range(len(data)))
        case dict():
            yield from ({name: data[name] for name in data if name != gone} for gone in data)
            yield from _inside(data, list(data))
        case str() if data:
            half = len(data) // 2
            yield from dict.fromkeys(("", data[:half], data[half:]))
            if len(data) < 40:
                yield from (data[:place] + data[place + 1 :] for place in range(len(data)))


def _inside(data: Json, places: Sequence[Any] | Mapping[Any, Any]) -> Iterator[Json]:
    for place in places:
        for less in _simpler(data[place]):
            copy = data.copy()
            copy[place] = less
            yield copy
