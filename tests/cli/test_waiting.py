"""Waiting for a flow that runs here: what counts as hope, and what is told meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ergon_cli import waiting
from ergon_cli.exits import CommandError
from ergon_runtime import FlowHandle, Outcome, Status, Store
from ergon_runtime.core.flows import CANCEL
from tests.runtime.views import STARTED, Scene, run, waits

GO = {"kind": "signal", "key": "go", "name": "go", "since": 0}


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is noted; looks follow each other at once."""
    found: list[str] = []
    monkeypatch.setattr(waiting, "LOOK", 0.0)
    monkeypatch.setattr(waiting, "note", found.append)
    return found


async def still_waits(store: Store, flow_id: str, *, kept: bool) -> bool:
    """Whether the flow is still waited for after many looks."""
    looks = 0
    enough = asyncio.Event()

    class Counting(FlowHandle[object]):
        async def outcome(self, timeout: float | timedelta | None = None) -> Outcome:
            nonlocal looks
            looks += 1
            if looks == 5:
                enough.set()
                await asyncio.Event().wait()
            raise TimeoutError

    waiter = asyncio.create_task(waiting.until_over(store, Counting(store, flow_id), kept=kept, tell=True))
    reached = asyncio.create_task(enough.wait())
    await asyncio.wait([waiter, reached], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiter, reached):
        task.cancel()
    return enough.is_set()


def test_signal_that_others_may_send_is_waited_for_and_told_once(told: list[str]) -> None:
    async def main() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED], waits=["signal:go"], note=waits(GO))
        assert await still_waits(scene.store, "f", kept=True)

    run(main())
    assert [text.partition(" for ")[0] for text in told] == ["flow f waits"]
    assert told[0].endswith(": ergon signal go PAYLOAD --flow f")


def test_flow_that_nobody_can_signal_is_waited_for_in_vain(told: list[str]) -> None:
    async def main() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED], waits=["signal:go"], note=waits(GO))
        with pytest.raises(CommandError, match="waits for signal go") as caught:
            await waiting.until_over(scene.store, FlowHandle(scene.store, "f"), kept=False, tell=True)
        assert caught.value.code == 4

    run(main())
    assert told == []


def test_flow_that_is_due_or_whose_child_is_waits_in_hope() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED], waits=["child:f/c"])
        await scene.place("f/c", Status.WAITING, [STARTED], due=scene.now + 1000, parent="f")
        assert await still_waits(scene.store, "f", kept=False)

    run(main())


def test_rest_counts_only_when_it_is_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read one after another: a child may end, and wake its parent, in between."""

    async def main() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED])
        left = ["1", "2", "3", "3"]

        async def resting(store: Store, flow_id: str, *, kept: bool) -> dict[str, str]:
            return {flow_id: left.pop(0)}

        monkeypatch.setattr(waiting, "_resting", resting)
        with pytest.raises(CommandError):
            await waiting.until_over(scene.store, FlowHandle(scene.store, "f"), kept=False, tell=False)
        assert left == []

    run(main())


def test_child_that_is_blocked_is_no_hope() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.place("f", Status.WAITING, [STARTED], waits=["child:f/c", CANCEL])
        await scene.place("f/c", Status.BLOCKED, [STARTED], parent="f")
        with pytest.raises(CommandError):
            await waiting.until_over(scene.store, FlowHandle(scene.store, "f"), kept=True, tell=True)

    run(main())
