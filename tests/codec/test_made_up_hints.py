"""Codecs of hints made up at random, with values to go with them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.codec import for_hint
from ergon_runtime.codec.same import same
from ergon_runtime.errors import CodecError

Item = TypeVar("Item")


class Colour(Enum):
    RED = "red"
    ODD = (1, 2)


@dataclasses.dataclass
class Box(Generic[Item]):
    content: Item


def there_and_back(hint: Any, value: object) -> Any:
    codec = for_hint(hint)
    return codec.decode(codec.encode(value, "x"), "x")


HINTS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats()),
    (str, st.text(st.characters(exclude_categories=["Cs"]))),
    (bytes, st.binary()),
    (bool, st.booleans()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (datetime, st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30))]))),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Colour, st.sampled_from(Colour)),
]


def grow(pairs: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Hints with a value each, made of smaller ones."""

    def of(pair: tuple[Any, Any]) -> st.SearchStrategy[tuple[Any, Any]]:
        hint, value = pair
        return st.sampled_from(
            [
                (list[hint], [value, value]),
                (tuple[hint, int], (value, 1)),
                (tuple[hint, ...], (value,)),
                (dict[str, hint], {"a": value}),
                (hint | None, None),
                (hint | None, value),
                (Box[hint], Box(value)),
                (dict[str, hint | list[hint]], {"a": value, "b": [value]}),
            ]
        )

    return pairs.flatmap(of)


leaves = st.sampled_from(HINTS).flatmap(lambda leaf: st.tuples(st.just(leaf[0]), leaf[1]))


@given(st.recursive(leaves, grow, max_leaves=3))
def test_values_of_made_up_hints_come_back_the_same(pair: tuple[Any, Any]) -> None:
    hint, value = pair
    back = there_and_back(hint, value)
    assert same(value, back), (hint, value, back)


@given(
    st.sampled_from(HINTS),
    st.one_of([values for _, values in HINTS]),
)
def test_value_under_a_foreign_hint_is_refused_or_unchanged(leaf: tuple[Any, Any], value: object) -> None:
    for hint, wrapped in ((leaf[0], value), (list[leaf[0]], [value])):  # type: ignore[misc,valid-type]  # made of values
        try:
            back = there_and_back(hint, wrapped)
        except CodecError:
            continue
        assert same(wrapped, back)
