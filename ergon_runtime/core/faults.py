"""Faults: why a flow cannot go on with the code or data at hand. The flow is then `blocked`, never failed.

A fault is found by the engine, not by flow code: it is kept on the machine and flow code cannot catch it (rule L3).
"""

from __future__ import annotations

from enum import StrEnum


class FaultKind(StrEnum):
    """Why a flow is blocked."""

    DIVERGED = "diverged"
    """The journal and the code disagree."""
    UNREADABLE = "unreadable"
    """Stored data no longer fits its hint."""
    SPINNING = "spinning"
    """The flow code runs on and on without waiting for anything."""
    STUCK = "stuck"
    """The flow code waits for something that can never come."""
    CONFLICT = "conflict"
    """A child's id belongs to another flow."""
    TOO_LONG = "too_long"
    """The journal of its life has as many entries as the worker allows."""
    CRASH_LOOP = "crash_loop"
    """The flow took its worker down again and again."""


class Fault(Exception):
    """Why the flow is blocked. For a divergence `recorded` and `current` name both sides, `where` the awaiting code."""

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        *,
        key: str | None = None,
        recorded: str | None = None,
        current: tuple[str, ...] = (),
        where: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.key = key
        self.recorded = recorded
        self.current = current
        self.where = where
