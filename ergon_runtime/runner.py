"""One claimed flow: the runner loads it, runs its step bodies, and commits what the core decides.

C1  A commit whose outcome is unknown is sent again under the same id.
C2  A machine kept in memory is used after a new claim only if its head is the store's.
C6  Past two thirds of the lease nothing is sent and no step starts; the flow is then forgotten here (LeaseLost).
L6  Whatever happens, a machine that is not kept is evicted.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, assert_never

from ergon_runtime.codec import describe_error, encode_error
from ergon_runtime.core.decide import (
    Begin,
    ContinueFlow,
    End,
    Ending,
    Park,
    RetryFlow,
    Situation,
    block,
    decide,
    finish,
)
from ergon_runtime.core.doing import RunningStep
from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.entries import Outcome, Recorded, Started
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import CANCEL, CRASH_LOOP, Claim, Commit, CommitReply, Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, ContinueAsNew, FlowMachine
from ergon_runtime.core.payloads import reason_against
from ergon_runtime.engine import Engine
from ergon_runtime.errors import CodecError, Conflict, LeaseLost, StoreUnavailable
from ergon_runtime.journal import load_journal
from ergon_runtime.lease import HeldLease
from ergon_runtime.residents import Resident, evict, size_of
from ergon_runtime.steps import StepBodies
from ergon_runtime.turns import in_callback
from ergon_runtime.waking import WakeUp

log = logging.getLogger(__name__)
T = TypeVar("T")

PYTHON = "{}.{}".format(*sys.version_info)
SLOW_TURN = 1.0
"""Seconds of flow code without an await after which a warning names the flow (L5)."""


class Runner:
    """Runs one claimed flow until it is released, ends, or its lease is lost. Use `run` once."""

    def __init__(self, engine: Engine, claim: Claim, held: HeldLease, resident: Resident | None = None) -> None:
        self.claim, self.held = claim, held
        self._engine, self._resident = engine, resident
        self._machine: FlowMachine | None = None
        self._bodies: StepBodies | None = None
        self._head, self._length, self._commits, self._size = claim.head, claim.length, 0, 0
        self._mail = claim.mail
        self._floor = claim.now
        self._mail_is_stale = self._draining = False
        self._wake = WakeUp()

    # --- what the worker tells it, or asks
    def notice(self) -> None:
        """The flow has new mail."""
        self._mail_is_stale = True
        self._wake.call()

    def renewed(self) -> None:
        """The lease was renewed, or found lost."""
        if self.held.lost:
            self._wake.call()

    def tell_steps(self) -> list[RunningStep]:
        """The tries that run, to be told to others. Any thread may ask."""
        return self._bodies.tell() if self._bodies is not None else []

    def has_untold(self, began_before: int) -> bool:
        """Whether a try runs that nobody was told of, though it began before this time. Any thread may ask."""
        return self._bodies is not None and self._bodies.untold(began_before)

    def drain(self) -> None:
        """Let running steps end, then hand the flow back."""
        self._draining = True
        self._wake.call()

    async def run(self) -> Resident | None:
        """Run the flow; the machine, if it may be kept in memory. Raises StoreError when the store fails for good."""
        kept: Resident | None = None
        try:
            kept = await self._run()
        except LeaseLost:
            log.info("lease lost on flow %s", self.claim.lease.flow, extra={"flow_id": self.claim.lease.flow})
        finally:
            self._wake.close()
            if self._bodies is not None:
                self._bodies.close()
            self._evict(kept)
        return kept

    # --- the loop
    async def _run(self) -> Resident | None:
        claim = self.claim
        if claim.deaths >= CRASH_LOOP:
            fault = Fault(
                FaultKind.CRASH_LOOP, f"the flow took down its worker {claim.deaths} times while it ran alone"
            )
            await self._block(fault)
            return None
        try:
            machine = self._machine = await self._load()
            bodies = self._bodies = self._step_bodies(machine)
            return await self._drive(machine, bodies)
        except Fault as fault:
            await self._block(fault)
            return None

    async def _drive(self, machine: FlowMachine, bodies: StepBodies) -> Resident | None:
        while True:
            self._fence()
            self._wake.forget()
            begun = machine.begun
            full = begun and self._engine.cap.reached(self._entries)
            if begun:
                bodies.look(start=not (self._draining or full))
            if full and self._nothing_to_record(machine, bodies):
                raise self._engine.cap.fault(self._entries)
            situation = self._situation(bodies, full=full)
            decision = decide(machine, situation)
            match decision:
                case Draft():
                    records = await self._write(decision)
                    if decision.release:
                        return self._keep(machine, records, decision)
                    await self._turn(machine, partial(machine.feed, records))
                case Begin():
                    started = Started("", 0, self.claim.seed, self.claim.version, ENGINE, PYTHON)
                    await self._turn(machine, partial(machine.begin, started))
                case End():
                    ending = self._ending(machine)
                    await self._write(finish(machine, situation, ending))
                    self._log_end(ending)
                    return None
                case Park(until):
                    await self._park(until)
                case _:
                    assert_never(decision)

    @property
    def _entries(self) -> int:
        """How many entries this life has."""
        return self._length - self.claim.base

    def _nothing_to_record(self, machine: FlowMachine, bodies: StepBodies) -> bool:
        """Whether no step runs or has just ended, nobody cancels the flow, and its code has not ended."""
        cancelled = any(message.channel == CANCEL for message in self._mail)
        return not (bodies.busy or bodies.results or cancelled or machine.done)

    def _situation(self, bodies: StepBodies, *, full: bool) -> Situation:
        return Situation(
            clock=self._clock(),
            mail=self._mail,
            results=tuple(bodies.results) if bodies.results else (),
            busy=bodies.busy,
            draining=self._draining,
            full=full,
            beat=bodies.beat,
        )

    def _keep(self, machine: FlowMachine, records: list[Recorded], draft: Draft) -> Resident | None:
        if not draft.resident:
            return None
        machine.feed(records)  # markers only: no flow code runs
        return Resident(machine, self._head, self._length, self._commits, self._size)

    async def _park(self, until: int | None) -> None:
        if self._mail_is_stale:
            await self._fetch_mail()
            return
        left = self.held.left(self._engine.boot())
        if until is not None:
            left = min(left, (until - self._clock()) / 1000)
        await self._wake.wait(max(left, 0.001))

    async def _fetch_mail(self) -> None:
        self._mail_is_stale = False
        sent = self._engine.boot()
        try:
            mail = await self._engine.store.extend([self.held.lease], self._engine.lease)
        except StoreUnavailable:
            self._mail_is_stale = True
            await asyncio.sleep(0.1)
            return
        found = mail.get(self.held.lease.flow)
        if found is None:
            raise LeaseLost(self.held.lease.flow)
        self.held.renewed(sent)
        self._mail = found

    # --- loading
    async def _load(self) -> FlowMachine:
        claim, resident = self.claim, self._resident
        if resident is not None and resident.head == claim.head:
            self._length, self._commits, self._size = resident.length, resident.commits, resident.size
            self._resident = None
            return resident.machine
        history = History(await load_journal(self._read, claim.base, claim.length), claim.started)
        self._commits = history.commits
        try:
            definition = self._engine.find(claim.type, claim.version)
        except KeyError as error:  # it came by its lane, which belongs to another type
            said = f"the store calls it a flow of type {claim.type!r}, in the lane of another; see: ergon store check"
            raise Fault(FaultKind.UNREADABLE, said) from error
        if (reason := reason_against(claim.args)) is not None:
            raise Fault(FaultKind.UNREADABLE, f"the stored arguments cannot be read: {reason}")
        try:
            args = claim.args.decode()
        except UnicodeDecodeError as error:
            raise Fault(FaultKind.UNREADABLE, f"the stored arguments are no text: {error}") from error
        machine = FlowMachine(
            claim.lease.flow,
            definition.start,
            history,
            seed=claim.seed,
            args=args,
            report=self._report,
        )
        machine.open.heartbeats.restore(claim.note, machine.life)
        return machine

    async def _read(self, start: int, limit: int) -> list[bytes]:
        rows = await self._send(lambda: self._engine.store.journal(self.claim.lease.flow, start, limit))
        self._size += size_of(rows)
        return rows

    def _step_bodies(self, machine: FlowMachine) -> StepBodies:
        engine = self._engine
        return StepBodies(
            machine,
            worker=engine.worker,
            token=self.held.lease.token,
            pool=engine.pool,
            grace=engine.grace,
            clock=self._clock,
            spread=engine.spread,
            wake=self._wake.call,
            safe=lambda: self.held.safe(engine.boot()),
        )

    # --- writing
    async def _write(self, draft: Draft) -> list[Recorded]:
        """Commit a draft. Raises Fault for a child's id that is taken, LeaseLost."""
        number = self._commits + 1
        records = [Recorded(self._length + n, number, entry) for n, entry in enumerate(draft.entries)]
        commit = draft.commit(
            self._engine.new_id(),
            self.held.lease,
            predecessor=self._head,
            start=self._length,
            number=number,
            lease_length=self._engine.lease,
        )
        try:
            reply = await self._send(lambda: self._engine.store.commit(commit))
        except Conflict as error:
            raise Fault(FaultKind.CONFLICT, f"child {error.flow_id} exists already, as another flow") from error
        self._applied(draft, commit, reply)
        return records

    def _applied(self, draft: Draft, commit: Commit, reply: CommitReply) -> None:
        self._head, self._length = commit.id, self._length + len(commit.entries)
        self._size += size_of(commit.entries)
        self._engine.cap.watch(self.claim.lease.flow, self.claim.base, self._entries)
        if self._machine is not None:
            self._machine.open.tell(draft.waits, draft.dropped)
        self._commits += bool(commit.entries)
        self._floor = max(self._floor, reply.now)
        self._mail = reply.mail
        if self._bodies is not None:
            self._bodies.committed(draft)
        if not reply.held and not draft.release:
            raise LeaseLost(self.held.lease.flow)

    async def _send(self, send: Callable[[], Awaitable[T]]) -> T:
        """Send until it is answered or the lease may be over; sends are idempotent (C1).

        The lease counts from the first send: that one may be what was applied, though a later one was answered (C6).
        """
        delay, sent = 0.02, self._engine.boot()
        while True:
            self._fence()
            try:
                reply = await send()
            except StoreUnavailable as error:
                log.info("store unavailable, trying again: %s", error)
                await asyncio.sleep(min(delay, max(0.0, self.held.left(self._engine.boot()))))
                delay = min(1.0, delay * 2)
                continue
            if isinstance(reply, CommitReply) and reply.held:
                self.held.renewed(sent)
            return reply

    async def _block(self, fault: Fault) -> None:
        """Give the flow back as blocked, with the reason. Nothing that is not committed yet is kept."""
        flow = self.claim.lease.flow
        draft = block(self._machine, self._clock(), fault, self._engine.fingerprint, self.claim.note)
        await self._write(draft)
        log.warning("flow %s is blocked (%s): %s", flow, fault.kind, fault.message, extra={"flow_id": flow})

    def _ending(self, machine: FlowMachine) -> Ending:
        task = machine.main
        if task is None or task.cancelled():  # without one, it was cancelled before its life began
            return Outcome(Status.CANCELLED)
        error = task.exception()
        definition = self._engine.find(self.claim.type, self.claim.version)
        if isinstance(error, ContinueAsNew):
            return ContinueFlow(error.new_args)
        if error is None:
            try:
                return Outcome(Status.COMPLETED, value=definition.encode_result(task.result()))
            except CodecError as unfit:
                error = unfit
        text = encode_error(error)
        if definition.retry.allows(error, machine.attempt) and not machine.was_cancelled:
            delay = definition.retry.wait(error, machine.attempt, self._engine.spread())
            return RetryFlow(text, delay, definition.keep)
        return Outcome(Status.FAILED, error=text)

    # --- small things
    def _clock(self) -> int:
        """The time, never below what the store has said (P6)."""
        return max(self._engine.clock(), self._floor)

    def _fence(self) -> None:
        if not self.held.safe(self._engine.boot()):
            raise LeaseLost(self.held.lease.flow)

    async def _turn(self, machine: FlowMachine, work: Callable[[], None]) -> None:
        """Run flow code, and warn when it takes long."""
        took = 0.0

        def timed() -> None:  # not around the callback, which may wait for other flows' turns
            nonlocal took
            began = time.perf_counter()
            work()
            took = time.perf_counter() - began

        await in_callback(timed)
        if took > SLOW_TURN:
            log.warning("flow %s ran %.1f s without awaiting, at %s", machine.id, took, machine.where())

    def _evict(self, kept: Resident | None) -> None:
        """End the machines that are dropped: this run's unless it is kept, and an earlier one that was stale."""
        stale = self._resident.machine if self._resident else None
        for machine in {stale, None if kept else self._machine}:
            if machine is not None:
                evict(machine)

    def _report(self, context: dict[str, Any]) -> None:
        flow = self.claim.lease.flow
        log.warning("in flow %s: %s", flow, context.get("message"), exc_info=context.get("exception"))

    def _log_end(self, ending: Ending) -> None:
        flow = self.claim.lease.flow
        match ending:
            case Outcome():
                level = logging.DEBUG if ending.error is None else logging.WARNING
                log.log(level, "flow %s %s%s", flow, ending.status, _reason(ending.error), extra={"flow_id": flow})
            case RetryFlow():
                said = _reason(ending.error)
                log.info("flow %s failed%s, next try in %d ms", flow, said, ending.delay, extra={"flow_id": flow})
            case ContinueFlow():
                log.info("flow %s continues as new", flow, extra={"flow_id": flow})
            case _:
                assert_never(ending)


def _reason(error: str | None) -> str:
    if error is None:
        return ""
    view = describe_error(error)
    return f": {view.type}: {view.message}"
