"""Cases of sample_flows/comprehensive.py: two orders in two versions, and two that come to nothing."""

from __future__ import annotations

from sample_flows.comprehensive import FirstPurchase, Purchase
from tests.samples.cases import Case

MODULE = "sample_flows.comprehensive"
CHECKS = {"check_customer": 1, "check_stock": 1, "check_fraud": 1, "approve": 1}


def purchased(order: str, version: str) -> dict[str, str]:
    return {"order": order, "version": version, "payment": f"pay-{order} at try 3", "parcel": f"parcel-{order}"}


CASES = [
    Case(
        "purchase of version v1.0",
        MODULE,
        lambda: FirstPurchase("O-1", "Ada"),
        ("Purchase", "-a", "order=O-1", "-a", "customer=Ada", "--version", "v1.0"),
        result=purchased("O-1", "v1.0"),
        steps={**CHECKS, "debit": 1, "pack": 1},
    ),
    Case(
        "purchase of version v2.0",
        MODULE,
        lambda: Purchase("O-2", "Bob"),
        ("Purchase", "-a", "order=O-2", "-a", "customer=Bob"),
        result=purchased("O-2", "v2.0"),
        steps={**CHECKS, "debit": 1, "pack": 1},
    ),
    Case(
        "purchase of a customer who is blocked",
        MODULE,
        lambda: Purchase("O-3", "Mallory"),
        ("Purchase", "-a", "order=O-3", "-a", "customer=Mallory"),
        error="CheckFailed",
        steps=CHECKS,
    ),
    Case(
        "purchase with an empty card",
        MODULE,
        lambda: FirstPurchase("O-4", "Ada", card="empty"),
        ("Purchase", "-a", "order=O-4", "-a", "customer=Ada", "-a", "card=empty", "--version", "v1.0"),
        error="PaymentDeclined",
        steps={**CHECKS, "debit": 1},
    ),
]
