"""A purchase in full: checks, a payment that is retried, a delivery with a pause; in two versions of its flow type.

    ergon worker -m sample_flows/comprehensive.py
    ergon schedule Purchase -m sample_flows/comprehensive.py -a order=O-1 -a customer=Ada --version v1.0 --id O-1 --wait
    ergon schedule Purchase -m sample_flows/comprehensive.py -a order=O-2 -a customer=Bob --id O-2 --wait
    ergon inspect O-2
    ergon list

They print {"order": "O-1", "version": "v1.0", "payment": "pay-O-1 at try 3", "parcel": "parcel-O-1"}, and the like with
v2.0, which is the last one defined. A flow keeps the version that it was scheduled with, and a worker serves both. With
`customer=Mallory` it fails with CheckFailed before anything is paid, with `card=empty` with PaymentDeclined. Without a
worker, here and now, children included:

    ergon run Purchase -m sample_flows/comprehensive.py -a order=O-3 -a customer=Eve
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ergon_runtime import NonRetryableError, RetryPolicy, flow, flow_type, invoke, run_dag, sleep, step, step_info


class CheckFailed(NonRetryableError):
    """The order must not be carried out."""


class PaymentDeclined(NonRetryableError):
    """The bank said no, and would say it again."""


@dataclass(frozen=True)
class Purchased:
    order: str
    version: str
    payment: str
    parcel: str


@step(retry=RetryPolicy(max_attempts=5, initial=0.05))
async def debit(order: str, card: str) -> str:
    if card == "empty":
        raise PaymentDeclined(f"there is no money for {order}")
    if step_info().attempt < 3:
        raise ConnectionError("the bank does not answer")
    return f"pay-{order} at try {step_info().attempt}"


@flow
async def payment(order: str, card: str) -> str:
    return await debit(order, card)


@step
async def pack(order: str) -> str:
    return f"parcel-{order}"


@flow
async def delivery(order: str, pause: float) -> str:
    parcel = await pack(order)
    await sleep(pause, name="carrier")  # in a flow, not in a step: it is durable, and occupies nobody
    return parcel


@dataclass
class Order:
    """What both versions have in common."""

    order: str
    customer: str
    card: str = "gold"
    pause: float = 0.1

    @step
    async def check_customer(self) -> bool:
        return self.customer != "Mallory"

    @step
    async def check_stock(self) -> bool:
        return True

    @step
    async def check_fraud(self) -> bool:
        return True

    @step(inputs={"customer": check_customer, "stock": check_stock, "fraud": check_fraud})
    async def approve(self, customer: bool, stock: bool, fraud: bool) -> None:
        if not (customer and stock and fraud):
            raise CheckFailed(f"{self.order}: {customer=}, {stock=}, {fraud=}")

    async def carry_out(self, version: str) -> Purchased:
        paid = await invoke(payment(self.order, self.card))
        parcel = await invoke(delivery(self.order, self.pause))
        return Purchased(self.order, version, paid, parcel)


@dataclass
@flow_type(name="Purchase", version="v1.0")
class FirstPurchase(Order):
    """Checks as plain asyncio: what runs beside what is written out."""

    @flow
    async def run(self) -> Purchased:
        checks = await asyncio.gather(self.check_customer(), self.check_stock(), self.wait_and_check_fraud())
        await self.approve(*checks)
        return await self.carry_out("v1.0")

    async def wait_and_check_fraud(self) -> bool:
        await sleep(self.pause, name="fraud office")
        return await self.check_fraud()


@dataclass
@flow_type(name="Purchase", version="v2.0")
class Purchase(Order):
    """Checks as a DAG: each step says what it needs, and starts as soon as it has it."""

    @flow
    async def run(self) -> Purchased:
        await sleep(self.pause, name="fraud office")
        await run_dag(self, final=self.approve)
        return await self.carry_out("v2.0")
