"""An order: validate, charge with retries, wait for somebody's approval, ship as a child flow, write a receipt.

Shows steps as methods and as functions, a retry policy, an idempotency key for the payment service, a signal with a
timeout, a compensation (the refund), and a child flow.

    ergon worker -m sample_flows/orders.py
    ergon schedule OrderFlow -m sample_flows/orders.py -a order_id=A-17 -a amount=99.50 --id order-A-17
    ergon inspect order-A-17
    ergon signal approve-A-17 '{"approved": true, "by": "Ada"}'
    ergon inspect order-A-17

The first charge fails, as the payment service is said to be down, and is tried again. Then the order waits, a day at
most, without holding a worker. After the signal it completes with {"order_id": "A-17", "outcome": "shipped", ...}. A
refusal, or a day without an answer, gives the money back: "outcome": "refunded".
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from ergon_runtime import NonRetryableError, RetryPolicy, flow, flow_type, invoke, sleep, step, step_info, wait_signal


@dataclass(frozen=True)
class Decision:
    """The payload of the signal `approve-<order id>`."""

    approved: bool
    by: str = "nobody"


@dataclass(frozen=True)
class Receipt:
    order_id: str
    outcome: str
    amount: Decimal
    payment: str
    parcel: str | None = None
    decided_by: str = ""


class BadOrder(NonRetryableError):
    """The order makes no sense; trying again would not help."""


@step(retry=RetryPolicy(max_attempts=5, initial=0.2, multiplier=2.0), timeout=10)
async def charge(order_id: str, amount: Decimal) -> str:
    info = step_info()
    if info.attempt == 1:  # stands for a payment service that is down at first
        raise ConnectionError("the payment service does not answer")
    # A real service is given the key, so that a charge tried again after a crash is still one charge.
    return f"{order_id}: {amount} charged under {info.idempotency_key}"


@step
async def refund(payment: str) -> None:
    print(f"refund {payment}")


@step
async def hand_over(order_id: str) -> str:
    return f"parcel-{order_id}"


@flow
async def ship(order_id: str) -> str:
    """A flow of its own, so that it can be looked at and cancelled apart."""
    parcel = await hand_over(order_id)
    await sleep(0.2, name="carrier")
    return parcel


@dataclass
@flow_type
class OrderFlow:
    order_id: str
    amount: Decimal
    approve_within: float = 86_400.0

    @step
    async def validate(self) -> None:
        if self.amount <= 0:
            raise BadOrder(f"order {self.order_id}: the amount must be above 0, not {self.amount}")

    @step
    async def write_receipt(self, payment: str, decision: Decision, parcel: str | None) -> Receipt:
        outcome = "shipped" if parcel else "refunded"
        return Receipt(self.order_id, outcome, self.amount, payment, parcel, decision.by)

    @flow
    async def run(self) -> Receipt:
        await self.validate()
        payment = await charge(self.order_id, self.amount)
        decision = await self.decision()
        parcel = None
        if decision.approved:
            parcel = await invoke(ship(self.order_id))
        else:
            await refund(payment)
        return await self.write_receipt(payment, decision, parcel)

    async def decision(self) -> Decision:
        try:
            async with asyncio.timeout(self.approve_within):
                return await wait_signal(f"approve-{self.order_id}", Decision)
        except TimeoutError:
            return Decision(approved=False)
