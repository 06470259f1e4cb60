"""Mutants: rules switched off in the real code, one at a time, and how many histories notice.

`python -m tests.simulation.mutants SEEDS [NAME…]` prints a table. A mutant that no history notices is a hole in the
simulation, or a rule that nobody needs.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
from asyncio import tasks
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from types import AsyncGeneratorType
from typing import Any, TypeAlias

from ergon_runtime import runner, steps
from ergon_runtime.core import asking, decide, history, loop, machine, operations
from ergon_runtime.core.entries import AttemptFailed, ChildEnded, StepEnded, TimerFired
from ergon_runtime.core.flows import Commit, CommitReply, Lease, Status
from ergon_runtime.lease import HeldLease
from ergon_runtime.stores import rules
from ergon_runtime.stores.memory.mailboxes import Mailboxes
from ergon_runtime.stores.memory.state import MemoryState
from tests.simulation.plant import planted
from tests.simulation.run import one

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
        self._patches.clear()
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


# --- commits
@mutant("C1 the token is not checked", (MemoryState, "commit"))
def token(outer: Any) -> Any:
    def commit(self: Any, asked: Commit) -> CommitReply:
        row = self.flows[asked.lease.flow]
        if row.token is not None:
            asked = dataclasses.replace(asked, lease=Lease(asked.lease.flow, row.token))
        reply: CommitReply = outer(self, asked)
        return reply

    return commit


@mutant("C1 the head is not checked", (MemoryState, "commit"))
def head(outer: Any) -> Any:
    def commit(self: Any, asked: Commit) -> CommitReply:
        row = self.flows[asked.lease.flow]
        if row.head != asked.id:
            asked = dataclasses.replace(asked, predecessor=row.head, start=len(row.journal))
        reply: CommitReply = outer(self, asked)
        return reply

    return commit


@mutant("C1 a resend is taken for a new commit", (MemoryState, "commit"))
def resend(outer: Any) -> Any:
    def commit(self: Any, asked: Commit) -> CommitReply:
        row = self.flows[asked.lease.flow]
        if row.head == asked.id:
            asked = dataclasses.replace(asked, id=f"{asked.id}+", predecessor=row.head, start=len(row.journal))
        reply: CommitReply = outer(self, asked)
        return reply

    return commit


@mutant("C2 a machine in memory is used at any head", (runner.Runner, "_load"))
def any_head(outer: Any) -> Any:
    async def load(self: Any) -> Any:
        if self._resident is not None:
            self._resident.head, self._resident.length = self.claim.head, self.claim.length
        return await outer(self)

    return load


@mutant("C5 any mail wakes", (MemoryState, "_place"))
def any_mail(outer: Any) -> Any:
    def place(self: Any, row: Any, due: int | None) -> None:
        idle = row.token is None and row.status in (Status.PENDING, Status.WAITING)
        outer(self, row, self.clock() if idle and row.mail else due)

    return place


@mutant("C6 no fence", (HeldLease, "safe"))
def no_fence(outer: Any) -> Any:
    return lambda self, now: not self.lost


@mutant("C6 the fence counts from the answer", (HeldLease, "renewed"))
def fence_of_answer(outer: Any) -> Any:
    return lambda self, sent: outer(self, sent + 0.7 * self.length / 1000)


# --- signals
@mutant("S2 a reservation is not given back", (Mailboxes, "_drop"))
def reservation(outer: Any) -> Any:
    def drop(self: Any, row: Any, channel: str) -> set[str]:
        row.reserved.pop(channel, None)
        found: set[str] = outer(self, row, channel)
        return found

    return drop


@mutant("S4 what does not fit is not set aside", (decide, "_signal"))
def not_aside(outer: Any) -> Any:
    return lambda machine, s, at, aside: outer(machine, s, at, [])


# --- steps
@mutant("T2 a crash restarts the count of tries", (history.History, "_place"))
def restarted_count(outer: Any) -> Any:
    def place(self: Any, record: Any) -> None:
        if not isinstance(record.entry, AttemptFailed):
            outer(self, record)

    return place


@mutant("T3 a cancelled step gets no end", (machine.FlowMachine, "stop_step"))
def no_end_of_step(outer: Any) -> Any:
    return lambda self, op: None if op.over or op.stopping else self.abandon(op)


@mutant("T3 a step whose try failed as it was stopped gets no end", (steps.StepBodies, "_stop"))
def stopped_between_tries(outer: Any) -> Any:
    def stop(self: Any, op: Any) -> None:
        if not any(entry.key == op.key for entry in self.results):
            outer(self, op)

    return stop


@mutant("T3 a draining worker suspends what it has not started", (operations.OpenOperations, "unstarted"))
def drained(outer: Any) -> Any:
    return property(lambda self: False)


@mutant("T5 an open start is overlooked", (machine.FlowMachine, "outcome_unknown"))
def open_start(outer: Any) -> Any:
    return lambda self, op: False


@mutant("T5 OutcomeUnknown closes a start", (history.History, "_remember"))
def unknown_closes(outer: Any) -> Any:
    def remember(self: Any, record: Any) -> None:
        outer(self, record)
        if isinstance(record.entry, StepEnded):
            self.open_starts.discard((record.entry.key, record.entry.digest))

    return remember


# --- children
@mutant("K1 a child's id has no life", (asking.ChildRequest, "__init__"))
def child_life(outer: Any) -> Any:
    def init(self: Any, machine: Any, *args: Any, **options: Any) -> None:
        life, machine.life = machine.life, 1
        try:
            outer(self, machine, *args, **options)
        finally:
            machine.life = life

    return init


@mutant("K3 an ended parent refuses its child's result", (rules, "accepts"))
def child_mail(outer: Any) -> Any:
    return lambda channel, ended: not ended


@mutant("K3 the result is sent after the end, in another call", (MemoryState, "commit"))
def late_result(outer: Any) -> Any:
    def commit(self: Any, asked: Commit) -> CommitReply:
        row = self.flows[asked.lease.flow]
        whole = row.flow
        if asked.status.ended and whole.parent is not None and self.clock() % 5 == 0:  # the worker dies in between
            row.flow = dataclasses.replace(whole, parent=None)
        try:
            reply: CommitReply = outer(self, asked)
        finally:
            row.flow = whole
        return reply

    return commit


def _without_orphans(outer: Any, *, only: Callable[[Any], bool]) -> Any:
    def finish(machine: Any, s: Any, ending: Any) -> Any:
        draft = outer(machine, s, ending)
        kept = tuple(send for send in draft.sends if not send.message.id.startswith("end of"))
        return dataclasses.replace(draft, sends=kept) if only(ending) else draft

    return finish


@mutant("K4 the children of a life are not cancelled", (runner, "finish"))
def orphans(outer: Any) -> Any:
    return _without_orphans(outer, only=lambda ending: True)


@mutant("K4 not those of a life that is retried", (runner, "finish"))
def orphans_of_retry(outer: Any) -> Any:
    return _without_orphans(outer, only=lambda ending: isinstance(ending, decide.RetryFlow))


@mutant("K4 cancelling the await does not cancel the child", (asking.ChildRequest, "_give_up"))
def await_cancelled(outer: Any) -> Any:
    def give_up(self: Any, op: Any) -> None:
        detached, self._detached = self._detached, True
        outer(self, op)
        self._detached = detached

    return give_up


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
            self.pool[record.entry.key] = record

    return remember


@mutant("M3 failures are remembered", (history.History, "_remember"))
def pooled_failures(outer: Any) -> Any:
    def remember(self: Any, record: Any) -> None:
        outer(self, record)
        if isinstance(record.entry, StepEnded | ChildEnded):
            self.pool[record.entry.key] = record

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


# --- claims
@mutant("P4 the mark of diverged code outlives a claim", (MemoryState, "_claim"))
def fingerprint(outer: Any) -> Any:
    def claim(self: Any, row: Any, *rest: Any) -> Any:
        mark = row.fingerprint
        found = outer(self, row, *rest)
        row.fingerprint = mark
        return found

    return claim


@mutant("R6 a message id is forgotten when it is consumed", (Mailboxes, "consume"))
def forgotten_ids(outer: Any) -> Any:
    def consume(self: Any, row: Any, taken: Any) -> Any:
        for key in [key for key in self.seen if key[0] == row.flow.id or key[0] is None]:
            del self.seen[key]
        return outer(self, row, taken)

    return consume


@mutant("R7 mail does not wake", (Mailboxes, "_wake"))
def lost_wakeup(outer: Any) -> Any:
    return lambda self, row, now: None


def noticed(each: Mutant, seeds: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The seeds whose histories notice a mutant, and what they say."""
    for seed in seeds:
        with each.grow():
            try:
                one(seed)
            except Exception as error:  # a mutant may break the simulation itself
                said = f"{error}" or type(error).__name__
            else:
                continue
        yield seed, said


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description="Switch rules off.")
    parser.add_argument("seeds", type=int)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(MUTANTS)}")
    options = parser.parse_args(arguments)
    missed = 0
    for name, each in MUTANTS.items():
        if options.names and name not in options.names:
            continue
        begun = time.perf_counter()
        found = list(noticed(each, range(options.seeds)))
        missed += not found
        first = f"first {found[0][0]}: {found[0][1][:100]}" if found else ""
        took = time.perf_counter() - begun
        print(f"{name:22} {each.what:58} {len(found):4} of {options.seeds} {took:5.0f} s  {first}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
