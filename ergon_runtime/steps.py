"""The bodies of one flow's steps: started, timed, stopped, and their ends turned into journal entries.

T2  A failed try and its next due time become an entry; the next try is started when that is due, by whoever owns the
    flow.
T3  A body asked to stop is cancelled; when it has ended, or after a grace time, the step is over. A sync body cannot be
    cancelled, so only the grace time counts.
    What still waits for a thread then never starts.
T4  A result that cannot be stored fails the step at once, and is not tried again: its effect has happened.
C6  No body starts past two thirds of the lease, however long it has waited for a thread.
T5  An at-most-once body starts only after its start is in the journal.
T6  A heartbeat is kept with the machine, and told by the flow's next commit; by one of its own once a second at most.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from ergon_runtime.codec import UNHINTED, encode_error, for_hint
from ergon_runtime.core.decide import StepEntry
from ergon_runtime.core.doing import RunningStep
from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.entries import AttemptFailed, StepBegun, StepEnded, StepStopped
from ergon_runtime.core.heartbeats import Heartbeat
from ergon_runtime.core.history import idempotency_key
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.operations import StepOp
from ergon_runtime.definitions import StepCall
from ergon_runtime.errors import CodecError, OutcomeUnknown
from ergon_runtime.primitives import StepInfo, current_heartbeat, current_step
from ergon_runtime.timeouts import TryTimeout

log = logging.getLogger(__name__)

_UNLIMITED = nullcontext()
PAUSE = 1.0
"""Seconds between two commits of a flow that tell nothing but heartbeats."""


class _Fenced(Exception):
    """The body was not started: it was asked to stop before, or the lease may be over."""


class Body:
    """One running try of a step."""

    __slots__ = ("alarm", "attempt", "call", "late", "limit", "op", "started", "stop_asked", "task", "told", "unheard")

    def __init__(self, op: StepOp, call: StepCall, attempt: int, started: int) -> None:
        self.op, self.call, self.attempt, self.started = op, call, attempt, started
        self.limit = TryTimeout(call.definition.timeout, call.definition.heartbeat_timeout)
        self.task: asyncio.Task[Any] | None = None
        self.stop_asked = self.late = self.told = False
        self.alarm: asyncio.TimerHandle | None = None
        self.unheard: tuple[str | None] | None = None
        """What a thread has told and the loop not heard yet."""


class StepBodies:
    """Runs the steps that a machine asks for. `results` holds entries to commit; `wake` is called when one arrives."""

    def __init__(
        self,
        machine: FlowMachine,
        *,
        worker: str,
        token: str,
        pool: Executor | None,
        grace: float,
        clock: Callable[[], int],
        spread: Callable[[], float],
        wake: Callable[[], None],
        safe: Callable[[], bool],
    ) -> None:
        self.results: list[StepEntry] = []
        self._machine, self._worker, self._token, self._pool, self._grace = machine, worker, token, pool, grace
        self._clock, self._spread, self._wake, self._safe = clock, spread, wake, safe
        self._bodies: dict[str, Body] = {}
        self._to_begin: list[StepOp] = []
        self._live = 0
        self._pause: asyncio.TimerHandle | None = None
        self._telling = threading.Lock()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a body runs that the flow still waits for, or one is about to."""
        return bool(self._to_begin) or self._live > 0

    @property
    def beat(self) -> bool:
        """Whether heartbeats are worth a commit of their own."""
        return self._pause is None and self._machine.open.heartbeats.untold

    def tell(self) -> list[RunningStep]:
        """The tries that run, to be told to others. Any thread may ask."""
        found: list[RunningStep] = []
        for body in list(self._bodies.values()):
            if not body.late:
                body.told = True
                found.append(RunningStep(self._machine.id, self._machine.life, body.op.key, body.attempt, body.started))
        return found

    def untold(self, began_before: int) -> bool:
        """Whether a try runs that nobody was told of, though it began before this time. Any thread may ask."""
        bodies = list(self._bodies.values())
        return any(not (body.told or body.late) and body.started < began_before for body in bodies)

    def committed(self, draft: Draft) -> None:
        """A draft was committed: what is in it is not to be committed again."""
        del self.results[: draft.results]
        heartbeats = self._machine.open.heartbeats
        if heartbeats.untold:
            heartbeats.told(draft.heartbeats)
            if self._pause is not None:
                self._pause.cancel()
            self._pause = asyncio.get_running_loop().call_later(PAUSE, self._end_pause)

    def look(self, *, start: bool = True) -> None:
        """Start and stop what the machine now wants started and stopped. Without `start`, what it wants started later
        stays with the machine."""
        machine = self._machine
        if self._to_begin:
            self._begin()
        if start:
            for op in machine.open.take_asked():
                self._consider(op)
            for op in machine.open.take_retries(self._clock()):
                self._consider(op)
        if stops := machine.open.take_stops():
            ended = {entry.key for entry in self.results if not isinstance(entry, AttemptFailed)}
            for op in stops:
                self._stop(op, ended)

    def close(self) -> None:
        """Cancel every body and forget the results: the flow is no longer ours, or has ended."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        for body in self._bodies.values():
            if body.alarm is not None:
                body.alarm.cancel()
            if body.task is not None:
                body.task.cancel()
        self._bodies.clear()

    def _begin(self) -> None:
        """Start the steps that could not be started at once."""
        machine = self._machine
        to_begin, self._to_begin = self._to_begin, []
        uncommitted = {mark.key for mark in machine.markers if isinstance(mark, StepBegun)}
        for op in to_begin:
            if op.key in uncommitted:
                self._to_begin.append(op)  # its start is not committed yet
            elif machine.open.holds(op) and not op.stopping:
                self._start(op)

    def _consider(self, op: StepOp) -> None:
        machine = self._machine
        failure = machine.open.failures.get(op.key)
        if op.key in self._bodies or op.stopping:  # a stop is asked for apart
            return
        if machine.outcome_unknown(op):
            self._add(self._unknown(op))
        elif failure is not None and failure.due > self._clock():
            return
        elif op.at_most_once and ("begun", op.key) not in machine.marks:
            machine.begin_step(op)
            self._to_begin.append(op)
        else:
            self._start(op)

    def _start(self, op: StepOp) -> None:
        call = op.call
        assert isinstance(call, StepCall)
        failure = self._machine.open.failures.get(op.key)
        attempt = failure.attempt + 1 if failure else 1
        body = self._bodies[op.key] = Body(op, call, attempt, self._clock())
        self._live += 1
        context, loop = contextvars.copy_context(), asyncio.get_running_loop()
        context.run(current_step.set, self._info(op, attempt))
        context.run(current_heartbeat.set, partial(self._hear, loop, body))
        body.task = loop.create_task(self._run(body, context), context=context)

    def _info(self, op: StepOp, attempt: int) -> StepInfo:
        machine = self._machine
        once = idempotency_key(machine.id, machine.epoch, op.key)
        return StepInfo(machine.id, op.key, attempt, once, self._token, machine.attempt, self._last_detail(op))

    def _last_detail(self, op: StepOp) -> Any:
        """What an earlier try told last; None also for a stored detail that cannot be read."""
        last = self._machine.open.heartbeats.last(op.key, op.digest)
        if last is None or last.detail is None:
            return None
        try:
            return for_hint(UNHINTED).decode(last.detail, f"heartbeat of step {op.key}")
        except CodecError as error:
            log.warning("flow %s: step %s begins without its last heartbeat: %s", self._machine.id, op.key, error)
            return None

    async def _run(self, body: Body, context: contextvars.Context) -> None:
        definition, limit = body.call.definition, body.limit
        try:
            async with limit.guard or _UNLIMITED:
                if definition.is_async:
                    limit.begin()
                work = self._fenced(body, body.call.bound())
                value = await (work() if definition.is_async else self._in_thread(body, work, context))
            text = definition.encode_result(value)
        except asyncio.CancelledError as error:
            entry = self._stopped(body) if body.stop_asked else self._failed(body, error)
        except _Fenced:
            if not body.stop_asked:
                self._put_off(body)
                return
            entry = self._stopped(body)
        except (KeyboardInterrupt, GeneratorExit):
            raise  # these end the worker or the task, whatever runs in it
        except TimeoutError as error:
            entry = self._failed(body, limit.error(definition.name) if limit.expired else error)
        except BaseException as error:  # noqa: BLE001  the step boundary: what the body raises is its error
            entry = self._failed(body, error)
        else:
            entry = self._ended(body, value=text)
        self._over(body, entry)

    def _fenced(self, body: Body, work: Callable[[], Any]) -> Callable[[], Any]:
        """The body, which does not start once it was asked to stop, nor past the fence: a full pool or a stopped
        process may have kept it waiting."""

        def start() -> Any:
            if body.stop_asked or self._closed or not self._safe():
                raise _Fenced
            return work()

        return start

    def _put_off(self, body: Body) -> None:
        """A body that did not start: it does when the lease proves good after all."""
        if not self._closed and self._bodies.get(body.op.key) is body:
            del self._bodies[body.op.key]
            self._live -= 1
            self._to_begin.append(body.op)
            self._wake()

    async def _in_thread(self, body: Body, work: Callable[[], Any], context: contextvars.Context) -> Any:
        """Run a sync body in the pool. Its time limits count from when a thread has taken it."""
        loop = asyncio.get_running_loop()

        def call() -> Any:
            loop.call_soon_threadsafe(body.limit.begin)
            try:
                return work()
            except StopIteration as error:  # as in a coroutine; a future never ends by it
                raise RuntimeError("the step raised StopIteration") from error

        return await loop.run_in_executor(self._pool, context.copy().run, call)

    def _hear(self, loop: asyncio.AbstractEventLoop, body: Body, detail: str | None) -> None:
        """A body tells how far it is. However often a thread does, the loop hears the last of it, once a round."""
        if asyncio._get_running_loop() is loop:
            self._heard(body, detail)
            return
        with self._telling:
            before = body.unheard
            body.unheard = (before[0] if before is not None and detail is None else detail,)
        if before is None:
            with suppress(RuntimeError):  # the loop has ended before the thread
                loop.call_soon_threadsafe(self._hear_thread, body)

    def _hear_thread(self, body: Body) -> None:
        with self._telling:
            told, body.unheard = body.unheard, None
        if told is not None:
            self._heard(body, told[0])

    def _heard(self, body: Body, detail: str | None) -> None:
        """A body has told how far it is. One that was given up tells nothing."""
        op, open_ = body.op, self._machine.open
        if self._closed or body.late or self._bodies.get(op.key) is not body or not open_.holds(op):
            return
        body.limit.heard()
        open_.heartbeats.record(
            Heartbeat(op.key, op.digest, detail, body.attempt, self._worker, body.started, self._clock())
        )
        if self._pause is None:
            self._wake()

    def _end_pause(self) -> None:
        self._pause = None
        if self._machine.open.heartbeats.untold:
            self._wake()

    def _over(self, body: Body, entry: StepEntry) -> None:
        if self._closed or self._bodies.get(body.op.key) is not body:
            return
        if body.alarm is not None:
            body.alarm.cancel()
        del self._bodies[body.op.key]
        self._live -= not body.late
        if not (body.late and isinstance(entry, StepStopped)):
            self._add(entry)

    def _stop(self, op: StepOp, ended: set[str]) -> None:
        body = self._bodies.get(op.key)
        if body is None:
            if op.key not in ended:
                self._add(StepStopped(op.key, 0, op.digest, op.name, op.args, self._tries(op), None, self._worker))
            return
        if body.stop_asked:
            return
        body.stop_asked = True
        body.alarm = asyncio.get_running_loop().call_later(self._grace, self._give_up, body)
        if body.call.definition.is_async and body.task is not None:
            body.task.cancel()

    def _give_up(self, body: Body) -> None:
        """The grace time is over: the step counts as stopped, whatever its body still does."""
        if not self._closed and self._bodies.get(body.op.key) is body:
            body.late = True
            self._live -= 1
            self._add(self._stopped(body))

    def _tries(self, op: StepOp) -> int:
        failure = self._machine.open.failures.get(op.key)
        return failure.attempt if failure else 0

    def _failed(self, body: Body, error: BaseException) -> StepEntry:
        op, policy = body.op, body.call.definition.retry
        text = encode_error(error)
        if op.stopping or body.late or not policy.allows(error, body.attempt):
            return self._ended(body, error=text)
        now = self._clock()
        due = now + policy.wait(error, body.attempt, self._spread())
        return AttemptFailed(
            op.key, 0, op.digest, op.name, op.args, body.attempt, due, text, body.started, now, self._worker
        )

    def _ended(self, body: Body, *, value: str | None = None, error: str | None = None) -> StepEnded:
        op, now = body.op, self._clock()
        return StepEnded(
            op.key, 0, op.digest, op.name, op.args, value, error, body.attempt, body.started, now, self._worker
        )

    def _stopped(self, body: Body) -> StepStopped:
        op = body.op
        return StepStopped(op.key, 0, op.digest, op.name, op.args, body.attempt, body.started, self._worker)

    def _unknown(self, op: StepOp) -> StepEnded:
        error = OutcomeUnknown(f"step {op.key} was begun and its worker was lost: whether it took effect is unknown")
        text, now = encode_error(error), self._clock()
        return StepEnded(
            op.key, 0, op.digest, op.name, op.args, None, text, self._tries(op), None, now, self._worker, unknown=True
        )

    def _add(self, entry: StepEntry) -> None:
        self.results.append(entry)
        self._wake()
