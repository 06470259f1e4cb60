"""Short turns of the kill loop, and of the measurement of recoveries. The long ones are commands of their own."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.kills.rig import Settings
from tests.kills.run import killed, place


@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_flows_complete_through_kills_and_no_recorded_step_runs_again(store: str, tmp_path: Path) -> None:
    with place(store, tmp_path) as (url, _):
        settings = Settings(store, url, kills=6, flows=60, seed=random.randrange(10_000), cold_one_in=4)
        print(asyncio.run(killed(settings, tmp_path)))


@pytest.mark.timeout(240)
def test_flows_complete_through_kills_of_the_redis_server_and_of_workers(tmp_path: Path) -> None:
    with place("redis", tmp_path, own_server=True) as (url, server):
        settings = Settings("redis", url, kills=3, flows=40, seed=random.randrange(10_000))
        print(asyncio.run(killed(settings, tmp_path, server, server_kills=2)))
