"""Cancels by people: of flows that run they are mail, blocked ones are ended at once (P3)."""

from __future__ import annotations

import asyncio

from ergon_runtime import Status, flow, invoke, wait_signal
from ergon_runtime.mail import cancel_flow
from tests.runtime.workers import Shop, run, shop, until


@flow
async def mail_kid(name: str) -> str:
    return await wait_signal(name, str)


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
