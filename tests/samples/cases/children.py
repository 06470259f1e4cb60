"""Cases of sample_flows/children.py."""

from __future__ import annotations

import json

from sample_flows.children import greet_guests, run_errand, subscribe, unpack_box
from tests.samples.cases import Case

MODULE = "sample_flows.children"
MANY = [f"guest {n}" for n in range(6)]

CASES = [
    Case(
        "many children at once",
        MODULE,
        lambda: greet_guests(MANY),
        ("greet_guests", "-a", f"names={json.dumps(MANY)}"),
        result=[f"Hello, {name}!" for name in MANY],
        steps={"shake_hands": 6},
    ),
    Case(
        "the same child twice",
        MODULE,
        lambda: greet_guests(["Ada", "Ada"]),
        ("greet_guests", "-a", 'names=["Ada", "Ada"]'),
        result=["Hello, Ada!", "Hello, Ada!"],
        steps={"shake_hands": 2},
    ),
    Case(
        "child of a child",
        MODULE,
        lambda: unpack_box(3),
        ("unpack_box",),
        result="box 3 > box 2 > box 1 > a ring",
        steps={"open_box": 3},
    ),
    Case(
        "child with a timer that succeeds",
        MODULE,
        lambda: run_errand(way=0.1),
        ("run_errand", "-a", "way=0.1"),
        result="errand done: bread",
        steps={"buy_bread": 1},
    ),
    Case(
        "child with a timer that fails",
        MODULE,
        lambda: run_errand(fails=True, way=0.1),
        ("run_errand", "-a", "fails=true", "-a", "way=0.1"),
        error="ErrandFailed",
        steps={"buy_bread": 1},
    ),
    Case(
        "detached child",
        MODULE,
        lambda: subscribe("Ada", later=0.2),
        ("subscribe", "-a", "reader=Ada", "-a", "later=0.2"),
        result="Ada is on the list, write_welcome follows",
        steps={"write_mail": 1},
    ),
]
