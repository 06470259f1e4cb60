"""Cases of sample_flows/long_lives.py. The payout gives the same reference be it from the bank or a person."""

from __future__ import annotations

from decimal import Decimal

from sample_flows.long_lives import import_rows, newsletter, pay_out
from tests.samples.cases import Case


def imported_from_the_middle(found: dict[str, int]) -> bool:
    return (found["rows"], found["tries"]) == (6, 2) and 3 <= found["began_at"] <= 6


CASES = [
    Case(
        "newsletter of three issues",
        "sample_flows.long_lives",
        lambda: newsletter("ada", every=0.05, last=3),
        ("newsletter", "-a", "reader=ada", "-a", "every=0.05", "-a", "last=3"),
        result="ada got 3 issues",
        steps={"send_issue": 3},
    ),
    Case(
        "newsletter unsubscribed at once",
        "sample_flows.long_lives",
        lambda: newsletter("ada"),
        ("newsletter", "-a", "reader=ada"),
        signals=(("unsubscribe", None),),
        result="ada got 1 issues",
        steps={"send_issue": 1},
    ),
    Case(
        "payout",
        "sample_flows.long_lives",
        lambda: pay_out("DE-1", Decimal(100)),
        ("pay_out", "-a", "account=DE-1", "-a", "amount=100"),
        signals=(("looked-up", "DE-1-100"),),
        result="DE-1-100",
        steps={"transfer": 1},
    ),
    Case(
        "import that gets stuck",
        "sample_flows.long_lives",
        lambda: import_rows(6),
        ("import_rows", "-a", "rows=6"),
        result=imported_from_the_middle,
        steps={"read_rows": 1},
    ),
]
