"""What counts as the same value: equality of types and of all that can be seen."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from ergon_runtime.codec.same import same

NAIVE = datetime.fromisoformat("2026-01-01T02:30:00")


@dataclasses.dataclass(frozen=True, slots=True)
class Approved:
    by: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    by: Any


@dataclasses.dataclass
class Box:
    content: Any


@dataclasses.dataclass
class BigBox(Box):
    size: int = 0


class Customer(BaseModel):
    name: str
    age: int = 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1.0, 1),
        (0.0, -0.0),
        ([1], (1,)),
        ({1}, {True}),
        ({1: 2}, {True: 2}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Decimal("1.1"), Decimal("1.10")),
        (NAIVE, NAIVE.replace(tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        (NAIVE, NAIVE.replace(fold=1)),
        (b"a", "a"),
        (Approved("x"), Rejected("x")),
        (Box(1), BigBox(1)),
        (deque([1], maxlen=1), deque([1])),
        ([1, 2], [1]),
        ({1, 2}, {1}),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
        (Box([1]), Box([True])),
        (Customer(name="x"), Customer(name="x", age=0)),
        (defaultdict(list), defaultdict(int)),
    ],
)
def test_values_that_differ_unseen_are_not_the_same(one: object, other: object) -> None:
    assert not same(one, other)
    assert same(one, one)


@pytest.mark.parametrize(
    "make", [lambda: math.nan, lambda: Decimal("NaN"), lambda: Decimal("sNaN"), lambda: [{"a": (math.nan,)}]]
)
def test_nan_is_the_same_as_another_nan(make: Any) -> None:
    one, other = make(), float("nan")
    assert same(one, make())
    assert same(one, other) == (type(one) is float)


def test_int_may_stand_as_the_equal_float_only() -> None:
    assert same(1, 1.0)
    assert not same(2**53 + 1, float(2**53))
    assert not same(True, 1.0)
