"""Notes: what a commit leaves for people, so that a flow's WHY is readable without its code.

A note is a JSON object: `attempt`, `life`, and either `waits` (a list of `{kind …}`) or `why` (one `{kind …}`, of a
blocked flow). Times are UTC milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ergon_runtime.core.faults import Fault
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.operations import ChildOp, Op, SignalOp, StepOp, TimerOp

Item: TypeAlias = Mapping[str, Any]
MANY = 20
"""Waits named in a note; of more, the first."""


def waiting_note(machine: FlowMachine, waits: Sequence[Item] | None = None) -> bytes:
    """What the flow waits for: the machine's open operations, unless told."""
    if waits is None:
        ops = sorted(machine.open, key=_urgency)[:MANY]
        waits = [_wait(machine, op) for op in ops]
    return _pack({"attempt": machine.attempt, "life": machine.life, "waits": waits, "open": len(machine.open)})


def blocked_note(machine: FlowMachine | None, fault: Fault, clock: int, times: int = 1) -> bytes:
    """Why the flow is blocked, for the how-manieth time in a row."""
    why: dict[str, Any] = {"kind": fault.kind, "message": fault.message, "since": clock, "times": times}
    details = {"key": fault.key, "recorded": fault.recorded, "current": list(fault.current), "where": fault.where}
    why.update({name: value for name, value in details.items() if value})
    counts = {"attempt": machine.attempt, "life": machine.life} if machine else {}
    return _pack({**counts, "why": why})


def blocked_times(note: bytes | None) -> int:
    """How often in a row a flow with this note was blocked; 0 if it is not."""
    if note is None:
        return 0
    found: dict[str, Any] = json.loads(note)
    why: dict[str, int] | None = found.get("why")
    return why.get("times", 1) if why is not None else 0


def _urgency(op: Op) -> int:
    return {"signal": 0, "child": 1, "step": 2, "timer": 3}[op.kind]


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
    return json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode()
