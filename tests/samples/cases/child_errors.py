"""Cases of sample_flows/child_errors.py."""

from __future__ import annotations

from sample_flows.child_errors import buy
from tests.samples.cases import Case


def case(name: str, trouble: str, tries: int, result: str | None = None, error: str | None = None) -> Case:
    return Case(
        name,
        "sample_flows.child_errors",
        lambda: buy(trouble=trouble),
        ("buy", "-a", f"trouble={trouble}"),
        result=result,
        error=error,
        steps={"reserve": 1, "charge_card": tries},
    )


CASES = [
    case("child that pays", "", 1, "paid at try 1"),
    case("child tried until it works", "network", 3, "paid at try 3"),
    case("child given up, and a new one", "outage", 4, "paid at try 1"),
    case("child's error caught by its class", "funds", 1, "19.50 short of 99.50"),
    case("child's permanent error", "card", 1, error="InvalidCard"),
]
