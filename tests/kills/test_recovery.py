"""Recoveries are measured from the kill to the next claim; and a short turn of the rig that measures them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.kills.ledger import Claimed, Effect, Released
from tests.kills.recovery import fresh, kills, recoveries
from tests.kills.rig import Settings
from tests.kills.run import place


def claimed(worker: int, token: str, at: int, status: str = "running") -> Claimed:
    return Claimed(worker, "steps-1", token, status, at)


def test_recovery_of_a_running_flow_counts_from_the_kill_in_leases() -> None:
    lines = [claimed(1, "t1", 100, "pending"), claimed(2, "t2", 3200)]
    assert recoveries(lines, {1: 200}, 2.0).leases == [1.5]


def test_recovery_of_a_flow_that_was_given_back_or_whose_owner_lives_is_none() -> None:
    given_back = [claimed(1, "t1", 100, "pending"), Released(1, "steps-1", "t1", 150), claimed(2, "t2", 300, "waiting")]
    assert recoveries(given_back, {1: 200}, 2.0).leases == []
    unsaid = [claimed(1, "t1", 100, "pending"), claimed(2, "t2", 300, "waiting")]
    assert recoveries(unsaid, {1: 200}, 2.0).leases == []
    assert recoveries([claimed(1, "t1", 100, "pending"), claimed(2, "t2", 3200)], {}, 2.0).leases == []


def test_flow_that_was_taken_over_is_fresh_until_its_second_effect() -> None:
    over, once = claimed(2, "t2", 300), Effect(2, "steps-1", "mark", "once", 1, 1, "t2", "n1", 0)
    assert fresh([claimed(2, "t2", 300, "pending")], 2) == set()
    assert fresh([over], 2) == fresh([over, once], 2) == {"steps-1"}
    assert fresh([over], 1) == fresh([over, once, once], 2) == fresh([over, claimed(3, "t3", 9)], 2) == set()


@pytest.mark.timeout(240)
def test_flows_of_killed_workers_are_taken_over_and_complete(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as (url, _):
        settings = Settings("sqlite", url, kills=3, flows=0, seed=random.randrange(10_000))
        took, found = asyncio.run(kills(settings, tmp_path))
        print(took)
        assert found.wrong == [], f"python -m tests.kills.recovery 3 --seed {settings.seed}"
