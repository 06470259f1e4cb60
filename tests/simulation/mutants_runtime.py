"""Mutants of commits and mail, of steps and children: runner, bodies and the memory store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ergon_runtime import runner, steps
from ergon_runtime.core import asking, decide, history, machine, operations
from ergon_runtime.core.entries import AttemptFailed, StepEnded
from ergon_runtime.core.flows import Commit, CommitReply, Lease, Status
from ergon_runtime.lease import HeldLease
from ergon_runtime.stores import rules
from ergon_runtime.stores.memory.mailboxes import Mailboxes
from ergon_runtime.stores.memory.state import MemoryState
from tests.simulation.mutant import mutant


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
    def stop(self: Any, op: Any, ended: set[str]) -> None:
        if not any(entry.key == op.key for entry in self.results):
            outer(self, op, ended)

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
