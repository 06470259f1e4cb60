"""Cases of sample_flows/saga.py."""

from __future__ import annotations

from sample_flows.saga import trip
from tests.samples.cases import Case

CASES = [
    Case(
        "trip that is had",
        "sample_flows.saga",
        lambda: trip("Paris"),
        ("trip", "-a", "place=Paris"),
        result={
            "place": "Paris",
            "bookings": ["flight-Paris", "hotel-Paris", "car-Paris"],
            "paid": "900 at try 1",
        },
        steps={"charge_trip": 1, "book": 3},
    ),
    Case(
        "trip that is sold out",
        "sample_flows.saga",
        lambda: trip("Atlantis"),
        ("trip", "-a", "place=Atlantis"),
        error="SagaError",
        steps={"charge_trip": 1, "book": 3, "give_back": 4},
    ),
    Case(
        "trip that is given back and tried again",
        "sample_flows.saga",
        lambda: trip("Bergen"),
        ("trip", "-a", "place=Bergen"),
        result={
            "place": "Bergen",
            "bookings": ["flight-Bergen", "hotel-Bergen", "car-Bergen"],
            "paid": "900 at try 2",
        },
        steps={"charge_trip": 2, "book": 5, "give_back": 3},
    ),
]
