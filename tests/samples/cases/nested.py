"""Cases of sample_flows/nested.py."""

from __future__ import annotations

from decimal import Decimal

from sample_flows.nested import CardPayment, Checkout
from tests.samples.cases import Case

MODULE = "sample_flows.nested"

CASES = [
    Case(
        "checkout with nested parts",
        MODULE,
        lambda: Checkout("A-17", ["pen", "ink", "pen"], Decimal("9.50")),
        ("Checkout", "-a", "order=A-17", "-a", 'items=["pen", "ink", "pen"]', "-a", "total=9.50"),
        result={"order": "A-17", "payment": "captured auth-A-17", "shelves": ["shelf-pen", "shelf-ink"]},
        steps={"check": 1, "authorize": 1, "capture": 1, "reserve": 2},
    ),
    Case(
        "checkout of nothing",
        MODULE,
        lambda: Checkout("A-18", [], Decimal(1)),
        ("Checkout", "-a", "order=A-18", "-a", "items=[]", "-a", "total=1"),
        error="EmptyOrder",
        steps={"check": 1},
    ),
    Case(
        "nested part by itself",
        MODULE,
        lambda: CardPayment("B-4", Decimal(5)),
        ("CardPayment", "-a", "order=B-4", "-a", "amount=5"),
        result="captured auth-B-4",
        steps={"authorize": 1, "capture": 1},
    ),
]
