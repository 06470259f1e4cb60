"""Short turns of the rigs of tests/redis_rig.py: kills of servers and workers, and a network that does mischief.

ERGON_TEST_KILLS and ERGON_TEST_SECONDS make them longer; `make redis-kills KILLS=50`, `make redis-proxy SECONDS=60`.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.redis_rig import kills, proxy

KILLS = int(os.environ.get("ERGON_TEST_KILLS", "5"))
SECONDS = int(os.environ.get("ERGON_TEST_SECONDS", "10"))


@pytest.mark.timeout(240 + 30 * KILLS)
def test_flows_complete_through_kills_of_server_and_workers_and_no_recorded_step_runs_again(tmp_path: Path) -> None:
    print(asyncio.run(kills(tmp_path, KILLS, 10 * KILLS, seed=random.randrange(1000))))


@pytest.mark.timeout(240 + 2 * SECONDS)
def test_flows_complete_behind_a_bad_network_and_no_recorded_step_runs_again(tmp_path: Path) -> None:
    print(asyncio.run(proxy(tmp_path, SECONDS, seed=random.randrange(1000))))
