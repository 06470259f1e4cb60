"""Replays of journals on fresh machines, outside any worker."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

from ergon_runtime.codec import describe_error, encode_error
from ergon_runtime.core.entries import Continued, Outcome, Recorded, Started
from ergon_runtime.core.flows import Status
from ergon_runtime.core.history import History
from ergon_runtime.core.machine import ENGINE, ContinueAsNew, FlowMachine
from ergon_runtime.definitions import FlowDefinition
from tests.simulation.programs import Code, flow_types

Trace = list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay showed: what it delivered, how the life ended if it did, and what it would write down."""

    trace: Trace
    done: bool
    end: Outcome | None
    asked: tuple[str, ...]
    life: int


class Replayable(Protocol):
    """What a replay needs of a flow besides its journal; a FlowRow has it."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def seed(self) -> str: ...
    @property
    def started(self) -> int | None: ...


def from_base(journal: Sequence[Recorded]) -> Sequence[Recorded]:
    """A journal from its base on: from the last time that the flow continued as new."""
    return journal[max((n for n, record in enumerate(journal) if isinstance(record.entry, Continued)), default=0) :]


def replay(flow: Replayable, args: str, records: Sequence[Recorded], *, ended: bool, code: Code) -> Replay:
    """Feed records to a fresh machine. Raises Fault."""
    definition = flow_types(code)[flow.type, flow.version]
    trace: Trace = []
    machine = FlowMachine(
        flow.id,
        definition.start,
        History(records, flow.started or 0),
        seed=flow.seed,
        args=args,
        ended=ended,
        observer=lambda how, key, now: trace.append((how, key, now)),
    )
    try:
        Context().run(machine.begin, Started("", 0, flow.seed, None, ENGINE, "any"))
        asked = tuple(f"{marker.kind} {marker.key}" for marker in machine.markers)
        return Replay(trace, machine.done, _end(machine, definition), asked, machine.life)
    finally:
        Context().run(machine.evict)


def same_end(one: Outcome | None, other: Outcome) -> bool:
    """Whether two ends are equal, but for the lines that an error came by."""
    if one is None or (one.status, one.value) != (other.status, other.value):
        return False
    if one.error is None or other.error is None:
        return one.error == other.error
    errors = describe_error(one.error), describe_error(other.error)
    return (errors[0].type, errors[0].message) == (errors[1].type, errors[1].message)


def _end(machine: FlowMachine, definition: FlowDefinition) -> Outcome | None:
    """How the life ended; None if it has not, or goes on as new."""
    if not machine.done:
        return None
    task = machine.main
    if machine.cancelled_before or task is None or task.cancelled():
        return Outcome(Status.CANCELLED)
    error = task.exception()
    if error is None:
        return Outcome(Status.COMPLETED, value=definition.encode_result(task.result()))
    if isinstance(error, ContinueAsNew):
        return None
    return Outcome(Status.FAILED, error=encode_error(error))
