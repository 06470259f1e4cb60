"""Retries by people: planned first, then done; what succeeded is not run again (P3, M1, T5)."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from ergon_runtime import flow, invoke, step, step_info, wait_signal
from ergon_runtime.core.entries import Retried
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.operators import RetryPlan, plan_retry, retry_flow
from tests.runtime.rigs import Rig, rig, stands, virtual

runs: Counter[str] = Counter()
"""How often each step of these flows was run."""
keys: dict[str, list[str]] = {}
"""The idempotency keys that each step was run with."""
broken: set[str] = set()
"""Steps that fail."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    runs.clear()
    keys.clear()
    broken.clear()


def run_once(name: str, value: str) -> str:
    runs[name] += 1
    keys.setdefault(name, []).append(step_info().idempotency_key)
    if name in broken:
        raise ValueError(f"{name} is broken")
    return f"{name}:{value}"


@step
async def op_reserve(value: str) -> str:
    return run_once("reserve", value)


@step
async def op_charge(value: str) -> str:
    return run_once("charge", value)


@step
async def op_send(value: str) -> str:
    return run_once("send", value)


@step(at_most_once=True)
async def op_pay(value: str) -> str:
    return run_once("pay", value)


@flow
async def op_order(value: str) -> str:
    reserved = await op_reserve(value)
    charged = await op_charge(reserved)
    return await op_send(charged)


@flow
async def op_once(value: str) -> str:
    paid = await op_pay(value)
    return await op_send(paid)


async def planned(here: Rig, flow_id: str = "f", **how: Any) -> RetryPlan:
    return await plan_retry(here.store, await here.row(flow_id), **how)


async def retried(here: Rig, flow_id: str = "f", **how: Any) -> RetryPlan:
    plan = await planned(here, flow_id, **how)
    await retry_flow(here.store, plan)
    return plan


async def failed(here: Rig, value: Any, *names: str) -> None:
    """Run a flow `f` that fails, since these steps do."""
    broken.update(names)
    handle = await here.scheduler.schedule(value, id="f")
    await stands(handle, "failed")
    broken.clear()


def test_m1_retry_of_a_failed_flow_runs_only_what_failed() -> None:
    async def main() -> None:
        async with rig(op_order) as here:
            await failed(here, op_order("a"), "send")
            plan = await retried(here)
            assert (plan.action, plan.cut, plan.keeps, plan.cancels) == ("retry", None, 2, ())
            assert [(each.key, each.status) for each in plan.again] == [("op_send", "failed")]
            assert await here.scheduler.handle("f").result() == "send:charge:reserve:a"
            assert runs == {"reserve": 1, "charge": 1, "send": 2}
            assert len(set(keys["send"])) == 1
            marker = next(entry for entry in await here.entries() if isinstance(entry, Retried))
            assert (marker.operator, marker.attempt, marker.epoch, marker.keep) == (True, 1, 1, True)
            assert "send is broken" in (marker.error or "")

    virtual(main)


def test_m1_retry_from_a_step_forgets_what_was_recorded_from_there_on() -> None:
    async def main() -> None:
        async with rig(op_order) as here:
            await failed(here, op_order("a"), "send")
            plan = await retried(here, from_step="op_charge")
            assert (plan.cut, plan.keeps) == (2, 1)
            assert [each.key for each in plan.again] == ["op_charge", "op_send"]
            await here.scheduler.handle("f").result()
            assert runs == {"reserve": 1, "charge": 2, "send": 2}
            assert len(set(keys["charge"])) == 1

    virtual(main)


def test_m1_retry_from_a_step_of_a_later_life_names_it_by_its_life() -> None:
    async def main() -> None:
        async with rig(op_order) as here:
            await failed(here, op_order("a"), "charge")
            broken.add("send")
            await retried(here)
            await stands(here.scheduler.handle("f"), "failed")
            broken.clear()
            first, second = [await planned(here, from_step=name) for name in ("op_charge~1", "op_charge~2")]
            newest = await planned(here, from_step="op_charge")
            assert first.cut is not None
            assert second.cut is not None
            assert first.cut < second.cut
            assert newest.cut == second.cut
            await retry_flow(here.store, first)
            await here.scheduler.handle("f").result()
            assert runs == {"reserve": 1, "charge": 3, "send": 2}

    virtual(main)


def test_plan_of_an_unknown_step_names_the_nearest() -> None:
    async def main() -> None:
        async with rig(op_order) as here:
            await failed(here, op_order("a"), "send")
            with pytest.raises(OperatorRefused, match=r"'op_chrge' is not recorded: there is op_charge"):
                await planned(here, from_step="op_chrge")

    virtual(main)


