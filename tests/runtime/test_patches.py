"""Which patches are still needed, from reports of many flows."""

from __future__ import annotations

import json

import pytest

from ergon_runtime.core.flows import Status
from ergon_runtime.patches import PatchRow, PatchTally
from ergon_runtime.replay import PatchUse, ReplayReport, Verdict

OLD = PatchUse("p", "old", recorded=False)
TAKES = PatchUse("p", "new", recorded=False)
HOLDS = PatchUse("p", "new", recorded=True)
LEFT = PatchUse("p", None, recorded=True)


def report(
    *uses: PatchUse, verdict: Verdict = "same", status: Status = Status.WAITING, flow: str = "order"
) -> ReplayReport:
    return ReplayReport("f", flow, None, status, verdict, patches=uses)


ENDED = report(OLD, status=Status.COMPLETED)
"""So that there is a row whatever the live flows say."""


def rows(*reports: ReplayReport, complete: bool = True) -> list[PatchRow]:
    tally = PatchTally()
    for each in reports:
        tally.add(each)
    return tally.rows(complete=complete)


@pytest.mark.parametrize(
    ("reports", "verdict", "old", "new", "remembered", "ahead", "unclear"),
    [
        ([], "remove", 0, 0, 0, 0, 0),
        ([report(OLD)], "keep", 1, 0, 0, 0, 0),
        ([report(OLD), report(HOLDS)], "keep", 1, 1, 1, 0, 0),
        ([report(HOLDS)], "keep_call", 0, 1, 1, 0, 0),
        ([report(TAKES)], "keep_call", 0, 1, 0, 0, 0),
        ([report(LEFT, verdict="diverged")], "keep_call", 0, 1, 1, 0, 0),
        ([report()], "remove", 0, 0, 0, 1, 0),
        ([report(verdict="diverged"), report(HOLDS)], "unknown", 0, 1, 1, 0, 1),
        ([report(verdict="unreadable"), report(OLD)], "keep", 1, 0, 0, 0, 1),
        ([report(OLD, verdict="diverged")], "keep", 1, 0, 0, 0, 0),
        ([report(verdict="diverged", status=Status.FAILED)], "remove", 0, 0, 0, 0, 0),
        ([report(HOLDS, status=Status.CANCELLED)], "remove", 0, 0, 0, 0, 0),
        ([report(verdict="diverged", flow="other")], "remove", 0, 0, 0, 0, 0),
        ([report(verdict="unserved")], "remove", 0, 0, 0, 0, 0),
    ],
)
def test_verdict_follows_from_the_flows_that_are_not_over(
    reports: list[ReplayReport], verdict: str, old: int, new: int, remembered: int, ahead: int, unclear: int
) -> None:
    (row,) = [each for each in rows(ENDED, *reports) if each.flow == "order"]
    assert row == PatchRow("p", "order", None, verdict, old, new, remembered, ahead, unclear)  # type: ignore[arg-type]  # a parameter


def test_verdict_is_unknown_when_flows_were_left_out_unless_one_is_on_the_old_path() -> None:
    assert rows(report(HOLDS), complete=False)[0].verdict == "unknown"
    assert rows(ENDED, complete=False)[0].verdict == "unknown"
    assert rows(report(OLD), complete=False)[0].verdict == "keep"


def test_rows_are_of_one_id_in_one_type_and_version_each() -> None:
    other = PatchUse("a", "new", recorded=False)
    found = rows(report(OLD, other), report(OLD, flow="billing"), report(OLD))
    assert [(row.flow, row.id, row.old, row.new) for row in found] == [
        ("billing", "p", 1, 0),
        ("order", "a", 0, 1),
        ("order", "p", 2, 0),
    ]
    assert json.loads(json.dumps(found[1].to_json()))["verdict"] == "keep_call"


def test_flows_of_types_without_patches_make_no_rows() -> None:
    assert rows(report(), report(verdict="diverged"), report(verdict="unserved")) == []


def test_marker_that_only_ended_flows_remember_makes_no_row() -> None:
    assert rows(report(LEFT, status=Status.COMPLETED, verdict="diverged")) == []
    assert len(rows(report(LEFT, verdict="diverged"))) == 1
