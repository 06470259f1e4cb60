"""A short turn of the rig of tests/redis_rig.py: a network that does mischief.

ERGON_TEST_SECONDS makes it longer; `make rig-proxy SECONDS=60`.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.redis_rig import proxy

SECONDS = int(os.environ.get("ERGON_TEST_SECONDS", "10"))


@pytest.mark.timeout(240 + 2 * SECONDS)
def test_flows_complete_behind_a_bad_network_and_no_recorded_step_runs_again(tmp_path: Path) -> None:
    print(asyncio.run(proxy(tmp_path, SECONDS, seed=random.randrange(1000))))
