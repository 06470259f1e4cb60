"""One flow driven by hand: the core's machine and decisions, a list for a journal, a clock that only tests move.

Steps take `durations[key]` milliseconds of the clock (default 0) and run their own bodies; a body asked to stop takes
`durations["stop"]`. Child flows end as `children` says; signals and cancels arrive when told. `run` goes on until the
flow has ended, or waits for what never comes.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any

from ergon_runtime.codec import UNHINTED, decode_error, encode_error, for_hint
from ergon_runtime.core.decide import (
    Begin,
    ContinueFlow,
    Draft,
    End,
    Ending,
    Park,
    RetryFlow,
    Situation,
    decide,
    finish,
)
from ergon_runtime.core.entries import (
    AttemptFailed,
    Entry,
    Outcome,
    Recorded,
    Started,
    StepBegun,
    StepEnded,
    StepStopped,
    pack,
    unpack,
)
from ergon_runtime.core.flows import CANCEL, Message, Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, ContinueAsNew, FlowMachine
from ergon_runtime.core.operations import StepOp
from ergon_runtime.definitions import StepCall, flow_value
from ergon_runtime.primitives import StepInfo, current_step

START = 1_700_000_000_000
"""The clock when a flow begins, in milliseconds."""


class Drive:
    """Drives one flow. `children` maps a flow type to a result, an exception, or a function of the argument text."""

    def __init__(
        self,
        flow: object,
        *,
        journal: list[bytes] | None = None,
        durations: Mapping[str, int] | None = None,
        children: Mapping[str, Any] | None = None,
        ended: bool = False,
        clock: int = START,
    ) -> None:
        self.value = flow_value(flow)
        self.definition = self.value.definition
        self.args = self.definition.encode_arguments(self.value)
        self.journal: list[bytes] = list(journal or [])
        self.durations, self.children = durations or {}, children or {}
        self.clock, self.ended = clock, ended
        self.ran: list[str] = []
        """Keys of the step bodies that ran."""
        self.created: list[str] = []
        self.sent: list[tuple[str | None, str]] = []
        self.aside: list[str] = []
        self.reports: list[dict[str, Any]] = []
        self.delivered: list[tuple[str, str]] = []
        self.outcome: Outcome | None = None
        self.waits: frozenset[str] = frozenset()
        self._mail: list[Message] = []
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._results: list[StepEnded | StepStopped | AttemptFailed] = []
        self._live: dict[str, StepOp] = {}
        self._to_begin: list[StepOp] = []
        self._serial = 0
        self.machine = self._load()

    # --- what the test does to the flow
    def signal(self, name: str, payload: object = None, *, at: int = 0) -> Drive:
        """Send a signal `at` milliseconds after the start."""
        text = for_hint(UNHINTED).encode(payload, "payload")
        self._at(START + at, lambda: self._post(f"signal:{name}", text))
        return self

    def cancel(self, *, at: int = 0) -> Drive:
        self._at(START + at, lambda: self._post(CANCEL, "null"))
        return self

    def run(self) -> Drive:
        """Go on to the end, or until the flow waits for what never comes. Raises Fault."""
        try:
            while self._turn():
                pass
        except BaseException:
            self.machine.evict()
            raise
        return self

    def result(self) -> Any:
        """Run the flow and give its result, or raise its error."""
        outcome = self.outcome or self.run().outcome
        assert outcome is not None, f"the flow waits: {self.waits}"
        if outcome.status is Status.CANCELLED:
            raise asyncio.CancelledError
        if outcome.error is not None:
            raise decode_error(outcome.error)
        assert outcome.value is not None
        return self.definition.decode_result(outcome.value)

    def replayed(self) -> Any:
        """The result of a fresh machine over the journal of this one; none of its steps may run."""
        again = Drive(self.value, journal=self.journal, ended=True, clock=self.clock)
        try:
            result = again.result()
        finally:
            assert again.ran == []
            assert again.journal == self.journal
        return result

    def kinds(self) -> list[str]:
        """The journal in short: `kind key` of each entry."""
        return [f"{entry.kind} {entry.key}".strip() for entry in self.entries()]

    def entries(self) -> list[Entry]:
        return [unpack(row, seq).entry for seq, row in enumerate(self.journal)]

    def evict(self) -> None:
        self.machine.evict()

    # --- the loop
    def _load(self) -> FlowMachine:
        history = History([unpack(row, seq) for seq, row in enumerate(self.journal)], START)
        self._commits = history.commits
        return FlowMachine(
            "f1",
            self.definition.start,
            history,
            seed="seed",
            args=self.args,
            ended=self.ended,
            observer=lambda how, key, now: self.delivered.append((how, key)),
            report=self.reports.append,
        )

    def _turn(self) -> bool:
        machine = self.machine
        if machine.begun:
            self._look()
        situation = Situation(self.clock, tuple(self._mail), tuple(self._results), bool(self._live or self._to_begin))
        if self.ended and machine.begun and not machine.done:
            return False
        match decide(machine, situation):
            case Draft() as draft:
                records = self._commit(draft)
                if draft.status.ended:
                    self.outcome = Outcome.unpack(draft.result or b"")
                    return False
                Context().run(machine.feed, records)
                return not draft.release or self._wait(draft.due)
            case Begin():
                version = f"{sys.version_info[0]}.{sys.version_info[1]}"
                Context().run(machine.begin, Started("", START, "seed", self.definition.version, ENGINE, version))
                return True
            case End():
                return self._end(finish(machine, situation, self._ending()))
            case Park(until=until):
                return self._wait(until)

    def _end(self, draft: Draft) -> bool:
        if self.ended:  # a replay writes nothing
            self.outcome = Outcome.unpack(draft.result or b"")
            self.machine.evict()
            return False
        self._commit(draft)
        self.machine.evict()
        if draft.status.ended:
            self.outcome = Outcome.unpack(draft.result or b"")
            return False
        self._live.clear()
        self._results.clear()
        self.machine = self._load()
        return self._wait(draft.due)

    def _commit(self, draft: Draft) -> list[Recorded]:
        assert not self.ended, f"a replay wants to write {draft.entries}"
        self._commits += bool(draft.entries)
        start = len(self.journal)
        self.journal += [pack(entry, self._commits) for entry in draft.entries]
        self._mail = [message for message in self._mail if message.id not in (*draft.consumed, *draft.aside)]
        self.aside += draft.aside
        del self._results[: draft.results]
        self.machine.open.tell(draft.waits, draft.dropped)
        self.waits = draft.waits if draft.dropped is None else (self.waits - draft.dropped) | draft.waits
        for child in draft.creates:
            self.created.append(child.id)
            self._begin_child(child.id, child.type, child.args.decode())
        for send in draft.sends:
            self.sent.append((send.to, send.message.channel))
        return [unpack(row, start + n) for n, row in enumerate(self.journal[start:])]

    def _ending(self) -> Ending:
        task = self.machine.main
        assert task is not None
        if task.cancelled():
            return Outcome(Status.CANCELLED)
        error = task.exception()
        if isinstance(error, ContinueAsNew):
            return ContinueFlow(error.new_args)
        if error is None:
            return Outcome(Status.COMPLETED, value=self.definition.encode_result(task.result()))
        text, retry = encode_error(error), self.definition.retry
        if retry.allows(error, self.machine.attempt) and not self.machine.was_cancelled:
            return RetryFlow(text, retry.delay(self.machine.attempt), self.definition.keep)
        return Outcome(Status.FAILED, error=text)

    # --- time
    def _at(self, when: int, what: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._later, (when, self._serial, what))

    def _wait(self, due: int | None) -> bool:
        """Move the clock to what comes next; False if nothing does."""
        moments = [moment for moment in (due, self._later[0][0] if self._later else None) if moment is not None]
        if not moments:
            return False
        self.clock = max(self.clock, min(moments))
        while self._later and self._later[0][0] <= self.clock:
            heapq.heappop(self._later)[2]()
        return True

    def _post(self, channel: str, body: str) -> None:
        self._serial += 1
        self._mail.append(Message(f"m{self._serial}", channel, body.encode()))

    def _begin_child(self, child: str, type_: str, args: str) -> None:
        if type_ not in self.children:
            return
        told = self.children[type_]
        end = told(args) if callable(told) else told
        if isinstance(end, BaseException):
            outcome = Outcome(Status.FAILED, error=encode_error(end))
        elif isinstance(end, Outcome):
            outcome = end
        else:
            outcome = Outcome(Status.COMPLETED, value=for_hint(UNHINTED).encode(end, "result"))
        body = outcome.pack().decode()
        self._at(self.clock + self.durations.get(type_, 0), lambda: self._post(f"child:{child}", body))

    # --- steps
    def _look(self) -> None:
        operations = self.machine.open
        to_begin, self._to_begin = self._to_begin, []
        for op in to_begin:
            if any(isinstance(marker, StepBegun) and marker.key == op.key for marker in self.machine.markers):
                self._to_begin.append(op)
            else:
                self._start(op)
        for op in operations.take_asked():
            self._consider(op)
        for op in operations.take_retries(self.clock):
            self._consider(op)
        for op in operations.take_stops():
            self._at(self.clock + self.durations.get("stop", 0), lambda op=op: self._stopped(op))

    def _stopped(self, op: StepOp) -> None:
        self._live.pop(op.key, None)
        self._results.append(StepStopped(op.key, 0, op.digest, op.name, op.args, 1, self.clock, "w"))

    def _consider(self, op: StepOp) -> None:
        failure = self.machine.open.failures.get(op.key)
        if op.key in self._live or op.stopping:
            return
        if self.machine.outcome_unknown(op):
            text = encode_error(RuntimeError("unknown"))
            self._results.append(
                StepEnded(op.key, 0, op.digest, op.name, op.args, None, text, 1, None, self.clock, "w", unknown=True)
            )
        elif failure is not None and failure.due > self.clock:
            return
        elif op.at_most_once and ("begun", op.key) not in self.machine.marks:
            self.machine.begin_step(op)
            self._to_begin.append(op)
        else:
            self._start(op)

    def _start(self, op: StepOp) -> None:
        self._live[op.key] = op
        self._at(self.clock + self.durations.get(op.key, 0), lambda: self._finish(op))

    def _finish(self, op: StepOp) -> None:
        if self._live.get(op.key) is not op or op.stopping:
            return
        del self._live[op.key]
        self.ran.append(op.key)
        failure = self.machine.open.failures.get(op.key)
        attempt = failure.attempt + 1 if failure else 1
        call = op.call
        assert isinstance(call, StepCall)
        value: str | None = None
        error: str | None = None
        try:
            info = StepInfo("f1", op.key, attempt, f"f1:{self.machine.epoch}:{op.key}", "token")
            value = call.definition.encode_result(run_body(call, info))
        except Exception as raised:  # the step's own error, whatever it is
            error = encode_error(raised)
            policy = call.definition.retry
            if policy.allows(raised, attempt):
                due = self.clock + policy.delay(attempt)
                self._results.append(
                    AttemptFailed(
                        op.key, 0, op.digest, op.name, op.args, attempt, due, error, self.clock, self.clock, "w"
                    )
                )
                return
        self._results.append(
            StepEnded(op.key, 0, op.digest, op.name, op.args, value, error, attempt, self.clock, self.clock, "w")
        )


def run_body(call: StepCall, info: StepInfo) -> Any:
    """Run a step's body in a context of its own, as a worker does."""

    def run() -> Any:
        current_step.set(info)
        work = call.bound()
        return asyncio.run(work()) if call.definition.is_async else work()

    return Context().run(run)
