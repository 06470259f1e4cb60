"""Random flow programs: every asyncio construct that a flow may use, chosen by a seed.

A program writes down all that it observes, in order, and most of its steps take that log as an argument, so that any
other order shows as divergence.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any, TypeAlias

from ergon_runtime.core.asking import machine_here
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import FlowDefinition, FlowValue, flow, registry
from ergon_runtime.primitives import continue_as_new
from tests.simulation.steps import make_step

SHARED = ("alpha", "beta")
"""Signals that people send to a name alone."""
OWN = "own"
"""A signal that people send to one flow."""
RENAMED = {f"s{n}": f"other{n}" for n in range(10)}
"""Steps that changed code calls by another name."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code that a worker has. Versions from 1 on are the code after changes, which `changes` says there are.
    `renamed` code has new names for some steps; `str_sets` iterates sets of str: it needs one hash seed per store."""

    version: int = 0
    changes: bool = False
    renamed: bool = False
    str_sets: bool = False


@dataclass(frozen=True, slots=True)
class Draw:
    """The dice of one node."""

    name: str
    seconds: float
    plain: bool
    n: int
    m: int
    shared: bool
    seed: int
    x: float
    y: float
    sync: bool


@dataclass(slots=True)
class Run:
    """One run of a program: the code it has, and what it observed."""

    code: Code
    log: list[object] = field(default_factory=list[object])

    def note(self, seen: object) -> None:
        self.log.append(seen)

    def told(self) -> str:
        """The log, in short."""
        return f"{zlib.crc32(repr(self.log).encode()):08x}"


Kid: TypeAlias = Callable[[Run], Awaitable[None]]
Node: TypeAlias = Callable[[Run, list[Kid], Draw], Awaitable[None]]

NODES: dict[str, Node] = {}
LEAVES: list[str] = []
INNER: list[str] = []
"""Filled by nodes.py, which whoever runs programs has to import."""


def leaf(weight: int = 1) -> Callable[[Node], Node]:
    """A node without nodes below it; `weight` is how often it is drawn."""
    return lambda node: _enter(node, LEAVES, weight)


def inner(weight: int = 1) -> Callable[[Node], Node]:
    """A node that combines others."""
    return lambda node: _enter(node, INNER, weight)


def _enter(node: Node, names: list[str], weight: int) -> Node:
    name = node.__name__
    NODES[name] = node
    names += [name] * weight
    return node


abandoned: set[str] = set()
"""Children that are not detached and whose only await was cancelled."""
POISON = -1
"""The depth of the program that takes its worker down."""
used: Counter[str] = Counter()
"""How often each node was run."""
problems: list[str] = []
"""What programs saw that no program may see."""


class Since:
    """Checks that time passed: from the request, or from the life's beginning if that is later."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._machine = seconds, _machine()
        self._asked = self._machine.now

    def passed(self, *, pooled: bool = False) -> None:
        """The time is over now. A finished sleep of an earlier life may come from the pool at once."""
        machine = self._machine
        remembered = pooled and (machine.now <= machine.begins or machine.now == self._asked)
        if machine.now < max(self._asked, machine.begins) + round(self._seconds * 1000) and not remembered:
            problems.append(
                f"{machine.id}: {self._seconds} s asked for at {self._asked} were over at {machine.now}; "
                f"the life began at {machine.begins}"
            )


def _machine() -> FlowMachine:
    machine = machine_here()
    assert machine is not None
    return machine


