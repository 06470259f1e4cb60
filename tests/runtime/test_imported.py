"""Flows of one store in another: nothing runs them, and when a person lets one go, it goes on from its journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_runtime import open_store
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import OperatorRefused, StoreUnavailable
from ergon_runtime.histories import FlowHistory, read_history, restore_history
from ergon_runtime.operators import RetryPlan, plan_retry, retry_flow
from ergon_runtime.primitives import continue_as_new, invoke, sleep, wait_signal
from ergon_runtime.replay import replay_flow, replay_history
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.records import JournalPart, Record
from tests.runtime.rigs import rig, stands, virtual

ran: list[str] = []


@step
async def note(text: str) -> str:
    ran.append(text)
    return text


@flow
async def moved(rounds: int) -> str:
    first = await note(f"round {rounds}")
    await sleep(5)
    if rounds:
        continue_as_new(moved(rounds - 1))
    return first + await wait_signal("go", str)


@flow
async def moved_parent() -> str:
    return "child " + await invoke(moved(0))


async def recorded() -> list[FlowHistory]:
    """In one store: a flow in its second life, a parent, and its child, all of which wait."""
    ran.clear()
    async with rig(moved, moved_parent) as world:
        await world.scheduler.schedule(moved(1), id="f")
        await world.scheduler.schedule(moved_parent(), id="p")
        await asyncio.sleep(60)
        rows = [await world.row(flow_id) for flow_id in ("f", "p", "p/moved")]
        assert [row.status for row in rows] == ["waiting"] * 3
        return [await read_history(world.store, row) for row in rows]


def test_imported_flows_stay_blocked_until_let_go_and_no_step_runs_again() -> None:
    async def main() -> None:
        there = await recorded()
        assert there[0].row.base > 0
        assert ran == ["round 1", "round 0", "round 0"]
        async with rig(moved, moved_parent) as world:
            for history in there:
                assert await restore_history(world.store, history, "x.jsonl") == "new"
            handles = [world.scheduler.handle(each.row.id) for each in there]
            for handle in handles:
                await handle.signal("go", "!")
            await asyncio.sleep(1000)
            assert [await handle.status() for handle in handles] == ["blocked"] * 3
            for handle in handles:
                await retry_flow(world.store, await plan_retry(world.store, await world.row(handle.id)))
                await stands(handle, "completed", "waiting")
            assert [await handle.result() for handle in handles] == ["round 0!", "child round 0!", "round 0!"]
            assert len(ran) == 3

    virtual(main)


def test_imported_flow_replays_as_its_history_does() -> None:
    async def main() -> None:
        for history in await recorded():
            async with rig() as world:
                await restore_history(world.store, history, "x.jsonl")
                at_home = await replay_history(history, registry.get)
                here = await replay_flow(world.store, await world.row(history.row.id), registry.get)
                assert (at_home.verdict, here.verdict) == ("same", "same")
                assert (here.delivered, here.total) == (at_home.delivered, at_home.total)

    virtual(main)


def test_p8_flow_whose_import_was_interrupted_is_not_let_go_before_it_is_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    history = virtual(recorded)[2]

    async def main() -> None:
        async with open_store(f"sqlite:///{tmp_path}/look.db") as store:
            restore = type(store).restore

            async def dies(there: Store, piece: Record | JournalPart) -> None:
                if isinstance(piece, JournalPart):
                    raise StoreUnavailable("killed here")
                await restore(store, piece)

            async def plan() -> RetryPlan:
                row = await store.get("p/moved")
                assert row is not None
                return await plan_retry(store, row)

            with monkeypatch.context() as now:
                now.setattr(type(store), "restore", dies)
                with pytest.raises(StoreUnavailable):
                    await restore_history(store, history, "x.jsonl")
            with pytest.raises(OperatorRefused, match="an import was interrupted"):
                await plan()
            assert await restore_history(store, history, "x.jsonl") == "finished"
            assert (await plan()).action == "again"

    asyncio.run(main())
