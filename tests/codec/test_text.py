"""What people type: text is taken as its hint says, JSON is JSON, complaints are short."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict
from uuid import UUID

import numpy as np
import pytest
from pydantic import BaseModel, Field

from ergon_runtime.codec import UNHINTED, parse_json, parse_text
from ergon_runtime.errors import CodecError


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Size(IntEnum):
    SMALL = 1


@dataclasses.dataclass
class Line:
    item: str
    amount: Decimal
    count: int = 1


class Customer(BaseModel):
    name: str


class Place(TypedDict):
    x: int


OrderId = NewType("OrderId", str)
Count = NewType("Count", int)


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (UNHINTED, "5", "5"),
        (inspect.Parameter.empty, "true", "true"),
        (Any, "[1]", "[1]"),
        (str, "5", "5"),
        (str, "null", "null"),
        (str | None, "null", "null"),
        (OrderId, "5", "5"),
        (Annotated[str, Field(max_length=5)], "5", "5"),
        (int | str, "5", "5"),
        (list[str] | str, "[1]", "[1]"),
        (int, "-5", -5),
        (Count, "5", 5),
        (Annotated[int, Field(ge=0)], "5", 5),
        (Optional[int], "5", 5),
        (float, "5", 5.0),
        (float, "1e3", 1000.0),
        (Decimal, "9.50", Decimal("9.50")),
        (Decimal | None, "9.5", Decimal("9.5")),
        (bool, "true", True),
        (bool, "no", False),
        (date, "2026-01-31", date(2026, 1, 31)),
        (datetime, "2026-01-31T09:30:00Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        (timedelta, "PT5M", timedelta(minutes=5)),
        (UUID, str(UUID(int=5)), UUID(int=5)),
        (Path, "a/b", Path("a/b")),
        (bytes, "ab", b"ab"),
        (Colour, "red", Colour.RED),
        (Colour, "RED", Colour.RED),
        (Colour, "BLUE", Colour.BLUE),
        (Size, "1", Size.SMALL),
        (Size | None, "SMALL", Size.SMALL),
        (Literal["a", "b"], "a", "a"),
        (list[int], "[1,2]", [1, 2]),
        (list[int] | None, "[1]", [1]),
        (set[int], "[1,1]", {1}),
        (tuple[int, str], '[1,"a"]', (1, "a")),
        (dict[str, Decimal], '{"a":"1.10"}', {"a": Decimal("1.10")}),
        (list, "[1]", [1]),
        (dict[str, Any], '{"$set":[1]}', {"$set": [1]}),
        (Line, '{"item":"a","amount":"9.50"}', Line("a", Decimal("9.50"))),
        (list[Line], '[{"item":"a","amount":9,"count":2}]', [Line("a", Decimal(9), 2)]),
        (Customer, '{"name":"x"}', Customer(name="x")),
        (Place, '{"x":1}', {"x": 1}),
    ],
    ids=str,
)
def test_text_becomes_the_value_its_hint_says(hint: Any, text: str, value: object) -> None:
    found = parse_text(text, hint)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "reason"),
    [
        (int, "ninety", "not a whole number: 'ninety'"),
        (int, "null", "not a whole number: 'null'"),
        (Optional[int], "null", "not a whole number: 'null'"),
        (list[int] | None, "null", "should be a valid array: None"),
        (int, "9.5", "not a whole number: '9.5'"),
        (float, "ninety", "not a number: 'ninety'"),
        (Decimal, "ninety", "not a number: 'ninety'"),
        (bool, "maybe", "not true or false: 'maybe'"),
        (date, "soon", "not a date such as 2026-01-31: 'soon'"),
        (datetime, "soon", "not a date and time such as 2026-01-31T09:30:00Z: 'soon'"),
        (UUID, "x", "not a UUID: 'x'"),
        (Literal["a", "b"], "c", "should be 'a' or 'b': 'c'"),
        (Colour, "GREEN", "should be 'red' or 2: 'GREEN'"),
        (Annotated[int, Field(ge=0)], "-1", "should be greater than or equal to 0: '-1'"),
        (list[int], "1,2", "not JSON: Extra data: line 1 column 2 (char 1)"),
        (list[int], '["x"]', "0: not a whole number: 'x'"),
        (dict[str, int], "[1]", "should be an object: [1]"),
        (Line, '{"item":"a","amount":"x"}', "amount: not a number: 'x'"),
        (Line, "{}", "item: field required; amount: field required"),
        (np.ndarray, "[1]", "no ndarray can be made from text or JSON"),
    ],
    ids=str,
)
def test_text_that_does_not_fit_says_why_in_one_line(hint: Any, text: str, reason: str) -> None:
    with pytest.raises(CodecError) as caught:
        parse_text(text, hint)
    assert str(caught.value) == reason


def test_long_text_is_cut_in_the_complaint() -> None:
    with pytest.raises(CodecError) as caught:
        parse_text("x" * 10_000, int)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (UNHINTED, '{"a":[1,2.5,null,true,"x"]}', {"a": [1, 2.5, None, True, "x"]}),
        (Any, '{"$datetime":"x"}', {"$datetime": "x"}),
        (int, "5", 5),
        (int | None, "null", None),
        (float, "5", 5.0),
        (str, '"5"', "5"),
        (Decimal, "9.5", Decimal("9.5")),
        (date, '"2026-01-31"', date(2026, 1, 31)),
        (bytes, '"_w=="', b"\xff"),
    ],
)
def test_json_becomes_the_value_its_hint_says(hint: Any, text: str, value: object) -> None:
    found = parse_json(text, hint)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (Any, "NaN"),
        (Any, "[Infinity]"),
        (Any, "1e999"),
        (Any, '{"a":1,"a":2}'),
        (Any, "{'a':1}"),
        (Any, ""),
        (Any, "[" * 100),
        (float, "NaN"),
        (int, '"5"'),
        (int, "true"),
        (bool, "1"),
        (str, "5"),
        (list[int], '{"$tuple":[1]}'),
    ],
)
def test_json_that_does_not_fit_is_a_codec_error(hint: Any, text: str) -> None:
    with pytest.raises(CodecError):
        parse_json(text, hint)


LONG = "0.10000000000000000001"
"""More digits than a float can hold."""


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (Decimal, LONG, Decimal(LONG)),
        (Optional[Decimal], LONG, Decimal(LONG)),
        (Decimal, "123456789012345678901234567890.1", Decimal("123456789012345678901234567890.1")),
        (Decimal, "1e-400", Decimal("1e-400")),
        (dict[str, list[Decimal]], f'{{"a":[{LONG},2]}}', {"a": [Decimal(LONG), Decimal(2)]}),
        (Line, f'{{"item":"{LONG}","amount":{LONG}}}', Line(LONG, Decimal(LONG))),
        (float, LONG, 0.1),
    ],
)
def test_long_json_number_keeps_every_digit_of_a_decimal(hint: Any, text: str, value: object) -> None:
    assert parse_json(text, hint) == value


@pytest.mark.parametrize(("hint", "text"), [(Decimal | str, LONG), (list[float] | Decimal, f"[{LONG}]")])
def test_long_json_number_that_may_be_no_decimal_is_refused(hint: Any, text: str) -> None:
    with pytest.raises(CodecError, match="more digits than a float can hold; quote it"):
        parse_json(text, hint)