def test_p3_retry_of_what_is_not_over_or_completed_is_refused_with_what_helps() -> None:
    @flow
    async def op_patient() -> str:
        return await wait_signal("go", str)

    async def main() -> None:
        async with rig(op_order, op_patient) as here:
            await here.result(op_order("a"), "done")
            with pytest.raises(OperatorRefused) as refusal:
                await planned(here, "done")
            assert refusal.value.fix == "ergon fork done --from STEP"
            await stands(await here.scheduler.schedule(op_patient(), id="w"), "waiting")
            with pytest.raises(OperatorRefused, match="it is waiting"):
                await planned(here, "w")

    virtual(main)


def test_p3_of_two_who_retry_one_wins_and_the_other_is_told() -> None:
    async def main() -> None:
        async with rig(op_order) as here:
            await failed(here, op_order("a"), "send")
            one, other = await planned(here), await planned(here)
            ends = await asyncio.gather(*(retry_flow(here.store, p) for p in (one, other)), return_exceptions=True)
            assert [type(end) for end in ends] == [type(None), OperatorRefused]
            assert "moved on" in str(ends[1])
            await here.scheduler.handle("f").result()
            assert runs["send"] == 2

    virtual(main)


def test_p3_plan_for_a_flow_that_has_failed_again_since_changes_nothing() -> None:
    async def main() -> None:
        async with rig(op_order) as here:
            await failed(here, op_order("a"), "send")
            stale = await planned(here)
            broken.add("send")
            await retried(here)
            await stands(here.scheduler.handle("f"), "failed")
            before = await here.row()
            with pytest.raises(OperatorRefused, match="moved on"):
                await retry_flow(here.store, stale)
            after = await here.row()
            assert (after.status, after.result, after.length) == (before.status, before.result, before.length)
            with pytest.raises(ValueError, match="send is broken"):
                await here.scheduler.handle("f").result()

    virtual(main)


def test_t5_retry_that_would_forget_an_at_most_once_step_is_refused() -> None:
    async def main() -> None:
        async with rig(op_once) as here:
            await failed(here, op_once("a"), "send")
            with pytest.raises(OperatorRefused, match="op_pay runs at most once") as refusal:
                await planned(here, from_step="op_pay")
            assert refusal.value.fix == "ergon fork f --from op_pay"
            await retried(here, from_step="op_send")
            assert await here.scheduler.handle("f").result() == "send:pay:a"
            assert runs == {"pay": 1, "send": 2}

    virtual(main)


def test_retry_of_a_flow_cancelled_before_it_ran_runs_it() -> None:
    async def main() -> None:
        async with rig() as here:
            handle = await here.scheduler.schedule(op_order("a"), id="f")
            assert await handle.cancel()
            await retried(here)
            here.start(op_order)
            assert await handle.result() == "send:charge:reserve:a"

    virtual(main)


def test_k4_children_of_an_ended_life_are_made_anew() -> None:
    @flow
    async def op_child() -> str:
        return await op_charge("kid")

    @flow
    async def op_parent() -> str:
        return await invoke(op_child())

    async def main() -> None:
        async with rig(op_parent, op_child) as here:
            await failed(here, op_parent(), "charge")
            plan = await retried(here)
            assert [(each.key, each.kind, each.status) for each in plan.again] == [("op_child", "child", "failed")]
            assert await here.scheduler.handle("f").result() == "charge:kid"
            assert (await planned_of(here, "f/op_child")).parent == "f"

    async def planned_of(here: Rig, flow_id: str) -> RetryPlan:
        return await planned(here, flow_id)

    virtual(main)


@pytest.mark.parametrize(("breaks", "ran"), [("charge", 2), ("send", 1)])
def test_m3_cut_between_a_detached_child_and_its_end_remembers_one_that_completed(breaks: str, ran: int) -> None:
    @flow
    async def op_far_child() -> str:
        return await op_charge("kid")

    @flow
    async def op_far_parent() -> str:
        kid = invoke(op_far_child(), detached=True)
        await op_reserve("a")
        return await op_send(await kid)

    async def main() -> None:
        async with rig(op_far_parent, op_far_child) as here:
            await failed(here, op_far_parent(), breaks)
            plan = await retried(here, from_step="op_reserve")
            assert ("op_far_child" in [each.key for each in plan.again]) is (ran == 2)
            assert await here.scheduler.handle("f").result(timeout=60) == "send:charge:kid"
            assert (runs["charge"], runs["reserve"]) == (ran, 2)

    virtual(main)
