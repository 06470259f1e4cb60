"""Which entries answer an operation, and both sides of a divergence in words."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from ergon_runtime.core.divergence import describe, divergence, matches
from ergon_runtime.core.entries import (
    ChildCreated,
    ChildEnded,
    Entry,
    Patched,
    SignalReceived,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.faults import FaultKind
from ergon_runtime.core.flows import Status
from ergon_runtime.core.loop import FlowTimer
from ergon_runtime.core.operations import ChildOp, Op, SignalOp, StepOp, TimerOp

FUTURE = cast("asyncio.Future[Any]", None)
STEP = StepEnded("a", 1, "d", "a", '[1,"x"]', "1", None, 1, 1, 1, "w")
STOP = StepStopped("a", 1, "d", "a", "[]", 1, 1, "w")
CHILD = ChildEnded("a", 1, "d", "m", "f/a", Status.COMPLETED, "1", None)
SIGNAL = SignalReceived("a", 1, "", "a", "m", "1")
TIMER = TimerFired("a", 1, "", "sleep", True, 0, 1)


def step(*, stopping: bool = False) -> StepOp:
    op = StepOp("a", "a", "d", '[1,"x"]', None, False, 0, FUTURE)
    op.stopping = stopping
    return op


CHILD_OP = ChildOp("a", "kid", "d", "f/a", 0, 0, FUTURE)
SIGNAL_OP = SignalOp("a", "a", lambda value: True, 0, 0, FUTURE)
TIMER_OP = TimerOp("a", "sleep", 0, 5, True, 0, cast(FlowTimer, None))


@pytest.mark.parametrize(
    ("op", "entry", "expected"),
    [
        (step(), STEP, True),
        (step(stopping=True), STEP, True),
        (step(), replace(STEP, digest="e"), False),
        (step(), replace(STEP, name="b"), False),
        (step(stopping=True), STOP, True),
        (step(), STOP, False),
        (step(stopping=True), replace(STOP, digest="e"), False),
        (step(), CHILD, False),
        (CHILD_OP, CHILD, True),
        (CHILD_OP, replace(CHILD, digest="e"), False),
        (CHILD_OP, STOP, False),
        (SIGNAL_OP, SIGNAL, True),
        (SIGNAL_OP, replace(SIGNAL, name="b"), False),
        (TIMER_OP, TIMER, True),
        (TIMER_OP, replace(TIMER, name="timeout"), False),
        (TIMER_OP, SIGNAL, False),
        (step(), Patched("a", 1), False),
    ],
)
def test_e6_entry_answers_an_operation_of_its_kind_name_and_digest(op: Op, entry: Entry, expected: bool) -> None:
    assert matches(op, entry) is expected


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (step(), 'step a(1,"x")'),
        (STEP, 'step a(1,"x")'),
        (STOP, "stop of step a"),
        (replace(STEP, args='{"x":1}'), 'step a("x":1)'),
        (ChildCreated("a", 1, "d", "f/a", "kid", None, "[5]", False), "child a(5)"),
        (CHILD, "child a"),
        (SIGNAL, "signal a"),
        (TIMER_OP, "timer a"),
        (Patched("p", 1), "patched p"),
    ],
)
def test_describe_names_kind_key_and_arguments(thing: Op | Entry, words: str) -> None:
    assert describe(thing) == words


def test_describe_cuts_long_arguments() -> None:
    words = describe(replace(STEP, args="[" + "1," * 500 + "1]"))
    assert len(words) < 100
    assert words.endswith("…)")


def test_divergence_names_both_sides_and_the_line() -> None:
    fault = divergence("a", "message", STEP, ("step b()",), "flows.py:7")
    assert (fault.kind, fault.key, fault.message) == (FaultKind.DIVERGED, "a", "message")
    assert (fault.recorded, fault.current, fault.where) == ('step a(1,"x")', ("step b()",), "flows.py:7")
