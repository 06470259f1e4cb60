"""Cases of sample_flows/timers.py, with shorter pauses."""

from __future__ import annotations

from typing import Any

from sample_flows.timers import alarms, ask_price, end_trial, send_order
from tests.samples.cases import Case

MODULE = "sample_flows.timers"


def waited_for_both(sent: Any) -> bool:
    return sent["waited"] >= 0.25 and (sent["order"], sent["parcel"]) == ("A-17", "parcel-A-17")


CASES = [
    Case(
        "two timers in a row",
        MODULE,
        lambda: send_order("A-17", fraud_check=0.1, warehouse=0.15),
        ("send_order", "-a", "order=A-17", "-a", "fraud_check=0.1", "-a", "warehouse=0.15"),
        result=waited_for_both,
        steps={"take_payment": 1, "hand_to_carrier": 1},
    ),
    Case(
        "timer, then a step",
        MODULE,
        lambda: end_trial("Ada", after=0.1),
        ("end_trial", "-a", "user=Ada", "-a", "after=0.1"),
        result="Ada: your trial is over",
        steps={"write_to": 1},
    ),
    Case(
        "timers at once",
        MODULE,
        lambda: alarms(unit=0.1),
        ("alarms", "-a", "unit=0.1"),
        result=["tea", "eggs", "bread"],
        steps={},
    ),
    Case(
        "step that beats its timer",
        MODULE,
        lambda: ask_price(takes=0.01, patience=60),
        ("ask_price", "-a", "takes=0.01", "-a", "patience=60"),
        result="8",
        steps={"ask_shop": 1},
    ),
    Case(
        "timer that beats its step",
        MODULE,
        lambda: ask_price(takes=60, patience=0.1),
        ("ask_price", "-a", "takes=60", "-a", "patience=0.1"),
        result="7 (as of last year)",
        steps={"look_up_old_price": 1},
    ),
]
