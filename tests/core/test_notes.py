"""Notes: what a commit tells people of the flow's waits, or of why it is blocked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.notes import MANY, blocked_note, blocked_times, waiting_note
from tests.core.asks import invoke, signal, step
from tests.core.driver import START, Flow, started


def note_of(flow: Flow) -> dict[str, Any]:
    note = flow.drafts[-1].note
    assert note is not None
    found: dict[str, Any] = json.loads(note)
    return found


def test_waiting_flow_names_its_waits_signals_first() -> None:
    async def code() -> None:
        await asyncio.gather(asyncio.sleep(9), step("s"), invoke(), signal("go"), asyncio.timeout(3).__aenter__())

    flow = started(code).wait(5).try_failed("2/s", again=700, error="boom").go()
    note = note_of(flow)
    assert (note["attempt"], note["life"], note["open"]) == (1, 1, 5)
    assert note["waits"] == [
        {"kind": "signal", "key": "4/go", "name": "go", "since": START},
        {"kind": "child", "key": "3/kid", "child": "f/3/kid", "since": START},
        {"kind": "retry", "key": "2/s", "name": "s", "attempt": 1, "due": START + 705, "since": START + 5},
        {"kind": "timer", "key": "1/sleep", "sleep": True, "since": START, "due": START + 9000},
        {"kind": "timer", "key": "5/timeout", "sleep": False, "since": START, "due": START + 3000},
    ]


def test_note_of_a_wide_flow_names_the_first_waits_and_counts_all() -> None:
    async def code() -> None:
        await asyncio.gather(*(signal(f"s{n}") for n in range(3 * MANY)))

    note = note_of(started(code))
    assert (len(note["waits"]), note["open"]) == (MANY, 3 * MANY)


def test_blocked_note_names_kind_message_and_both_sides() -> None:
    fault = Fault(FaultKind.DIVERGED, "other", key="a", recorded="step a()", current=("step b()",), where="f.py:7")
    why = json.loads(blocked_note(None, fault, 5))["why"]
    assert why == {
        "kind": "diverged",
        "message": "other",
        "since": 5,
        "times": 1,
        "key": "a",
        "recorded": "step a()",
        "current": ["step b()"],
        "where": "f.py:7",
    }


def test_blocked_note_of_a_loaded_flow_tells_its_life() -> None:
    async def code() -> None:
        await signal("go")

    note = json.loads(blocked_note(started(code).machine, Fault(FaultKind.STUCK, "m"), 5))
    assert (note["life"], note["attempt"], "key" in note["why"]) == (1, 1, False)


def test_blocked_times_counts_blocks_in_a_row() -> None:
    fault = Fault(FaultKind.STUCK, "m")

    async def code() -> None:
        await signal("go")

    assert blocked_times(None) == 0
    assert blocked_times(waiting_note(started(code).machine)) == 0
    assert blocked_times(blocked_note(None, fault, 5, 3)) == 3


@pytest.mark.parametrize(
    ("note", "times"), [(b"", 0), (b"\xff", 0), (b"7", 0), (b'{"why": 1}', 1), (b'{"why": {}}', 1)]
)
def test_blocked_times_of_a_note_that_is_none_of_ours(note: bytes, times: int) -> None:
    assert blocked_times(note) == times
