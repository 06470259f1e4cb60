"""What a worker's signs of life tell of the steps whose bodies run: a JSON text that no store looks into.

An object: `steps`, a list of [flow id, life, key, attempt, when the try began (UTC milliseconds)], the oldest first and
at most MANY; and `all`, how many there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

MANY = 1000
"""Steps told at once."""


@dataclass(frozen=True, slots=True)
class RunningStep:
    """One try of a step whose body runs. `started` is in UTC milliseconds."""

    flow: str
    life: int
    key: str
    attempt: int
    started: int


@dataclass(frozen=True, slots=True)
class Doing:
    """What a worker told: the steps that run, by flow, the oldest first; and whether these are all."""

    steps: Mapping[str, tuple[RunningStep, ...]]
    complete: bool


def pack_doing(steps: Iterable[RunningStep]) -> bytes:
    """The stored form of what runs now."""
    found = sorted(steps, key=lambda step: step.started)
    rows = [[step.flow, step.life, step.key, step.attempt, step.started] for step in found[:MANY]]
    text = json.dumps({"steps": rows, "all": len(found)}, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


@lru_cache(maxsize=32)  # lists of flows ask again for each
def read_doing(told: bytes) -> Doing | None:
    """What a worker told; None if it told nothing, or nothing that can be read."""
    try:
        found: object = json.loads(told)
    except (ValueError, RecursionError):
        return None
    fields = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    rows, count = fields.get("steps"), fields.get("all")
    if not (isinstance(rows, list) and isinstance(count, int)):
        return None
    known = [step for row in cast("list[object]", rows) if (step := _read(row))]
    steps: dict[str, list[RunningStep]] = {}
    for step in known:
        steps.setdefault(step.flow, []).append(step)
    return Doing({flow: tuple(each) for flow, each in steps.items()}, complete=len(known) == count)


def _read(row: Any) -> RunningStep | None:
    match row:
        case [str(flow), int(life), str(key), int(attempt), int(started)]:
            return RunningStep(flow, life, key, attempt, started)
        case _:
            return None
