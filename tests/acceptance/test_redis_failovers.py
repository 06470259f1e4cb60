"""A short turn of the rig of tests/redis_failovers.py: real workers, sentinels, and a master that is killed.

ERGON_TEST_FAILOVERS makes it longer; `make rig-failovers COUNT=20`.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.redis_failovers import failovers

FAILOVERS = int(os.environ.get("ERGON_TEST_FAILOVERS", "1"))


@pytest.mark.timeout(300 + 60 * FAILOVERS)
def test_flows_complete_through_failovers_and_no_surviving_record_is_run_again(tmp_path: Path) -> None:
    print(asyncio.run(failovers(tmp_path, FAILOVERS, seed=random.randrange(1000))))
