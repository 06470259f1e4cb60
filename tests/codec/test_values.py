"""Codecs of hints: what fits its hint comes back as it was; what does not is refused, never changed."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import AwareDatetime, BaseModel, Field, SecretStr, computed_field, field_validator

from ergon_runtime.codec import UNHINTED, allow, for_hint
from ergon_runtime.codec.same import same
from ergon_runtime.errors import CodecError

NAIVE = datetime.fromisoformat("2026-01-01T02:30:00")
Item = TypeVar("Item")
OrderId = NewType("OrderId", str)


class Colour(Enum):
    RED = "red"
    ODD = (1, 2)


class Size(IntEnum):
    SMALL = 1


@dataclasses.dataclass
class Receipt:
    order: str
    amount: Decimal
    paid: datetime | None = None
    raw: bytes = b""
    score: float = 0.0
    parent: Receipt | None = None


@dataclasses.dataclass
class Refund(Receipt):
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Approved:
    by: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    by: str


@dataclasses.dataclass
class Box(Generic[Item]):
    content: Item


@dataclasses.dataclass
class Loose:
    content: Any
    inner: Approved | None = None


class Customer(BaseModel):
    name: str
    age: int = 0
    nick: str = Field(default="", alias="n")
    receipt: Receipt | None = None

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's manual advises
    @property
    def label(self) -> str:
        return f"{self.name} {self.age}"


class Person(TypedDict, total=False):
    name: str
    age: int


class Place(NamedTuple):
    x: int
    y: float


def there_and_back(hint: Any, value: object) -> Any:
    codec = for_hint(hint)
    return codec.decode(codec.encode(value, "result of step test"), "result of step test")


KEPT: list[tuple[Any, object]] = [
    (int, 10**400),
    (float, -0.0),
    (float, math.inf),
    (bool, True),
    (type(None), None),
    (None, None),
    (str, "é\n\x00\u2028😀"),
    (OrderId, "A-1"),
    (Annotated[int, Field(ge=0)], 5),
    (int | None, None),
    (int | str, "5"),
    (int | float, 1.0),
    (float | int, 1),
    (date | str, "2026-01-01"),
    (datetime | str, "2026-01-01"),
    (bytes | str, "a"),
    (bytes | str, b"a"),
    (UUID | str, UUID(int=5)),
    (Decimal, Decimal("1.10")),
    (Decimal, Decimal("-0")),
    (Decimal, Decimal("1E+3")),
    (bytes, b"\xff\x00"),
    (complex, 1 - 2j),
    (timedelta, timedelta(days=-1, microseconds=1)),
    (time, time(1, 2, 3, 4)),
    (datetime, NAIVE.replace(fold=1)),
    (AwareDatetime, datetime(2026, 1, 1, tzinfo=UTC)),
    (list[float], [1.0, math.nan, -0.0, math.inf]),
    (list[int], []),
    (tuple[int, ...], (1, 2)),
    (tuple[()], ()),
    (tuple[int, str], (1, "a")),
    (set[int], {1, 2}),
    (frozenset[tuple[int, int]], frozenset({(1, 2)})),
    (dict[int, str], {1: "a", 0: "b"}),
    (dict[tuple[int, int], str], {(1, 2): "a"}),
    (dict[str, list[int]], {"$exact": [1]}),
    (dict[bool, int], {True: 1}),
    (dict[Colour, int], {Colour.RED: 1}),
    (dict[date, int], {date(2026, 1, 1): 1}),
    (Mapping[str, int], {"b": 1, "a": 2}),
    (Sequence[int], [1]),
    (Sequence[int], (1, 2)),
    (Iterable[int], [1]),
    (deque[int], deque([1])),
    (OrderedDict[str, int], OrderedDict(b=1, a=2)),
    (defaultdict[str, list[int]], defaultdict(list, a=[1])),
    (Colour, Colour.RED),
    (Colour, Colour.ODD),
    (Size, Size.SMALL),
    (int | Size, Size.SMALL),
    (Literal["a", 1, True], True),
    (Literal[Colour.RED], Colour.RED),
    (Path, Path("a/b")),
    (IPv4Address, IPv4Address("127.0.0.1")),
    (Person, {"name": "x"}),
    (Place, Place(1, 2.0)),
    (Receipt, Receipt("A", Decimal("9.50"), None, b"", 1.5, Receipt("B", Decimal(1)))),
    (Receipt, Receipt("A", Decimal("9.50"), datetime(2026, 1, 1, tzinfo=UTC), b"\xff", math.nan)),
    (list[Receipt | None], [None, Receipt("A", Decimal(1))]),
    (Approved | Rejected, Approved("me")),
    (Approved | Rejected, Rejected("me")),
    (list[Rejected | Approved], [Approved("me"), Rejected("me")]),
    (Box[int], Box(1)),
    (Box[int], Box[int](1)),
    (Box[Any], Box({1, 2})),
    (Box[list[Any]], Box([(1,)])),
    (Loose, Loose({1: Approved("me")}, Approved("you"))),
    (Customer, Customer(name="x", age=1, n="y")),
    (Customer, Customer(name="x")),
    (list[Customer], [Customer(name="x", receipt=Receipt("A", Decimal(1)))]),
    (list, [1, (2,), {3}]),
    (typing.List, [1]),  # noqa: UP006 - the old form is the case
    (tuple, (1, [2])),
    (dict, {1: datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))}),
    (list[dict], [{1: 2}]),
    (dict[str, Any], {"a": Decimal("1.10"), "b": (1, b"x")}),
    (Any | None, {1}),
    (object, 1j),
    (inspect.Parameter.empty, (1,)),
    (UNHINTED, (1,)),
    (np.float64, np.float64(1.5)),
]


@pytest.mark.parametrize(("hint", "value"), KEPT, ids=lambda part: str(part).partition(" object at ")[0][:40])
def test_value_that_fits_its_hint_comes_back_the_same(hint: Any, value: object) -> None:
    back = there_and_back(hint, value)
    assert same(value, back), back
    assert type(back) is type(value)


REFUSED: list[tuple[Any, object]] = [
    (int, "5"),
    (int, True),
    (int, 1.0),
    (bool, 1),
    (float, True),
    (float, 2**53 + 1),
    (float, 10**400),
    (str, 5),
    (str, "\ud800"),
    (list[str], ["\ud800"]),
    (None, 0),
    (int | None, "5"),
    (Decimal, 1.5),
    (Decimal, Decimal("NaN")),
    (deque[int], deque([1], maxlen=3)),
    (list[int], (1, 2)),
    (list[int], ["1"]),
    (list[bool], [1]),
    (tuple[int, ...], [1]),
    (tuple[int, int], (1, 2, 3)),
    (list[Any], (1,)),
    (list, (1,)),
    (dict, [1]),
    (dict[str, Any], {1: 2}),
    (dict[str, int], {"a": "b"}),
    (dict[str, int], OrderedDict(a=1)),
    (list[int], type("Mine", (list,), {})([1])),
    (date, NAIVE),
    (datetime, date(2026, 1, 1)),
    (datetime, datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
    (bytes, bytearray(b"a")),
    (Colour, "red"),
    (Size, 1),
    (Receipt, Refund("A", Decimal(1))),
    (Receipt, Receipt("A", 1)),  # type: ignore[arg-type]  # what the test is about
    (Receipt, Receipt("A", "1")),  # type: ignore[arg-type]  # what the test is about
    (Receipt, {"order": "A", "amount": "1"}),
    (Receipt, None),
    (Approved | Rejected, Loose(1)),
    (SecretStr, SecretStr("x")),
    (Iterable[int], iter([1])),
    (Loose, Receipt("A", Decimal(1))),
]


@pytest.mark.parametrize(("hint", "value"), REFUSED, ids=lambda part: str(part).partition(" object at ")[0][:40])
def test_value_that_does_not_fit_its_hint_is_refused(hint: Any, value: object) -> None:
    with pytest.raises(CodecError, match="result of step test cannot be stored: a value of type"):
        there_and_back(hint, value)


def test_subclass_is_refused_under_its_base_though_it_is_allowed() -> None:
    allow(Refund)
    assert there_and_back(Any, Refund("A", Decimal(1))) == Refund("A", Decimal(1))
    with pytest.raises(CodecError, match="no stored form is known for"):
        there_and_back(Receipt, Refund("A", Decimal(1)))


def test_attribute_beside_the_fields_is_refused() -> None:
    receipt = Receipt("A", Decimal(1))
    receipt.note = "x"  # type: ignore[attr-defined]  # what the test is about
    with pytest.raises(CodecError, match="carries note beside its fields"):
        there_and_back(Receipt, receipt)


def test_int_under_float_comes_back_as_float() -> None:
    for hint in (float, list[float], dict[str, float], float | None):
        value = {list[float]: [1], dict[str, float]: {"a": 1}}.get(hint, 1)
        assert there_and_back(hint, value) == value
    assert type(there_and_back(float, 1)) is float
    assert type(there_and_back(list[float], [1])[0]) is float


def test_fields_that_were_not_given_stay_so() -> None:
    assert there_and_back(Customer, Customer(name="x")).model_fields_set == {"name"}


def test_plain_values_of_a_hint_are_plain_json() -> None:
    assert for_hint(Receipt).encode(Receipt("A", Decimal("9.50")), "x") == (
        '{"order":"A","amount":"9.50","paid":null,"raw":"","score":0.0,"parent":null}'
    )
    assert for_hint(dict[str, Any]).encode({"a": [1, "é"]}, "x") == '{"a":[1,"é"]}'


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, '"5"'),
        (int, "5.0"),
        (int, "true"),
        (str, "5"),
        (float, '"1"'),
        (None, "0"),
        (list[int], '["5"]'),
        (Decimal, "true"),
        (Receipt, '{"order":"A"}'),
        (Receipt, '{"$exact":1}'),
        (Receipt, '{"$exact":{"$object":["Approved",{"by":"x"}]}}'),
        (list[int], '{"$exact":[1],"x":2}'),
        (Literal["a"], '"b"'),
        (dict[str, Any], "[1]"),
        (list, '{"$tuple":[]}'),
        (Loose, '{"content":1}'),
    ],
)
def test_text_that_no_longer_fits_its_hint_is_a_codec_error(hint: Any, text: str) -> None:
    with pytest.raises(CodecError, match="argument order_id cannot be read under the hint"):
        for_hint(hint).decode(text, "argument order_id")


class Touchy(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def check(cls, name: str) -> str:
        if name == "key":
            raise KeyError(name)
        return name.strip()


def test_validator_that_changes_or_fails_is_a_codec_error() -> None:
    with pytest.raises(CodecError):
        there_and_back(Touchy, Touchy.model_construct(name="key"))
    with pytest.raises(CodecError, match="KeyError"):
        for_hint(Touchy).decode('{"name":"key"}', "x")


class Vague:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparing")

    __hash__ = None  # type: ignore[assignment]  # as Python does for a class with __eq__


def test_class_without_a_schema_is_refused_with_advice() -> None:
    with pytest.raises(CodecError, match=r"no stored form is known for \S+Vague; use plain values"):
        there_and_back(Vague, Vague())


def test_class_of_the_hint_needs_no_allow_list() -> None:
    @dataclasses.dataclass
    class Array:
        data: np.ndarray
        shape: Any

    back = there_and_back(Array, Array(np.arange(3), (3,)))
    assert back.shape == (3,)
    assert back.data.tolist() == [0, 1, 2]


def test_codec_of_a_hint_is_made_once() -> None:
    assert for_hint(list[int]) is for_hint(list[int])
    assert for_hint(Literal[1]) is not for_hint(Literal[True])


def test_hint_that_cannot_be_hashed_has_a_codec() -> None:
    assert there_and_back(Annotated[int, []], 5) == 5


@pytest.mark.parametrize("text", ["0.10000000000000000001", '"0.10000000000000000001"', "1.10"])
def test_number_that_somebody_wrote_for_a_decimal_keeps_its_digits(text: str) -> None:
    assert for_hint(Decimal).decode(text, "payload") == Decimal(text.strip('"'))
    assert for_hint(list[Decimal]).decode(f"[{text}]", "payload") == [Decimal(text.strip('"'))]
