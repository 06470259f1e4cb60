"""What machines deliver, written down; and whether each that is dropped was ended first."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any, Protocol

from ergon_runtime.core.machine import FlowMachine


class Bad(Exception):
    """A promise is broken."""


@dataclass(slots=True)
class Trace:
    """What a machine delivered in a life of its flow: (how, key, flow time)."""

    number: int
    flow: str = ""
    life: int = 0
    done: bool = False
    evicted: bool = False
    delivered: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])


class Watcher(Protocol):
    """Whoever keeps the traces."""

    traces: list[Trace]

    def remember(self, machine: TracedMachine) -> None:
        """A worker has made a machine."""
        ...

    def blame(self, problem: str) -> None: ...


class TracedMachine(FlowMachine):
    """A machine that writes down what it delivers. The simulation does not hold it: that a machine which is dropped is
    ended before the garbage collector finds it is the worker's duty."""

    def __init__(self, world: Watcher, *args: Any, **options: Any) -> None:
        self.trace = trace = Trace(len(world.traces))
        world.traces.append(trace)
        world.remember(self)
        options |= {
            "observer": lambda how, key, now: trace.delivered.append((how, key, now)),
            "report": lambda context: None,
        }
        super().__init__(*args, **options)
        trace.flow, trace.life = self.id, self.life
        weakref.finalize(self, _dropped, weakref.ref(world), trace)

    def evict(self) -> None:
        self.trace.evicted = True
        super().evict()

    @property
    def done(self) -> bool:
        return self.trace.done

    @done.setter
    def done(self, value: bool) -> None:
        self.trace.done = value

    def __hash__(self) -> int:
        return self.trace.number


def _dropped(over: weakref.ref[Watcher], trace: Trace) -> None:
    world = over()
    if world is not None and not trace.evicted and not trace.done:
        world.blame(f"{trace.flow}: a machine in its life {trace.life} was left to the garbage collector")
