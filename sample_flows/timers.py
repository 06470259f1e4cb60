"""Durable timers: pauses that end when they should, whoever dies meanwhile, and a race of a timer and a step.

Shows sleeps with names, plain asyncio.sleep, several pauses at once, and asyncio.timeout around a step. A flow that
pauses holds no worker, so any number of workers, started by the same line, share any number of such flows.

    ergon worker -m sample_flows/timers.py
    ergon schedule send_order -m sample_flows/timers.py -a order=A-17 --wait
    ergon schedule end_trial -m sample_flows/timers.py -a user=Ada --wait
    ergon schedule alarms -m sample_flows/timers.py --wait
    ergon schedule ask_price -m sample_flows/timers.py -a takes=9 --wait

The order takes 2 s for a fraud check and 3 s in the warehouse. It prints {"order": "A-17", "parcel": "parcel-A-17",
"waited": 5.01}, where `waited` is in seconds. Kill the worker (kill -9) in between and start another: if that is there
in time, nothing comes later. The trial prints "Ada: your trial is over"; the alarms print ["tea", "eggs", "bread"], in
the order in which they go off. The shop has 2 s to name a price; it takes 9, so the answer is "7 (as of last year)".

Without a worker, here and now:

    ergon run alarms -m sample_flows/timers.py -a unit=0.5
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ergon_runtime import flow, now, sleep, step


@dataclass(frozen=True)
class Sent:
    order: str
    parcel: str
    waited: float


@step
async def take_payment(order: str) -> str:
    return f"payment-{order}"


@step
async def hand_to_carrier(order: str, payment: str) -> str:
    return f"parcel-{order}"


@flow
async def send_order(order: str, fraud_check: float = 2.0, warehouse: float = 3.0) -> Sent:
    begun = now()  # the flow's time: the same in every replay
    await sleep(fraud_check, name="fraud-check")  # `ergon inspect` shows the name
    payment = await take_payment(order)
    await sleep(warehouse, name="warehouse")
    parcel = await hand_to_carrier(order, payment)
    return Sent(order, parcel, (now() - begun).total_seconds())


@step
async def write_to(user: str) -> str:
    return f"{user}: your trial is over"


@flow
async def end_trial(user: str, after: float = 2.0) -> str:
    await asyncio.sleep(after)  # just as durable
    return await write_to(user)


@flow
async def alarms(unit: float = 1.0) -> list[str]:
    rung: list[str] = []

    async def alarm(name: str, units: int) -> None:
        await sleep(units * unit, name=name)
        rung.append(name)

    async with asyncio.TaskGroup() as kitchen:
        kitchen.create_task(alarm("bread", 3))
        kitchen.create_task(alarm("tea", 1))
        kitchen.create_task(alarm("eggs", 2))
    return rung


@step
async def ask_shop(takes: float) -> str:
    await asyncio.sleep(takes)  # in a step this is just the time that it takes
    return "8"


@step
async def look_up_old_price() -> str:
    return "7 (as of last year)"


@flow
async def ask_price(takes: float = 1.0, patience: float = 2.0) -> str:
    try:
        async with asyncio.timeout(patience):  # counts on while no worker is there
            return await ask_shop(takes)
    except TimeoutError:  # the step was stopped
        return await look_up_old_price()