@lru_cache(3000)
def build(seed: int, depth: int, code: Code) -> Callable[[Run, int], Awaitable[bool]]:
    """The program of a seed. It gives whether the flow continues as new."""
    if depth == POISON:
        return _poison
    random = Random(seed)
    leaves = [*LEAVES, *["patch"] * 8 * code.changes]

    def make(left: int) -> Kid:
        kind = random.choice(INNER if left > 0 and random.random() < 0.8 else leaves)
        kids = [make(left - 1) for _ in range(random.randint(2, 3))] if kind in INNER else []
        return _part(kind, random, kids)

    parts = [make(depth)]
    if code.changes:  # and time between two patches, in which other code may come
        parts = [_part("patch", random), *parts, _part("nap", random), _part("patch", random)]
    again = random.choice([0, 0, 0, 1, 2])

    async def main(run: Run, n: int) -> bool:
        try:
            if n == 0 and is_stuck(seed):
                await asyncio.get_running_loop().create_future()
            for part in parts:
                await part(run)
            while n == 0 and code.version == 0 and is_spinning(seed):
                await asyncio.sleep(0)
            await make_step("last", "async")(run.told(), 0)
        finally:
            await make_step("bye", "async")("", 0)
        return n < again

    return main


def _part(kind: str, random: Random, kids: Sequence[Kid] = ()) -> Kid:
    """A node with dice of its own."""
    draw = _draw(random)

    def node(run: Run) -> Awaitable[None]:
        used[kind] += 1
        return NODES[kind](run, [*kids], draw)

    return node


async def _poison(run: Run, n: int) -> bool:
    await make_step("poison", "poison")("", 0)
    return False


@lru_cache(3000)
def is_stuck(seed: int) -> bool:
    """Whether a program waits, in its first life, for something that can never come."""
    return Random(f"stuck {seed}").random() < 0.01


@lru_cache(3000)
def is_spinning(seed: int) -> bool:
    """Whether a program spins, in its first life and in the oldest code."""
    return Random(f"spinning {seed}").random() < 0.01


def _draw(random: Random) -> Draw:
    return Draw(
        name=f"s{random.randint(0, 9)}",
        seconds=random.choice([0.1, 0.4, 1.5, 6.0]),
        plain=random.random() < 0.5,
        n=random.randint(1, 3),
        m=random.randint(1, 3),
        shared=random.random() < 0.5,
        seed=random.randint(0, 10**9),
        x=random.random(),
        y=random.random(),
        sync=random.random() < 0.3,
    )


POLICIES: dict[str, tuple[int, bool]] = {
    "once": (1, True),
    "twice": (2, True),
    "thrice": (3, True),
    "often": (4, True),
    "saga": (2, False),
    "sagas": (3, False),
}
"""Flow types: how often they are tried, and whether they keep what succeeded."""


VERSIONS = {"twice": (None, "2", "3")}
"""The versions of flow types that have several."""


@lru_cache(3000)
def type_of(seed: int) -> tuple[str, str | None]:
    """The flow type that a program's seed has, and its version."""
    random = Random(f"policy {seed}")
    name = random.choice(["once", "twice", "twice", "thrice", "often", "saga", "sagas"])
    return name, random.choice(VERSIONS.get(name, (None,)))


def value_of(code: Code, seed: int, depth: int) -> FlowValue[Any]:
    """The flow of a program."""
    return flow_types(code)[type_of(seed)].value(p=seed, d=depth, n=0)


@lru_cache(None)
def flow_types(code: Code) -> dict[tuple[str, str | None], FlowDefinition]:
    """The flow types as some code has them, by name and version."""
    with registry.isolated():
        for name, (tries, keep) in POLICIES.items():
            for version in VERSIONS.get(name, (None,)):
                _define(code, name, version, tries, keep)
        return {(definition.name, definition.version): definition for definition in registry.flows()}


def _define(code: Code, name: str, version: str | None, tries: int, keep: bool) -> None:
    retry = RetryPolicy(max_attempts=tries, initial=0.5, multiplier=2) if tries > 1 else None

    @flow(name=name, version=version, retry=retry, keep=keep)
    async def program(p: int, d: int, n: int) -> list[Any]:
        run = Run(code)
        if await build(p, d, code)(run, n):
            continue_as_new(flow_types(code)[name, version].value(p=p, d=d, n=n + 1))
        return run.log
