"""A flow and its shell, in memory: what the tests of the core drive machines with.

`Flow` owns a journal, a clock and the mail, asks `decide` what to do and does it. No step body runs: a test ends steps
itself (`end`, `fail`, `stop`, ...), or lets `play` answer them by `answer` after `latency`. The journal goes through
its stored form whenever a machine is loaded. Flow code asks by the functions of asks.py.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ergon_runtime.core.decide import (
    Begin,
    ContinueFlow,
    Draft,
    End,
    Ending,
    Park,
    RetryFlow,
    Situation,
    StepEntry,
    decide,
    finish,
)
from ergon_runtime.core.entries import (
    AttemptFailed,
    Outcome,
    Recorded,
    Started,
    StepEnded,
    StepStopped,
    pack,
    unpack,
)
from ergon_runtime.core.faults import Fault
from ergon_runtime.core.flows import CANCEL, Message, Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ContinueAsNew, FlowMachine
from ergon_runtime.core.operations import StepOp

START = 1_000_000
"""The time of the first claim, in milliseconds."""

Code = Callable[[], Coroutine[Any, Any, object]]
Delivery = tuple[str, str, int]


# --- answers of `play`
@dataclass(frozen=True)
class Fails:
    """A step's error; with `again`, one that is followed by another try after so many milliseconds."""

    error: str = "boom"
    again: int | None = None


Answer = Callable[[str, int], object]
"""From a key and a try's number to a value, or Fails."""


def echo(key: str, attempt: int) -> object:
    return f"did {key}"


