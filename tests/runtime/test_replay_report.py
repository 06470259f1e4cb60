"""Replay reports as JSON, and back."""

from __future__ import annotations

import json
from dataclasses import replace

from ergon_runtime.core.faults import FaultKind
from ergon_runtime.core.flows import Status
from ergon_runtime.replay import ComparedRow, PatchUse, ReplayReport

REPORT = ReplayReport(
    "a",
    "order",
    "2",
    Status.WAITING,
    "diverged",
    delivered=("step charge()", "step pack()"),
    total=5,
    kind=FaultKind.DIVERGED,
    message="ship was renamed to send",
    key="ship",
    recorded="step ship()",
    current=("step send()", "timer sleep"),
    where="flows.py:7",
    patches=(PatchUse("p", "old", True),),
    difference="step",
    lines=("flows.py:7", None),
    rows=(
        ComparedRow(2, "step pack()", "step pack()", True),
        ComparedRow(None, None, "step send()", False, "flows.py:7"),
    ),
    fixes=("serve code that fits",),
)


def test_report_from_its_json_is_the_same_without_what_was_delivered() -> None:
    read = ReplayReport.from_json(json.loads(json.dumps(REPORT.to_json())))
    assert read == replace(REPORT, delivered=(), left_out=2)
    assert (read.position, read.to_json()) == (2, REPORT.to_json())


def test_report_without_a_difference_comes_back_too() -> None:
    same = ReplayReport("a", "order", None, Status.COMPLETED, "same")
    assert ReplayReport.from_json(same.to_json()) == same
