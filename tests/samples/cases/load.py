"""Cases of sample_flows/load.py: an order that fails nowhere, one whose validation, and one whose reservation fails
once. Steps are counted by their ends, so a try more is none more here."""

from sample_flows.load import LoadOrder
from tests.samples.cases import Case

CASES = [
    Case(
        f"load order {number}",
        "sample_flows.load",
        lambda number=number: LoadOrder(number),
        ("LoadOrder", "-a", f"number={number}"),
        result=f"label-{number}",
        steps={"validate": 1, "check_fraud": 1, "reserve": 1, "pay": 1, "print_label": 1, "notify": 1},
    )
    for number in range(3)
]
