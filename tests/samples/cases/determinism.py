"""Cases of sample_flows/determinism.py, with nothing changed outside meanwhile."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sample_flows.determinism import careful, careless
from tests.samples.cases import Case


def is_sale(found: Any) -> bool:
    number, at = UUID(found["number"]), datetime.fromisoformat(found["quoted_at"])
    return number.version == 4 and at.tzinfo is not None and found["total"] == "100" and found["lottery_number"] < 50


CASES = [
    Case(
        "careless sale",
        "sample_flows.determinism",
        lambda: careless(Decimal(100)),
        ("careless", "-a", "price=100"),
        signals=(("pay", None),),
        result="100",
        steps={"quote": 1},
    ),
    Case(
        "careful sale",
        "sample_flows.determinism",
        lambda: careful(Decimal(100)),
        ("careful", "-a", "price=100"),
        signals=(("pay", None),),
        result=is_sale,
        steps={"read_code": 1, "quote": 1},
    ),
]
