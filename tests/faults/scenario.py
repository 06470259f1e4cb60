"""What a scenario is: flow types, what people do with them, and how all flows have to end, whatever call fails."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ergon_runtime.core.flows import Status

if TYPE_CHECKING:
    from tests.faults.person import Person
    from tests.faults.world import World


class _Anything:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANYTHING = _Anything()


@dataclass(frozen=True, slots=True)
class End:
    """How a flow may stand in the end: its value, its error's class, or why it is blocked."""

    status: Status
    detail: object = ANYTHING


def completed(value: object = ANYTHING) -> End:
    return End(Status.COMPLETED, value)


def failed(error: str) -> End:
    return End(Status.FAILED, error)


def blocked(kind: str) -> End:
    return End(Status.BLOCKED, kind)


CANCELLED = End(Status.CANCELLED)
Script: TypeAlias = "Callable[[Person], Coroutine[Any, Any, None]]"
Ends: TypeAlias = Mapping[str, End | tuple[End, ...]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`ends`: by flow id. Of several ends the first is the one without faults; the others need a fault that takes a
    flow from its worker, or, if it is `racy`, any. `racy`: what happens first depends on how long calls take.
    `script` is what a person does; it is begun again when a call fails, or the person dies.
    """

    name: str
    flows: tuple[object, ...]
    script: Script
    ends: Ends
    racy: bool = False
    delicate: bool = False
    """Pairs of faults are worth their time."""
    workers: int = 1
    concurrency: int = 10
    residents: int = 100
    longest: float = 1.0
    """Seconds that its longest step takes: that much is lost with a worker."""
    check: Callable[[World], str | None] | None = None
    """Says what else is wrong in the end."""

    def may_end(self, flow: str) -> tuple[End, ...]:
        ends = self.ends.get(flow, ())
        return ends if isinstance(ends, tuple) else (ends,)


SCENARIOS: dict[str, Scenario] = {}


def scenario(*flows: object, ends: Ends, **options: Any) -> Callable[[Script], Script]:
    """The decorated function is the script of a scenario of its name."""

    def enter(script: Script) -> Script:
        name = script.__name__
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        SCENARIOS[name] = Scenario(name, flows, script, ends, **options)
        return script

    return enter
