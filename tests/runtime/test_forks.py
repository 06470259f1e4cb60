"""Forks: what they remember of the flow they are from, what they run by themselves, and that half a one never runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from ergon_runtime import continue_as_new, flow, invoke, sleep, step, step_info, wait_signal
from ergon_runtime.core.entries import Forked, SignalReceived
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.operators import ForkPlan, fork_flow, plan_fork
from tests.runtime.rigs import Rig, rig, stands, virtual

runs: Counter[str] = Counter()
"""How often each step was run, in which flow."""
broken: set[str] = set()
"""Steps that fail."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    runs.clear()
    broken.clear()


def ran(name: str) -> str:
    info = step_info()
    runs[f"{info.flow_id} {name}"] += 1
    assert info.idempotency_key.startswith(f"{info.flow_id}:")
    if name in broken:
        raise ValueError(f"{name} is broken")
    return name


@step
async def fk_price(item: str) -> int:
    ran("price")
    return len(item)


@step
async def fk_rate(country: str) -> int:
    ran("rate")
    return len(country)


@step(at_most_once=True)
async def fk_pay(amount: int) -> str:
    ran("pay")
    return f"paid {amount}"


@step
async def fk_send(what: str) -> str:
    ran("send")
    return f"sent {what}"


@flow
async def fk_order(item: str, country: str) -> str:
    price = await fk_price(item)
    rate = await fk_rate(country)
    paid = await fk_pay(price * rate)
    return await fk_send(paid)


@flow
async def fk_approval(name: str) -> str:
    await fk_rate("x")
    said = await wait_signal("go", str)
    await fk_send(said)
    await sleep(60)
    return said


@flow
async def fk_rounds(n: int) -> int:
    await fk_rate("x" * n)
    if n < 3:
        continue_as_new(fk_rounds(n + 1))
    await fk_send("x")
    return n


@flow
async def fk_kid(name: str) -> str:
    return await fk_send(name)


@flow
async def fk_parent() -> str:
    kid = invoke(fk_kid("kid"), detached=True)
    await fk_rate("x")
    return await kid


async def planned(here: Rig, flow_id: str, from_step: str, **how: Any) -> ForkPlan:
    return await plan_fork(here.store, await here.row(flow_id), from_step=from_step, **how)


async def forked(here: Rig, flow_id: str, from_step: str, new_id: str = "g", **how: Any) -> ForkPlan:
    plan = await planned(here, flow_id, from_step, new_id=new_id, **how)
    assert await fork_flow(here.store, plan) == new_id
    return plan


async def result(here: Rig, flow_id: str = "g") -> Any:
    return await here.scheduler.handle(flow_id).result()


def test_m1_fork_of_a_completed_flow_runs_what_follows_the_cut_under_its_own_keys() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            before = await here.row()
            plan = await forked(here, "f", "fk_pay")
            assert (plan.keeps, [each.key for each in plan.again]) == (2, ["fk_pay", "fk_send"])
            assert [each.at_most_once for each in plan.again] == [True, False]
            assert await result(here) == "sent paid 4"
            assert {name for name in runs if name.startswith("g")} == {"g pay", "g send"}
            assert await here.row() == before
            row = await here.row("g")
            assert (row.seed, row.lane, row.args, row.parent) == (before.seed, before.lane, before.args, None)
            marker = next(entry for entry in await here.entries("g") if isinstance(entry, Forked))
            assert (marker.source, marker.cut, marker.life, marker.epoch) == ("f", plan.cut, 2, 1)

    virtual(main)


def test_m2_fork_with_other_arguments_runs_only_steps_that_see_them() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            args = (await here.row()).args.replace(b"de", b"fra")
            plan = await forked(here, "f", "fk_send", args=args)
            assert plan.edited_args
            assert await result(here) == "sent paid 6"
            assert {name for name in runs if name.startswith("g")} == {"g rate", "g pay", "g send"}

    virtual(main)


def test_m2_fork_with_another_result_runs_only_steps_that_see_it() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            plan = await forked(here, "f", "fk_send", results={"fk_rate": "10"})
            assert plan.edited == ("fk_rate",)
            assert await result(here) == "sent paid 20"
            assert {name for name in runs if name.startswith("g")} == {"g pay", "g send"}

    virtual(main)


