"""What changes between the choice of many flows and their turns is left alone, and no fault."""

from __future__ import annotations

import asyncio

import pytest

from ergon_cli.batches import Batch
from ergon_cli.options import State
from ergon_cli.selecting import Selection
from ergon_runtime import FlowRow, Status
from ergon_runtime.core.entries import Outcome
from ergon_runtime.operators import plan_retry, retry_flow
from tests.runtime.views import STARTED, Scene

ALL = Selection(every=True, statuses=(Status.FAILED,))


async def failed(scene: Scene, *flows: str) -> None:
    for flow in flows:
        await scene.place(flow, Status.FAILED, [STARTED], outcome=Outcome(Status.FAILED))
        scene.now += 1


def test_flow_that_was_retried_by_another_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        scene, seen = Scene(), list[str]()
        await failed(scene, "a", "b", "c")
        batch = Batch(scene.store, State(), ALL, "retried")
        await batch.choose(())
        await retry_flow(scene.store, await plan_retry(scene.store, await scene.row("b")))

        async def see(row: FlowRow) -> None:
            seen.append(row.id)

        await batch.each(see)
        assert (seen, batch.worst) == (["c", "a"], 0)

    asyncio.run(work())
    assert capsys.readouterr().err == "b: is pending meanwhile, and left alone\n"


def test_flow_that_was_pruned_is_left_alone_unless_it_was_named(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(chosen: Selection) -> int:
        scene = Scene()
        await failed(scene, "a")
        batch = Batch(scene.store, State(), chosen, "retried")
        await batch.choose(["a"])
        await scene.store.prune(scene.now + 1)

        async def never(row: FlowRow) -> None:
            raise AssertionError(row.id)

        await batch.each(never)
        return batch.worst

    assert asyncio.run(work(ALL)) == 0
    assert capsys.readouterr().err == "a: is gone meanwhile, and left alone\n"
    assert asyncio.run(work(Selection())) == 3
    assert capsys.readouterr().err == "error: no flow 'a'\n  see what there is: ergon list\n"


def test_flow_named_twice_is_taken_once() -> None:
    async def work() -> list[str]:
        scene = Scene()
        await failed(scene, "abc")
        batch = Batch(scene.store, State(), Selection(), "retried")
        await batch.choose(["abc", "b"])
        return batch.ids

    assert asyncio.run(work()) == ["abc"]
