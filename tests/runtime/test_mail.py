"""Cancels by people: they are mail, and flows that are blocked or never ran are then ended at once (P3)."""

from __future__ import annotations

import asyncio

from ergon_runtime import Status, flow, invoke, wait_signal
from ergon_runtime.mail import cancel_flow
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.faults import Faults, FaultyStore
from tests.runtime.rigs import Rig, rig, virtual
from tests.runtime.workers import Shop, run, shop, until


@flow
async def mail_kid(name: str) -> str:
    return await wait_signal(name, str)


@flow
async def mail_later() -> str:
    return "it ran"


@flow
async def mail_stuck() -> None:
    invoke(mail_kid("own"))
    invoke(mail_kid("detached"), detached=True)
    await asyncio.get_running_loop().create_future()


async def _status(here: Shop, flow_id: str) -> Status | None:
    row = await here.store.get(flow_id)
    return row.status if row else None


def test_cancel_of_a_blocked_flow_cancels_its_children_but_not_the_detached() -> None:
    async def main() -> None:
        async with shop(mail_kid, mail_stuck) as here:
            await here.scheduler.schedule(mail_stuck(), id="f")

            async def settled() -> bool:
                waiting = [await _status(here, f"f/mail_kid{n}") is Status.WAITING for n in ("", "#2")]
                return all(waiting) and await _status(here, "f") is Status.BLOCKED

            await until(settled)
            assert await cancel_flow(here.store, "f") is True
            assert await _status(here, "f") is Status.CANCELLED

            async def cancelled() -> bool:
                return await _status(here, "f/mail_kid") is Status.CANCELLED

            await until(cancelled)
            assert await _status(here, "f/mail_kid#2") is Status.WAITING

    run(main)


def test_cancel_of_a_delayed_flow_holds_though_the_person_dies_on_the_way() -> None:
    async def main() -> None:
        async with rig(mail_later) as here:
            handle = await here.scheduler.schedule(mail_later(), id="f", delay=600)
            person = await die_after_the_claim(here)
            assert (await handle.outcome()).status is Status.CANCELLED
            person.cancel()

    virtual(main)


async def die_after_the_claim(here: Rig) -> asyncio.Task[bool]:
    """Somebody cancels f, and gets no further than claiming it."""
    assert isinstance(here.store, MemoryStore)
    faults = Faults()
    faults.counted, faults.plan = ("claim",), {1: "dead after"}
    person = asyncio.create_task(cancel_flow(FaultyStore(here.store, faults), "f"))
    await faults.died.wait()
    return person
