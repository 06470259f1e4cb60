"""Cases of sample_flows/versions.py: an order of each version."""

from sample_flows.versions import Delivery, FirstDelivery
from tests.samples.cases import Case

CASES = [
    Case(
        "delivery of version 1",
        "sample_flows.versions",
        lambda: FirstDelivery("A-1"),
        ("Delivery", "-a", "order_id=A-1", "--version", "1"),
        result="A-1 paid, parcel-A-1",
        steps={"charge": 1, "weigh": 1, "hand_over": 1},
    ),
    Case(
        "delivery of version 2",
        "sample_flows.versions",
        lambda: Delivery("A-2"),
        ("Delivery", "-a", "order_id=A-2"),
        result="A-2 paid, parcel-A-2 insured",
        steps={"charge": 1, "weigh": 1, "hand_over": 1, "insure": 1},
    ),
]
