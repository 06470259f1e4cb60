"""Forks that were not finished: nothing runs or retries them, and the same command finishes them (P3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime import flow, wait_signal
from ergon_runtime.core.flows import Status
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.operators import ForkPlan, fork_flow, plan_retry
from tests.runtime.rigs import Rig, rig, stands, virtual
from tests.runtime.test_forks import (
    broken,
    fk_kid,
    fk_order,
    fk_parent,
    forked,
    fresh,
    planned,
    result,
    runs,
)

__all__ = ["fresh"]


class Gone(Exception):
    pass


class Going:
    """A store that is gone at the first claim."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name == "claim":
            raise Gone
        return getattr(self._store, name)


async def interrupted(here: Rig, plan: ForkPlan) -> None:
    with pytest.raises(Gone):
        await fork_flow(Going(here.store), plan)  # type: ignore[arg-type]  # as good as one


def test_p3_unfinished_fork_is_neither_run_nor_retried_and_is_finished_by_doing_it_again() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            await interrupted(here, await planned(here, "f", "fk_pay", new_id="g"))
            row = await here.row("g")
            assert (row.status, row.due) == (Status.BLOCKED, None)
            with pytest.raises(OperatorRefused, match="a fork that was not finished") as refusal:
                await plan_retry(here.store, row)
            assert refusal.value.fix == "ergon fork f --from fk_pay --id g"
            with pytest.raises(OperatorRefused, match="another fork that was not finished"):
                await forked(here, "f", "fk_pay", results={"fk_rate": "9"})
            await forked(here, "f", "fk_pay")
            assert await result(here) == "sent paid 4"
            assert runs["g pay"] == 1

    virtual(main)


def test_p3_cancelled_unfinished_fork_stays_cancelled() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            plan = await planned(here, "f", "fk_pay", new_id="g")
            await interrupted(here, plan)
            assert await here.scheduler.handle("g").cancel()
            with pytest.raises(OperatorRefused, match="a fork that was not finished") as refusal:
                await plan_retry(here.store, await here.row("g"))
            assert refusal.value.fix == "ergon fork f --from fk_pay"
            with pytest.raises(OperatorRefused, match="flow g exists already, and is cancelled"):
                await fork_flow(here.store, plan)
            assert runs["g pay"] == 0

    virtual(main)


def test_k3_fork_is_finished_as_it_was_begun_though_a_child_has_completed_since() -> None:
    async def main() -> None:
        async with rig(fk_parent, fk_kid) as here:
            broken.add("send")
            handle = await here.scheduler.schedule(fk_parent(), id="f")
            await stands(handle, "failed")
            await interrupted(here, await planned(here, "f", "fk_rate", new_id="g"))
            broken.clear()
            await retried(here, "f/fk_kid")
            again = await forked(here, "f", "fk_rate")
            assert again.children == ()
            assert (await planned(here, "f", "fk_rate")).children == ("f/fk_kid",)
            assert await result(here) == "sent kid"

    virtual(main)


@flow
async def fk_both() -> str:
    return "".join(await asyncio.gather(wait_signal("other", str), wait_signal("go", str)))


def test_p3_fork_is_finished_from_where_it_was_begun_though_its_source_has_gone_on() -> None:
    async def main() -> None:
        async with rig(fk_both) as here:
            handle = await here.scheduler.schedule(fk_both(), id="f")
            await stands(handle, "waiting")
            await interrupted(here, await planned(here, "f", "2/go", new_id="g"))
            await handle.signal("other", "o")
            await handle.signal("go", "yes")
            assert await handle.result() == "oyes"
            await forked(here, "f", "2/go")
            fork = here.scheduler.handle("g")
            await fork.signal("other", "O")
            await fork.signal("go", "no")
            assert await fork.result() == "Ono"

    virtual(main)


async def retried(here: Rig, flow_id: str) -> None:
    handle = await here.scheduler.retry(flow_id)
    await handle.result()