class Flow:
    """One flow. After each commit its machine has been fed; `drafts` holds all commits, `outcome` how it ended.

    `clock` is moved by the test, or by `play`. A flow that is released (`WAITING`) keeps its machine, as a worker does.
    """

    def __init__(
        self,
        code: Code,
        journal: Iterable[Recorded] = (),
        *,
        answer: Answer = echo,
        latency: Callable[[str], int] = lambda key: 10,
        retries: int = 0,
        keep: bool = True,
        ended: bool = False,
        seed: str = "seed",
        limit: int = 100,
    ) -> None:
        self.code, self.answer, self.latency, self.retries, self.keep = code, answer, latency, retries, keep
        self.seed, self.ended, self.limit = seed, ended, limit
        self.clock = START
        self.journal: list[Recorded] = list(journal)
        self.base = 0
        self.mail: list[Message] = []
        self.drafts: list[Draft] = []
        self.outcome: Outcome | None = None
        self.reports: list[dict[str, Any]] = []
        self.delivered: list[Delivery] = []
        self.created: list[str] = []
        self.waits: frozenset[str] = frozenset()
        """The channels that the commits have left the flow waiting on."""
        self._sent = 0
        self._machine: FlowMachine | None = None
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        flows.append(self)
        self.load()

    # --- life
    @property
    def machine(self) -> FlowMachine:
        assert self._machine is not None
        return self._machine

    @property
    def result(self) -> Any:
        """The value of a completed flow."""
        assert self.outcome is not None
        assert self.outcome.status is Status.COMPLETED, self.outcome
        return json.loads(self.outcome.value or "null")

    def load(self) -> Flow:
        """Drop the machine, with the step bodies, and load the journal into a new one."""
        self.close()
        self.results: list[StepEntry] = []
        self.running: dict[str, StepOp] = {}
        self.delivered = []
        records = [unpack(pack(r.entry, r.commit), r.seq) for r in self.journal[self.base :]]
        self._machine = FlowMachine(
            "f",
            lambda args: self.code(),
            History(records, START),
            seed=self.seed,
            args="null",
            ended=self.ended,
            observer=lambda how, key, now: self.delivered.append((how, key, now)),
            report=self.reports.append,
        )
        return self

    def close(self) -> None:
        if self._machine is not None:
            self._machine.evict()

    def begin(self) -> Flow:
        """Run the machine through what is recorded. Raises Fault."""
        self.machine.begin(Started("", 0, self.seed, None, 1, "3"))
        return self

    # --- one decision
    def decide(self) -> Draft | Begin | Park | End:
        """What is to be done now; nothing is done."""
        self._look()
        return decide(self.machine, self.situation())

    def situation(self) -> Situation:
        return Situation(self.clock, tuple(self.mail), tuple(self.results), bool(self.running), limit=self.limit)

    def go(self) -> Flow:
        """Do what is to be done until there is nothing. Raises Fault."""
        while self.outcome is None and self._act():
            pass
        return self

    def _act(self) -> bool:
        match self.decide():
            case Begin():
                self.begin()
            case Park():
                return False
            case End():
                self.apply(finish(self.machine, self.situation(), self._ending()))
            case Draft() as draft if draft.resident and self.drafts and self._says_nothing_new(draft):
                return False  # suspended already
            case Draft() as draft:
                self.apply(draft)
                return not draft.resident
        return True

    def apply(self, draft: Draft) -> None:
        """Commit a draft, and let the machine have it."""
        number = self.commits + bool(draft.entries)
        records = [Recorded(len(self.journal) + n, number, entry) for n, entry in enumerate(draft.entries)]
        self.journal += records
        self.drafts.append(draft)
        self.machine.open.tell(draft.waits, draft.dropped)
        self.waits = draft.waits if draft.dropped is None else (self.waits - draft.dropped) | draft.waits
        del self.results[: draft.results]
        self.mail = [m for m in self.mail if m.id not in draft.consumed and m.id not in draft.aside]
        for new in draft.creates:
            self.created.append(new.id)
            self._later(self.latency(new.id), lambda id_=new.id: self.child_end(id_, self.answer(id_, 1)))
        if draft.status.ended:
            self.outcome = Outcome.unpack(draft.result or b"")
        elif draft.rebase or (draft.release and not draft.resident):
            self.base = len(self.journal) - 1 if draft.rebase else self.base
            self.load()
            self.clock = max(self.clock, draft.due or 0)
        else:
            self.machine.feed(records)

    def _says_nothing_new(self, draft: Draft) -> bool:
        return draft == replace(self.drafts[-1], waits=frozenset(), dropped=frozenset(), entries=())

    @property
    def commits(self) -> int:
        return self.journal[-1].commit if self.journal else 0

    def _ending(self) -> Ending:
        main, machine = self.machine.main, self.machine
        assert main is not None
        if main.cancelled():
            return Outcome(Status.CANCELLED)
        error = main.exception()
        if error is None:
            return Outcome(Status.COMPLETED, json.dumps(main.result()))
        if isinstance(error, ContinueAsNew):
            return ContinueFlow(error.new_args)
        if machine.attempt <= self.retries and not machine.was_cancelled:
            return RetryFlow(repr(error), 1000, self.keep)
        return Outcome(Status.FAILED, error=f"{type(error).__name__}: {error}")

    # --- step bodies: asked for, ended by the test
    def _look(self) -> None:
        machine = self.machine
        if not machine.begun:
            return
        for op in [*machine.open.take_asked(), *machine.open.take_retries(self.clock)]:
            self._consider(op)
        for op in machine.open.take_stops():
            if op.key not in self.running and not any(r.key == op.key and r.kind != "attempt" for r in self.results):
                self.stop(op)

    def _consider(self, op: StepOp) -> None:
        machine = self.machine
        failure = machine.open.failures.get(op.key)
        if op.stopping or (failure is not None and failure.due > self.clock):
            return
        if machine.outcome_unknown(op):
            self.results.append(replace(self._ended(op), value=None, error="unknown", unknown=True))
            return
        if op.at_most_once and ("begun", op.key) not in machine.marks:
            machine.begin_step(op)
        self.running[op.key] = op
        self._later(self.latency(op.key), lambda: self._answer(op))

    def _answer(self, op: StepOp) -> None:
        if self.running.get(op.key) is not op:
            return
        failure = self.machine.open.failures.get(op.key)
        if op.stopping:
            self.stop(op)
            return
        match self.answer(op.key, failure.attempt + 1 if failure else 1):
            case Fails(error, None):
                self.fail(op.key, error)
            case Fails(error, int(again)):
                self.try_failed(op.key, again, error)
            case value:
                self.end(op.key, value)

    def _ended(self, op: StepOp) -> StepEnded:
        failure = self.machine.open.failures.get(op.key)
        tries = failure.attempt + 1 if failure else 1
        return StepEnded(op.key, 0, op.digest, op.name, op.args, "null", None, tries, START, self.clock, "w")

    def end(self, key: str, value: object = None) -> Flow:
        """A running step has given a value; it is committed by the next `go`."""
        self.results.append(replace(self._ended(self.running.pop(key)), value=json.dumps(value)))
        return self

    def fail(self, key: str, error: str = "boom") -> Flow:
        self.results.append(replace(self._ended(self.running.pop(key)), value=None, error=error))
        return self

    def try_failed(self, key: str, again: int, error: str = "boom") -> Flow:
        """A try of a running step failed, and the next is due in `again` milliseconds."""
        op, clock = self.running.pop(key), self.clock
        tries = self._ended(op).attempts
        due = clock + again
        self.results.append(
            AttemptFailed(key, 0, op.digest, op.name, op.args, tries, due, error, START, clock, "w"),
        )
        return self

    def stop(self, op: StepOp | str) -> Flow:
        """The body of a step that was asked to stop has ended so."""
        if isinstance(op, str):
            op = self.running[op]
        self.running.pop(op.key, None)
        self.results.append(StepStopped(op.key, 0, op.digest, op.name, op.args, 1, START, "w"))
        return self

    # --- mail
    def signal(self, name: str, value: object = None) -> Flow:
        return self._post(f"signal:{name}", json.dumps(value).encode())

    def cancel(self) -> Flow:
        return self._post(CANCEL, b"null")

    def child_end(self, child_id: str, answer: object = None) -> Flow:
        failed = isinstance(answer, Fails)
        end = Outcome(Status.FAILED, error="boom") if failed else Outcome(Status.COMPLETED, json.dumps(answer))
        return self._post(f"child:{child_id}", end.pack())

    def _post(self, channel: str, body: bytes) -> Flow:
        self._sent += 1
        self.mail.append(Message(f"m{self._sent}", channel, body))
        return self

    # --- by itself
    def _later(self, delay: int, event: Callable[[], None]) -> None:
        self._sent += 1
        heapq.heappush(self._events, (self.clock + delay, self._sent, event))

    def wait(self, milliseconds: int) -> Flow:
        """Let time pass, then `go`. Steps do not end by themselves."""
        self.clock += milliseconds
        return self.go()

    def play(self, stop: int | None = None) -> Flow:
        """Run on, answering by itself, until the flow ends or stands still; or stop after so many commits in all."""
        while self.outcome is None and (stop is None or len(self.drafts) < stop):
            if not self._act() and not self._pass_time():
                break
        return self

    def _pass_time(self) -> bool:
        due = self.machine.open.due()
        if self._events and (due is None or self._events[0][0] <= due):
            self.clock = max(self.clock, self._events[0][0])
            while self._events and self._events[0][0] <= self.clock:
                heapq.heappop(self._events)[2]()
            return True
        if due is None:
            return False
        self.clock = max(self.clock, due)
        return True

    # --- what the journal says
    def keys(self, *kinds: str) -> list[str]:
        """The keys recorded, in order: of these kinds, or of all that are delivered."""
        kinds = kinds or ("step", "stopped", "timer", "signal", "child", "cancel")
        return [r.entry.key for r in self.journal if r.entry.kind in kinds]

    def kinds(self) -> list[str]:
        return [r.entry.kind for r in self.journal]


flows: list[Flow] = []
"""Every flow of the test that runs; the fixture of conftest.py closes them."""


def started(code: Code, **options: Any) -> Flow:
    """A flow that has done what it can do at once."""
    return Flow(code, **options).go()


def replayed(code: Code, journal: Sequence[Recorded], **options: Any) -> Flow:
    """A flow of this journal, run through what is recorded. Raises Fault."""
    return Flow(code, journal, **options).begin()


def fault_of(run: Callable[[], object]) -> Fault:
    """The fault that `run` raises."""
    try:
        run()
    except Fault as fault:
        return fault
    raise AssertionError("no fault")
