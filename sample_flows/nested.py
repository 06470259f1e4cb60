"""A flow in several functions and objects: helpers that call steps, and another flow's steps used inline.

Shows that flow code may be cut up like any other code. A plain async function called by a flow is part of it, and so is
a plain method of another flow object: the steps that they call are recorded in the flow that runs. Nothing is scheduled
for them, as it would be with `invoke`. Steps stay steps: a helper that calls some is not to be one itself.

    ergon worker -m sample_flows/nested.py
    ergon schedule Checkout -m sample_flows/nested.py -a order=A-17 -a total=9.50 -a 'items=["pen", "ink"]' --id A-17
    ergon inspect A-17
    ergon schedule CardPayment -m sample_flows/nested.py -a order=B-4 -a amount=5 --wait

The checkout ends with {"order": "A-17", "payment": "captured auth-A-17", "shelves": ["shelf-pen", "shelf-ink"]}, and
`inspect` shows the steps of all parts in the one flow: `check`, `authorize` and `capture` of the payment, `reserve` of
each item, side by side. CardPayment alone prints "captured auth-B-4".

Without a worker, here and now:

    ergon run Checkout -m sample_flows/nested.py -a order=C-1 -a total=3 -a 'items=["pen"]'
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from ergon_runtime import NonRetryableError, flow, flow_type, step


class EmptyOrder(NonRetryableError):
    """There is nothing to sell."""


@dataclass(frozen=True)
class Confirmation:
    order: str
    payment: str
    shelves: list[str]


@dataclass
@flow_type
class CardPayment:
    order: str
    amount: Decimal

    @step
    async def authorize(self) -> str:
        return f"auth-{self.order}"

    @step
    async def capture(self, code: str) -> str:
        return f"captured {code}"

    async def process(self) -> str:  # no decorator: part of whichever flow calls it
        return await self.capture(await self.authorize())

    @flow
    async def run(self) -> str:
        return await self.process()


@dataclass(frozen=True)
class Stock:
    """Not even a flow type: any object may have steps."""

    warehouse: str

    @step
    def reserve(self, item: str) -> str:  # a plain def works as well, and runs in a thread
        return f"shelf-{item}"

    async def reserve_all(self, items: list[str]) -> list[str]:
        return await asyncio.gather(*(self.reserve(item) for item in items))


@step
async def check(items: list[str], total: Decimal) -> None:
    if not items or total <= 0:
        raise EmptyOrder("an order needs items and a total above 0")


async def checked(items: list[str], total: Decimal) -> list[str]:
    await check(items, total)
    return sorted(set(items), key=items.index)


@dataclass
@flow_type
class Checkout:
    order: str
    items: list[str]
    total: Decimal

    @flow
    async def run(self) -> Confirmation:
        items = await checked(self.items, self.total)
        payment = await CardPayment(self.order, self.total).process()
        shelves = await Stock("north").reserve_all(items)
        return Confirmation(self.order, payment, shelves)
