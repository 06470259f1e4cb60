"""Cases of sample_flows/orders.py."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sample_flows.orders import OrderFlow
from tests.samples.cases import Case

STEPS = {"validate": 1, "charge": 1, "write_receipt": 1}


def receipt(**wanted: str | None) -> Callable[[Any], bool]:
    """A receipt with these fields, and a payment under one key, whoever died."""

    def fits(found: dict[str, str | None]) -> bool:
        payment = str(found["payment"])
        return wanted.items() <= found.items() and "A-17: " in payment and payment.endswith(":1:charge")

    return fits


CASES = [
    Case(
        "order approved",
        "sample_flows.orders",
        lambda: OrderFlow("A-17", Decimal("99.50")),
        ("OrderFlow", "-a", "order_id=A-17", "-a", "amount=99.50"),
        signals=(("approve-A-17", {"approved": True, "by": "Ada"}),),
        result=receipt(outcome="shipped", amount="99.50", parcel="parcel-A-17", decided_by="Ada"),
        steps={**STEPS, "hand_over": 1},
    ),
    Case(
        "order refused",
        "sample_flows.orders",
        lambda: OrderFlow("A-17", Decimal(5)),
        ("OrderFlow", "-a", "order_id=A-17", "-a", "amount=5"),
        signals=(("approve-A-17", {"approved": False, "by": "Ada"}),),
        result=receipt(outcome="refunded", amount="5", parcel=None, decided_by="Ada"),
        steps={**STEPS, "refund": 1},
    ),
    Case(
        "order that nobody decides on",
        "sample_flows.orders",
        lambda: OrderFlow("A-17", Decimal(5), approve_within=0.1),
        ("OrderFlow", "-a", "order_id=A-17", "-a", "amount=5", "-a", "approve_within=0.1"),
        result=receipt(outcome="refunded", decided_by="nobody"),
        steps={**STEPS, "refund": 1},
    ),
    Case(
        "order without an amount",
        "sample_flows.orders",
        lambda: OrderFlow("A-17", Decimal(0)),
        ("OrderFlow", "-a", "order_id=A-17", "-a", "amount=0"),
        error="BadOrder",
        steps={"validate": 1},
    ),
]
