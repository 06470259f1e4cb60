"""Statuses and what may follow what; lanes."""

from __future__ import annotations

from ergon_runtime.core.flows import ENDED, TRANSITIONS, FlowRow, Status, lane


def test_transitions_have_a_row_for_every_status_and_name_statuses_only() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert all(after <= set(Status) for after in TRANSITIONS.values())


def test_every_change_of_status_goes_through_a_claim() -> None:
    for status, after in TRANSITIONS.items():
        assert status is Status.RUNNING or after <= {Status.RUNNING}


def test_a_running_flow_may_be_kept_released_or_ended_in_any_way() -> None:
    assert TRANSITIONS[Status.RUNNING] == set(Status)


def test_what_has_completed_stays_so() -> None:
    assert TRANSITIONS[Status.COMPLETED] == frozenset()


def test_every_live_flow_can_reach_every_end() -> None:
    for status in set(Status) - ENDED:
        reached = {status}
        while (wider := reached.union(*(TRANSITIONS[s] for s in reached))) != reached:
            reached = wider
        assert reached >= ENDED


def test_ended_is_the_last_three() -> None:
    assert [status.value for status in Status if status.ended] == ["completed", "failed", "cancelled"]
    assert {status for status in Status if status.ended} == ENDED


def test_lanes_of_other_queues_types_and_versions_differ() -> None:
    lanes = {lane("a", None), lane("b", None), lane("a", "1"), lane("a", "1", "other"), lane("a", "2")}
    assert len(lanes) == 5
    assert lane("a", None) == lane("a", None, "default")


def test_values_are_frozen_and_slotted() -> None:
    assert not hasattr(FlowRow, "__dict__") or "__slots__" in vars(FlowRow)
    assert FlowRow.__dataclass_params__.frozen
