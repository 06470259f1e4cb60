"""Two versions of one flow type side by side, and a small change inside a flow that is under way.

Shows `version=`: a flow keeps the version that it was scheduled with, and only workers that serve that version take it.
`Delivery` invokes two child flows, one after the other; its version 2 insures the parcel as well. Shows `patched` too:
`send_parcel` weighs parcels since a while, and parcels that were handed over before that go on without.

    python sample_flows/versions.py

It schedules an order of each version. The first worker serves version 1 only, so the other order stays pending until a
second worker serves both. By the command line, `ergon inspect new` tells what that order waits for (WHY):

    ergon schedule Delivery -m sample_flows/versions.py -a order_id=A-1 --version 1 --id old
    ergon schedule Delivery -m sample_flows/versions.py -a order_id=A-2 --id new
    ergon inspect new
    ergon worker -m sample_flows/versions.py --burst
    ergon inspect old
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from ergon_runtime import Scheduler, Worker, flow, flow_type, invoke, open_store, patched, sleep, step


@step
async def charge(order_id: str) -> str:
    return f"{order_id} paid"


@step
async def weigh(order_id: str) -> int:
    return 100 * len(order_id)


@step
async def hand_over(order_id: str) -> str:
    return f"parcel-{order_id}"


@step
async def insure(parcel: str) -> str:
    return f"{parcel} insured"


@flow
async def take_payment(order_id: str) -> str:
    return await charge(order_id)


@flow
async def send_parcel(order_id: str, pause: float = 0.1) -> str:
    if patched("weigh parcels"):  # new; the rest is as it was
        await weigh(order_id)
    parcel = await hand_over(order_id)
    await sleep(pause, name="carrier")
    return parcel


@dataclass
@flow_type(name="Delivery", version="1")
class FirstDelivery:
    order_id: str

    @flow
    async def run(self) -> str:
        payment = await invoke(take_payment(self.order_id))
        parcel = await invoke(send_parcel(self.order_id))
        return f"{payment}, {parcel}"


@dataclass
@flow_type(version="2")
class Delivery:  # defined last, so this is what `ergon schedule Delivery` takes
    order_id: str

    @flow
    async def run(self) -> str:
        payment = await invoke(take_payment(self.order_id))
        parcel = await invoke(send_parcel(self.order_id))
        return f"{payment}, {await insure(parcel)}"


async def play(url: str) -> None:
    async with open_store(url) as store:
        scheduler = Scheduler(store)
        new = await scheduler.schedule(Delivery("A-2"))
        old = await scheduler.schedule(FirstDelivery("A-1"))
        async with await Worker(store).register(FirstDelivery, take_payment, send_parcel).start():
            print(f"version 1: {await old.result(timeout=30)}")
            print(f"version 2: {await new.status()}")
        async with await Worker(store).register(FirstDelivery, Delivery, take_payment, send_parcel).start():
            print(f"version 2: {await new.result(timeout=30)}")


if __name__ == "__main__":
    asyncio.run(play(*(sys.argv[1:2] or ["memory://"])))
