"""Cases of sample_flows/web_app.py: its flow by itself, as `ergon worker` would run it too."""

from decimal import Decimal

from sample_flows.web_app import WebOrder, web_order
from tests.samples.cases import Case

CASES = [
    Case(
        "web order approved",
        "sample_flows.web_app",
        lambda: web_order(WebOrder(id="A-17", amount=Decimal("99.50"))),
        ("web_order", "-a", 'order={"id": "A-17", "amount": "99.50"}'),
        signals=(("approve", {"by": "Ada"}),),
        result=lambda found: (found["parcel"], found["approved_by"]) == ("parcel-A-17", "Ada"),
        steps={"charge_card": 1, "pack": 1},
    ),
    Case(
        "web order refused by the bank",
        "sample_flows.web_app",
        lambda: web_order(WebOrder(id="A-18", amount=Decimal(1001))),
        ("web_order", "-a", 'order={"id": "A-18", "amount": "1001"}'),
        error="CardRefused",
        steps={"charge_card": 1},
    ),
]