def test_fork_gives_a_failed_step_a_result_also_at_the_cut() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            broken.add("pay")
            await stands(await here.scheduler.schedule(fk_order("ab", "de"), id="f"), "failed")
            plan = await forked(here, "f", "fk_pay", results={"fk_pay": '"by hand"'})
            assert plan.again == ()
            assert await result(here) == "sent by hand"
            assert {name for name in runs if name.startswith("g")} == {"g send"}

    virtual(main)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"results": {"fk_send": '"x"'}}, "'fk_send' has no result before the cut: there is fk_"),
        ({"results": {"fk_price": "{"}}, "the result of fk_price cannot be read as JSON"),
        ({"args": b"["}, "the arguments cannot be read as JSON"),
        ({"new_id": "a/b"}, "cannot be a flow id"),
        ({"from_step": "fk_paj"}, "'fk_paj' is not recorded: there is fk_pay"),
    ],
)
def test_fork_of_what_cannot_be_is_refused_and_says_what_can(how: dict[str, Any], said: str) -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            with pytest.raises(OperatorRefused, match=said):
                await planned(here, "f", **{"from_step": "fk_pay", **how})

    virtual(main)


def test_fork_of_a_waiting_flow_keeps_its_signals_or_waits_for_its_own() -> None:
    async def main() -> None:
        async with rig(fk_approval) as here:
            handle = await here.scheduler.schedule(fk_approval("a"), id="f")
            await stands(handle, "waiting")
            early = await forked(here, "f", "go", "early")
            assert early.cut == (await here.row()).length
            await handle.signal("go", "yes")
            while b'"sleep"' not in ((await here.row()).note or b""):
                await asyncio.sleep(0.001)
            kept = await forked(here, "f", "sleep", "kept")
            without = await forked(here, "f", "sleep", "without", signals=False)
            assert (kept.dropped, without.dropped) == ((), ("go",))
            assert await result(here, "kept") == "yes"
            for name in ("early", "without"):
                await stands(here.scheduler.handle(name), "waiting")
                await here.scheduler.handle(name).signal("go", "no")
                assert await result(here, name) == "no"
            signals = [entry for entry in await here.entries("kept") if isinstance(entry, SignalReceived)]
            assert [entry.value for entry in signals] == ['"yes"']
            assert await handle.result() == "yes"

    virtual(main)


def test_m1_fork_of_a_flow_that_continued_as_new_begins_with_the_arguments_of_its_cut() -> None:
    async def main() -> None:
        async with rig(fk_rounds) as here:
            await here.result(fk_rounds(1))
            await forked(here, "f", "fk_send", "last")
            await forked(here, "f", "fk_rate~2", "second")
            assert [await result(here, name) for name in ("last", "second")] == [3, 3]
            assert {name: n for name, n in runs.items() if not name.startswith("f")} == {
                "last send": 1,
                "second rate": 2,
                "second send": 1,
            }
            assert (await here.row("second")).args != (await here.row("f")).args

    virtual(main)


def test_m1_fork_of_a_fork_remembers_what_both_have_recorded() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            await forked(here, "f", "fk_pay", results={"fk_rate": "10"})
            await result(here)
            plan = await forked(here, "g", "fk_send", "h")
            assert plan.keeps == 3
            assert await result(here, "h") == "sent paid 20"
            assert {name for name in runs if name.startswith("h")} == {"h send"}

    virtual(main)


def test_k3_fork_remembers_a_detached_child_that_has_completed_and_makes_its_own_of_others() -> None:
    async def main() -> None:
        async with rig(fk_parent, fk_kid) as here:
            broken.add("send")
            await stands(await here.scheduler.schedule(fk_parent(), id="f"), "failed")
            own = await planned(here, "f", "fk_rate")
            assert [each.key for each in own.again] == ["fk_kid", "fk_rate"]
            broken.clear()
            await fork_flow(here.store, own)
            assert await result(here, own.new_id) == "sent kid"
            again = await planned(here, own.new_id, "fk_rate~2")
            assert [each.key for each in again.again] == ["fk_rate~2"]
            await fork_flow(here.store, again)
            assert await result(here, again.new_id) == "sent kid"
            assert runs[f"{again.new_id}/fk_kid~3 send"] == 0

    virtual(main)


def test_default_id_of_a_fork_is_readable_and_its_own() -> None:
    async def main() -> None:
        async with rig(fk_parent, fk_kid) as here:
            await here.result(fk_parent())
            child, other = [(await planned(here, "f/fk_kid", "fk_send")).new_id for _ in range(2)]
            assert child.startswith("f-fk_kid-fork-")
            assert child != other
            again = (await planned(here, "f", "fk_rate", new_id="f-fork-123abc")).new_id
            assert again == "f-fork-123abc"
            await forked(here, "f", "fk_rate", again)
            assert (await planned(here, again, "fk_kid")).new_id.count("-fork-") == 1

    virtual(main)


def test_p3_id_that_is_taken_is_refused() -> None:
    async def main() -> None:
        async with rig(fk_order) as here:
            await here.result(fk_order("ab", "de"))
            plan = await forked(here, "f", "fk_pay")
            with pytest.raises(OperatorRefused, match="flow g exists already"):
                await fork_flow(here.store, plan)

    virtual(main)
