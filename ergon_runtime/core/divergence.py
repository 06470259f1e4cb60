"""Divergence: whether a recorded completion answers an operation, and both sides in words for people."""

from __future__ import annotations

from ergon_runtime.core.entries import Entry, StepStopped
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.operations import Op, StepOp


def matches(op: Op, entry: Entry) -> bool:
    """Whether a recorded completion answers this operation. A stop answers only a step that was asked to stop."""
    if isinstance(entry, StepStopped) and not (isinstance(op, StepOp) and op.stopping):
        return False
    kind = "step" if entry.kind == "stopped" else entry.kind
    return (
        op.kind == kind and getattr(entry, "digest", None) == op.digest and getattr(entry, "name", op.name) == op.name
    )


def describe(thing: Op | Entry) -> str:
    """An operation or entry in a few words, for people: kind, key and arguments."""
    match thing.kind:
        case "stopped":
            return f"stop of step {thing.key}"
        case "step" | "attempt":
            return f"step {thing.key}{_short(getattr(thing, 'args', ''))}"
        case "child" | "created" | "child_cancelled":
            args: str | None = getattr(thing, "args", None)  # its end does not tell them
            return f"child {thing.key}{_short(args) if args is not None else ''}"
        case kind:
            return f"{kind} {thing.key}"


def _short(args: str) -> str:
    inner = args[1:-1] if args[:1] in {"[", "{"} else args
    return f"({inner[:77]}…)" if len(inner) > 78 else f"({inner})"


def divergence(key: str, message: str, recorded: Entry, current: tuple[str, ...], where: str | None) -> Fault:
    """The fault of a journal and code that disagree: what is recorded, what the code asks for, and where it stands."""
    return Fault(FaultKind.DIVERGED, message, key=key, recorded=describe(recorded), current=current, where=where)
