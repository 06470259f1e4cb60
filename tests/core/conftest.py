"""Flows of a test leave memory when the test is over, as a worker's do (L6)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.driver import flows


@pytest.fixture(autouse=True)
def flows_leave_memory() -> Iterator[None]:
    yield
    for flow in flows:
        flow.close()
    flows.clear()
