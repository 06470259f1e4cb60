"""Blocked flows and people: freed to go on, begun anew from a step, adopted by code that has changed (P3, P4, M1)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergon_runtime import RetryPolicy, flow, invoke, registry, step, step_info, wait_signal
from ergon_runtime.core.entries import Adopted, Retried
from ergon_runtime.core.flows import Status
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.operators import RetryPlan, plan_fork, plan_retry, retry_flow
from ergon_runtime.operators.claims import take
from tests.runtime.rigs import Rig, rig, stands, virtual
from tests.runtime.test_blocked import stored

runs: Counter[str] = Counter()
keys: dict[str, set[str]] = {}


@pytest.fixture(autouse=True)
def fresh() -> Any:
    runs.clear()
    keys.clear()
    with registry.isolated():
        yield


@step
async def ob_do(what: str) -> str:
    runs[what] += 1
    keys.setdefault(what, set()).add(step_info().idempotency_key)
    return what


@step(at_most_once=True)
async def ob_once(what: str) -> str:
    runs[what] += 1
    await asyncio.get_running_loop().create_future()
    return what


@flow
async def ob_kid(name: str) -> str:
    return await wait_signal("kid", str)


def code(function: Callable[..., Any]) -> Any:
    """A flow type that may be defined several times, as different workers have it."""
    with registry.isolated():
        return flow(name="changes")(function)


@step
async def ob_first() -> str:
    return await ob_do("first")


@step
async def ob_second() -> str:
    return await ob_do("second")


async def old(n: int) -> str:
    await ob_first()
    await ob_second()
    await wait_signal("go")
    return "old"


async def new(n: int) -> str:
    await ob_second()
    await ob_first()
    await wait_signal("go")
    return "new"


async def planned(here: Rig, flow_id: str = "f", **how: Any) -> RetryPlan:
    return await plan_retry(here.store, await here.row(flow_id), **how)


@asynccontextmanager
async def diverged() -> AsyncIterator[Rig]:
    """A flow `f` that old code began and new code cannot go on with."""
    async with rig() as here:
        before, after = code(old), code(new)
        worker = here.start(before, fingerprint="old", residents=0)
        handle = await here.scheduler.schedule(before(1), id="f")
        await stands(handle, "waiting")
        await worker.shutdown()
        here.start(after, fingerprint="new")
        await handle.signal("go")
        await stands(handle, "blocked")
        yield here


def test_m1_adopted_flow_runs_nothing_again_that_is_recorded() -> None:
    async def main() -> None:
        async with diverged() as here:
            plan = await planned(here, adopt=True)
            assert (plan.action, plan.keeps, plan.again, plan.cut) == ("adopt", 2, (), None)
            await retry_flow(here.store, plan)
            assert await here.scheduler.handle("f").result() == "new"
            assert runs == {"first": 1, "second": 1}
            marker = next(entry for entry in await here.entries() if isinstance(entry, Adopted))
            assert (marker.life, marker.attempt, marker.epoch) == (2, 1, 1)

    virtual(main)


def test_p3_retry_of_a_diverged_flow_lets_the_same_code_find_the_same() -> None:
    async def main() -> None:
        async with diverged() as here:
            before = await here.row()
            plan = await planned(here)
            assert (plan.action, plan.keeps, plan.again, plan.cancels) == ("again", 2, (), ())
            await retry_flow(here.store, plan)
            assert (await here.row()).note == b'{"attempt":1,"life":1}'
            await stands(here.scheduler.handle("f"), "blocked")
            after = await here.row()
            assert after.length == before.length
            assert b'"times":1' in (after.note or b"")

    virtual(main)


def test_m1_retry_of_a_blocked_flow_from_a_step_begins_a_new_life_there() -> None:
    async def main() -> None:
        async with diverged() as here:
            plan = await planned(here, from_step="ob_second")
            assert (plan.action, plan.keeps) == ("retry", 1)
            await retry_flow(here.store, plan)
            assert await here.scheduler.handle("f").result() == "new"
            assert runs == {"first": 1, "second": 2}
            assert len(keys["second"]) == 1
            marker = next(entry for entry in await here.entries() if isinstance(entry, Retried))
            assert (marker.operator, marker.cut, marker.error) == (True, plan.cut, None)

    virtual(main)


def test_k4_adopting_cancels_the_unfinished_children_of_the_life_it_ends() -> None:
    async def stuck() -> str:
        invoke(ob_kid("own"))
        invoke(ob_kid("detached"), detached=True)
        await asyncio.get_running_loop().create_future()
        return ""

    async def main() -> None:
        async with rig() as here:
            begins = code(stuck)
            here.start(begins, ob_kid)
            handle = await here.scheduler.schedule(begins(), id="f")
            await stands(handle, "blocked")
            for kid in ("f/ob_kid", "f/ob_kid#2"):
                await stands(here.scheduler.handle(kid), "waiting")
            assert (await planned(here)).cancels == ()
            plan = await planned(here, adopt=True)
            assert plan.cancels == ("f/ob_kid",)
            await retry_flow(here.store, plan)
            await stands(here.scheduler.handle("f/ob_kid"), "cancelled")
            await stands(handle, "blocked")
            await stands(here.scheduler.handle("f/ob_kid~2"), "waiting")
            assert await here.scheduler.handle("f/ob_kid#2").status() is Status.WAITING
            assert await here.store.get("f/ob_kid#2~2") is None

    virtual(main)


def test_k3_adopting_keeps_the_results_of_children_that_have_completed_unheard() -> None:
    async def begins() -> str:
        kids = [invoke(ob_kid("own")) for _ in range(2)]
        await ob_second()
        await wait_signal("go")
        return "".join([await kid for kid in kids])

    async def changed() -> str:
        kids = [invoke(ob_kid("own")) for _ in range(2)]
        await ob_first()
        return "".join([await kid for kid in kids])

    async def main() -> None:
        async with rig() as here:
            before, after = code(begins), code(changed)
            worker = here.start(before, ob_kid, fingerprint="old", residents=0)
            handle = await here.scheduler.schedule(before(), id="f")
            one, other, again = (here.scheduler.handle(f"f/ob_kid{n}") for n in ("", "#2", "#2~2"))
            await stands(handle, "waiting")
            await stands(other, "waiting")
            await one.signal("kid", "one")
            assert await one.result() == "one"
            await worker.shutdown()
            here.start(after, ob_kid, fingerprint="new")
            await handle.signal("go")
            await stands(handle, "blocked")
            plan = await planned(here, adopt=True)
            assert (plan.keeps, plan.cancels, [each.key for each in plan.again]) == (2, ("f/ob_kid#2",), ["ob_kid#2"])
            await retry_flow(here.store, plan)
            await stands(handle, "waiting")
            await again.signal("kid", "two")
            assert await handle.result() == "onetwo"
            assert await here.store.get("f/ob_kid~2") is None

    virtual(main)


def test_t5_retry_lists_the_at_most_once_steps_whose_end_nobody_knows() -> None:
    async def main() -> None:
        async with rig() as here:
            pays = code(_pays)
            first = here.start(pays)
            handle = await here.scheduler.schedule(pays(), id="f")
            while not runs["pay"]:
                await asyncio.sleep(0.001)
            await first.abort()
            here.start(pays)
            await stands(handle, "failed")
            plan = await planned(here)
            assert [(each.key, each.status, each.at_most_once) for each in plan.unknown] == [
                ("ob_once", "failed", True)
            ]
            assert plan.again == ()
            await retry_flow(here.store, plan)
            await stands(handle, "failed")
            assert runs["pay"] == 1
            forked = await here.scheduler.fork("f", from_step="ob_once", results={"ob_once": '"paid"'})
            assert await forked.result() == "paid"
            assert runs["pay"] == 1

    virtual(main)


async def _pays() -> str:
    return await ob_once("pay")


@pytest.mark.parametrize(
    ("status", "how", "said"),
    [
        ("blocked", {"adopt": True, "from_step": "ob_first"}, "adopted as a whole"),
        ("failed", {"adopt": True}, "is failed: only blocked flows are adopted"),
        ("blocked", {"from_step": "nothing"}, "'nothing' is not recorded"),
    ],
)
def test_p3_new_life_that_cannot_be_is_refused(status: str, how: dict[str, Any], said: str) -> None:
    async def main() -> None:
        async with diverged() as here:
            stored(here).status = Status(status)
            with pytest.raises(OperatorRefused, match=said):
                await planned(here, **how)

    virtual(main)


def test_journal_that_cannot_be_read_is_tried_again_but_begins_no_new_life() -> None:
    async def main() -> None:
        async with diverged() as here:
            stored(here).journal[1] = b"?"
            row = await here.row()
            for life in (plan_retry(here.store, row, adopt=True), plan_retry(here.store, row, from_step="ob_second")):
                with pytest.raises(OperatorRefused, match="cannot be used: journal entry 1 cannot be read"):
                    await life
            with pytest.raises(OperatorRefused, match="journal entry 1 cannot be read"):
                await plan_fork(here.store, row, from_step="ob_second")
            await retry_flow(here.store, await planned(here))
            await stands(here.scheduler.handle("f"), "blocked")
            assert b'"unreadable"' in ((await here.row()).note or b"")

    virtual(main)


def test_p5_retry_of_a_crash_loop_lets_it_run_again_with_no_deaths() -> None:
    async def main() -> None:
        async with rig() as here:
            row = code(_pays)
            handle = await here.scheduler.schedule(row(), id="f")
            stored(here).status, stored(here).deaths, stored(here).recoveries = Status.BLOCKED, 5, 7
            with pytest.raises(OperatorRefused, match="has recorded nothing yet"):
                await planned(here, adopt=True)
            await retry_flow(here.store, await planned(here))
            found = await here.row()
            assert (found.status, found.deaths, found.recoveries) == (Status.PENDING, 0, 0)
            assert await handle.status() is Status.PENDING

    virtual(main)


def test_m5_operators_retry_of_a_flow_that_keeps_nothing_keeps_nothing() -> None:
    async def main() -> None:
        async with rig() as here:

            @flow(name="saga", retry=RetryPolicy(max_attempts=2, initial=1), keep=False)
            async def saga() -> str:
                await ob_first()
                if len(fails) > 0:
                    raise ValueError(fails.pop())
                return "done"

            fails = ["a", "b"]
            here.start(saga)
            handle = await here.scheduler.schedule(saga(), id="f")
            await stands(handle, "failed")
            plan = await planned(here)
            assert (plan.keeps, [each.key for each in plan.again]) == (0, ["ob_first~2"])
            await retry_flow(here.store, plan)
            assert await handle.result() == "done"
            assert runs["first"] == 3
            assert len(keys) == 1
            marker = [entry for entry in await here.entries() if isinstance(entry, Retried)][-1]
            assert (marker.epoch, marker.keep, marker.operator) == (3, False, True)

    virtual(main)


def test_p3_flow_whose_operator_died_ends_as_it_had_ended() -> None:
    async def main() -> None:
        async with rig() as here:
            begins = code(_pays)
            handle = await here.scheduler.schedule(begins(), id="f")
            assert await handle.cancel()
            assert await take(here.store, "f", Status.CANCELLED)  # and nothing more is heard of them
            here.start(begins)
            await stands(handle, "cancelled")
            assert runs["pay"] == 0

    virtual(main)
