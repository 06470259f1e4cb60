"""Cases of sample_flows/retries.py."""

from __future__ import annotations

from typing import Any

from sample_flows import retries
from tests.samples.cases import Case


def of(name: str, flow: Any, *command: str, **wanted: Any) -> Case:
    return Case(name, "sample_flows.retries", lambda: flow, command, **wanted)


CASES = [
    of(
        "step that is tried three times",
        retries.fetch_report(),
        "fetch_report",
        result="report, at try 3",
        steps={"download": 1},
    ),
    of(
        "step whose error says when to try again",
        retries.see_doctor(),
        "see_doctor",
        result="appointment, at try 2",
        steps={"ring_doctor": 1},
    ),
    of(
        "step whose error is not of the kind to try again",
        retries.read_number(),
        "read_number",
        result="ValueError, not tried again",
        steps={"parse": 1},
    ),
    of(
        "step whose error says not to try again",
        retries.read_number(""),
        "read_number",
        "-a",
        "text=",
        result="NonRetryableError, not tried again",
        steps={"parse": 1},
    ),
    of(
        "step that fails nowhere",
        retries.read_number("7"),
        "read_number",
        "-a",
        "text=7",
        result="read 7",
        steps={"parse": 1},
    ),
    of(
        "step whose first try takes too long",
        retries.ask_oracle(),
        "ask_oracle",
        result="42, at try 2",
        steps={"oracle": 1},
    ),
    of("step whose tries take too long together", retries.catch_bus(), "catch_bus", result="walked", steps={}),
    of(
        "step with a key for the bank",
        retries.pay_bill(),
        "pay_bill",
        result=lambda found: found.startswith("5 paid under ") and found.endswith(":1:pay"),
        steps={"pay": 1},
    ),
    of(
        "step that is begun once",
        retries.send_money(),
        "send_money",
        result=lambda found: found in ("5 sent", "5 sent, says the bank"),  # the latter if its worker died in it
    ),
    of(
        "flow that is tried again and keeps what succeeded",
        retries.build_house(),
        "build_house",
        result="cellar of attempt 1, roof of attempt 2",
        steps={"build": 3},
    ),
]
