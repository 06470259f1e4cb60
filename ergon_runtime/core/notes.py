"""Notes: what a commit leaves for people, so that a flow's WHY is readable without its code.

A note is a JSON object: `attempt`, `life`, and either `waits` (a list of `{kind …}`) or `why` (one `{kind …}`, of a
blocked flow). Notes of live flows also tell the heartbeats of open steps (T6). Times are UTC milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

from ergon_runtime.core.entries import Entry, StepEnded, StepStopped
from ergon_runtime.core.faults import Fault
from ergon_runtime.core.heartbeats import FIELD, read_note
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.operations import ChildOp, Op, SignalOp, StepOp, TimerOp

Item: TypeAlias = Mapping[str, Any]
MANY = 20
"""Waits named in a note; of more, the first."""


def waiting_note(machine: FlowMachine, *, over: Collection[str] = ()) -> bytes:
    """What the flow waits for: the machine's open operations. Steps that are `over` have no heartbeats."""
    waits = [_wait(machine, op) for op in machine.open.most_urgent(MANY)]
    heartbeats = machine.open.heartbeats.fields(over)
    return _pack({**_counts(machine), "waits": waits, "open": len(machine.open), **heartbeats})


def running_note(machine: FlowMachine, entries: Sequence[Entry]) -> bytes | None:
    """The note of a commit with these entries; None if heartbeats bring no news."""
    if not machine.open.heartbeats:
        return None
    over = {entry.key for entry in entries if isinstance(entry, StepEnded | StepStopped)}
    return waiting_note(machine, over=over) if machine.open.heartbeats.changed(over) else None


def ended_note(machine: FlowMachine, waits: Sequence[Item] = ()) -> bytes:
    """The note of a life that is over; `waits` are for the next one."""
    return _pack({**_counts(machine), "waits": waits, "open": 0})


def blocked_note(
    machine: FlowMachine | None, fault: Fault, clock: int, times: int = 1, before: bytes | None = None
) -> bytes:
    """Why the flow is blocked, for the how-manieth time in a row. `before` is its last note: without a machine, what
    that tells besides still holds."""
    why: dict[str, Any] = {"kind": fault.kind, "message": fault.message, "since": clock, "times": times}
    details = {"key": fault.key, "recorded": fault.recorded, "current": list(fault.current), "where": fault.where}
    why.update({name: value for name, value in details.items() if value})
    if machine is not None:
        kept = {**_counts(machine), **machine.open.heartbeats.fields()}
    else:
        kept = {name: value for name, value in read_note(before).items() if name in ("attempt", "life", FIELD)}
    return _pack({**kept, "why": why})


def blocked_times(note: bytes | None) -> int:
    """How often in a row a flow with this note was blocked; 0 if it is not."""
    match read_note(note).get("why"):
        case {"times": int(times)}:
            return times
        case why:
            return 0 if why is None else 1


def _counts(machine: FlowMachine) -> dict[str, Any]:
    return {"attempt": machine.attempt, "life": machine.life}


def _wait(machine: FlowMachine, op: Op) -> Item:
    match op:
        case SignalOp():
            return {"kind": "signal", "key": op.key, "name": op.name, "since": op.since}
        case ChildOp():
            return {"kind": "child", "key": op.key, "child": op.child, "since": op.since}
        case TimerOp():
            return {"kind": "timer", "key": op.key, "sleep": op.sleep, "since": op.asked, "due": op.due}
        case StepOp():
            failure = machine.open.failures.get(op.key)
            found: dict[str, Any] = {"kind": "retry", "key": op.key, "name": op.name}
            if failure is not None:
                found |= {"attempt": failure.attempt, "due": failure.due, "since": failure.at}
            return found


def _pack(note: Item) -> bytes:
    return json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
