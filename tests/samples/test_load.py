"""The load: exact numbers of tries, whatever the workers do at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from ergon_runtime import Status, open_store
from ergon_runtime.view import find_flows, view_flow
from sample_flows import load


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'load.db'}"


def test_load_on_four_workers_tries_each_step_exactly_as_often_as_told(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load.main(url) == 0
    assert capsys.readouterr().out.splitlines() == [
        "step         expected  tried",
        "validate           40     40  ok",
        "check_fraud        30     30  ok",
        "reserve            40     40  ok",
        "pay                30     30  ok",
        "print_label        30     30  ok",
        "notify             30     30  ok",
        "30 orders have their labels",
    ]


def test_load_with_a_number_that_is_wrong_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(load.EXPECTED, "pay", 31)
    assert load.main() == 1
    assert "pay                31     30  WRONG" in capsys.readouterr().out


def test_load_on_a_file_is_done_by_several_workers_and_recorded_as_it_was_tried(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'load.db'}"
    assert load.main(url) == 0

    async def recorded() -> tuple[Counter[str], set[str]]:
        tries, workers = Counter[str](), set[str]()
        async with open_store(url) as store:
            rows = await find_flows(store, limit=100)
            assert [row.status for row in rows] == [Status.COMPLETED] * 60  # an order and a label flow each
            for row in rows:
                view = await view_flow(store, row, now=await store.now(), workers=())
                for step in view.steps:
                    if step.kind == "step":
                        tries[step.name] += step.attempts
                        workers |= {each.worker for each in step.tries if each.worker}
        return tries, workers

    tries, workers = asyncio.run(asyncio.wait_for(recorded(), 60))
    assert tries == load.EXPECTED
    assert len(workers) > 1
