"""Mutants of the core: the loop, entries and time, the memo pool."""

from __future__ import annotations

import asyncio
from asyncio import tasks
from collections.abc import Iterator
from random import Random
from types import AsyncGeneratorType
from typing import Any

from ergon_runtime import runner
from ergon_runtime.core import decide, history, loop, machine
from ergon_runtime.core.entries import ChildEnded, StepEnded, TimerFired
from tests.simulation.mutant import MUTANTS, Mutant, constant, mutant
from tests.simulation.plant import planted


# --- the loop
@mutant("L1 two completions a turn", (machine.FlowMachine, "_deliver_next"))
def two_a_turn(outer: Any) -> Any:
    def deliver(self: Any) -> bool:
        return bool(outer(self)) and (outer(self) or True)

    return deliver


@mutant("L2 tasks hash by address", (loop.FlowTask, "__hash__"), (loop.FlowFuture, "__hash__"))
def address_hash(outer: Any) -> Any:
    return object.__hash__


constant("gather_hash", "L2 not for gather's own future", vars(tasks)["_GatheringFuture"], "__hash__", object.__hash__)


@mutant("L4 generators left to the collector", (loop.FlowLoop, "_hold_generator"))
def generators(outer: Any) -> Any:
    return lambda self, generator: None


@mutant("L4 a generator found by the collector is closed", (loop, "_leave_generator"))
def generators_closed(outer: Any) -> Any:
    def leave(generator: AsyncGeneratorType[Any, Any]) -> None:
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(generator.aclose()))

    return leave


MUTANTS["generators"] = Mutant(
    "generators", MUTANTS["generators"].what, MUTANTS["generators"].plants + MUTANTS.pop("generators_closed").plants
)


@mutant("L6 a dropped machine is left to the collector", (runner.Runner, "_evict"))
def no_eviction(outer: Any) -> Any:
    return lambda self, kept: None


constant("no_end", "L7 what still runs at the end is forgotten", loop.FlowLoop, "wind_up", lambda self, main: True)


# --- entries, time, randomness
@mutant("E3 entry times run backwards", (decide, "_time"))
def backwards(outer: Any) -> Any:
    return lambda machine, s: s.clock


@mutant("E3 a clock below the store's", (runner.Runner, "_clock"))
def claim_clock(outer: Any) -> Any:
    return lambda self: self._engine.clock()


@mutant("E5 randomness has no seed", (machine.FlowMachine, "random"))
def unseeded(outer: Any) -> Any:
    return lambda self: Random()


@mutant("E6 abandoned operations diverge", (machine.FlowMachine, "_skippable"))
def no_skip(outer: Any) -> Any:
    return lambda self, entry: False


@mutant("E6 operations outlived by the end diverge", (machine.FlowMachine, "_check_leftovers"))
def outlived(outer: Any) -> Any:
    def check(self: Any) -> None:
        with planted(machine.FlowMachine, "abandon", lambda self, op: None):
            outer(self)

    return check


@mutant("E6 markers that the code skips are let be", (machine.FlowMachine, "__init__"))
def unseen(outer: Any) -> Any:
    def init(self: Any, *args: Any, **options: Any) -> None:
        outer(self, *args, **options)
        self._unseen.clear()

    return init


@mutant("E7 signals come last", (decide, "_completions"))
def late_signals(outer: Any) -> Any:
    def completions(*args: Any) -> Iterator[Any]:
        found = list(outer(*args))
        yield from sorted(found, key=lambda each: each.entry.kind == "signal")

    return completions


@mutant("E8 every call of patched decides anew", (machine.FlowMachine, "patched"))
def patch_memo(outer: Any) -> Any:
    def patched(self: Any, patch: str) -> bool:
        self.patches.clear()
        return bool(outer(self, patch))

    return patched


@mutant("E8 code is live while the last commit is delivered", (machine.FlowMachine, "patched"))
def patch_live(outer: Any) -> Any:
    def patched(self: Any, patch: str) -> bool:
        left = self._strict[self._position :]
        live = all(record.commit == self.last_commit for record in left)
        self._seen_commit = self.last_commit if live else -1
        return bool(outer(self, patch))

    return patched


# --- memo pool
@mutant("M2 nothing is remembered", (history.History, "_remember"))
def no_pool(outer: Any) -> Any:
    def remember(self: Any, record: Any) -> None:
        outer(self, record)
        self.pool.clear()

    return remember


@mutant("M3 fired timeouts are remembered", (history.History, "_remember"))
def pooled_timeouts(outer: Any) -> Any:
    def remember(self: Any, record: Any) -> None:
        outer(self, record)
        if isinstance(record.entry, TimerFired):
            self.pool[record.entry.key, getattr(record.entry, "digest", "")] = record

    return remember


@mutant("M3 failures are remembered", (history.History, "_remember"))
def pooled_failures(outer: Any) -> Any:
    def remember(self: Any, record: Any) -> None:
        outer(self, record)
        if isinstance(record.entry, StepEnded | ChildEnded):
            self.pool[record.entry.key, getattr(record.entry, "digest", "")] = record

    return remember


@mutant("M3 detached children are made again", (history.History, "_remember"))
def attached(outer: Any) -> Any:
    def remember(self: Any, record: Any) -> None:
        outer(self, record)
        self.attached.clear()

    return remember


@mutant("M4 timers count from the old start", (machine.FlowMachine, "due_at"))
def old_start(outer: Any) -> Any:
    def due_at(self: Any, when: float) -> int:
        begins, self.begins = self.begins, 0
        try:
            return int(outer(self, when))
        finally:
            self.begins = begins

    return due_at


@mutant("M5 keep=False keeps", (history.History, "_forget"))
def keeps(outer: Any) -> Any:
    return lambda self: None
