"""The tagged codec: every value it takes comes back equal and of the same type; anything else is refused by name."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from ergon_runtime.codec import UNHINTED, allow, allow_module, for_hint
from ergon_runtime.codec.allowed import AllowList
from ergon_runtime.codec.same import same
from ergon_runtime.codec.tagged import Tagger
from ergon_runtime.errors import CodecError


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Size(IntEnum):
    SMALL = 1


class Word(StrEnum):
    YES = "yes"


class Rights(Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Receipt:
    order: str
    amount: Any = None
    lines: list[Any] = dataclasses.field(default_factory=list[Any])

    @cached_property
    def size(self) -> int:
        return len(self.lines)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: Any = 0


class Customer(BaseModel):
    name: Any
    tags: Any = None
    _seen: int = PrivateAttr(default=0)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


CLASSES = (Colour, Size, Word, Rights, Receipt, Point, Customer, Open)
TAGGER = Tagger(AllowList(CLASSES))


def there_and_back(value: object) -> Any:
    return TAGGER.read(TAGGER.write(value))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
zones = st.sampled_from([None, UTC, timezone(timedelta(hours=-5, minutes=-30)), timezone(timedelta(seconds=1))])
hashable = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers()
        | st.integers(min_value=-(10**700), max_value=10**700)
        | st.floats(allow_nan=False)
        | texts
        | st.sampled_from(["$set", "$", "$datetime", "$object"])
        | st.binary(max_size=8)
        | st.dates()
        | st.datetimes(timezones=zones)
        | st.times(timezones=zones)
        | st.timedeltas()
        | st.decimals(allow_nan=False)
        | st.uuids()
        | st.complex_numbers(allow_nan=False)
        | st.sampled_from([*Colour, *Size, *Word, Rights.READ, Rights.READ | Rights.WRITE, Rights(0)])
        | st.frozensets(hashable, max_size=3)
        | st.tuples(hashable, hashable)
        | st.builds(Point, hashable, hashable)
    )
)
values = st.recursive(
    hashable | st.floats() | st.sampled_from([Decimal("NaN"), Decimal("sNaN"), Decimal("-0.00"), Decimal("1.10")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts | st.sampled_from(["$set", "$dict"]), inner, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
        | st.tuples(inner)
        | st.builds(Receipt, texts, inner, st.lists(inner, max_size=2))
        | st.builds(Customer, name=inner, tags=inner)
        | st.builds(Customer, name=inner)
    ),
    max_leaves=8,
)


@given(values)
def test_value_of_known_types_comes_back_the_same(value: object) -> None:
    back = there_and_back(value)
    assert same(value, back), (value, back)


@given(values)
def test_text_is_the_same_when_written_again(value: object) -> None:
    text = TAGGER.write(value)
    assert TAGGER.write(TAGGER.read(text)) == text


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda v: st.lists(v) | st.dictionaries(texts, v))
)
def test_plain_json_stands_as_it_is(value: object) -> None:
    text = TAGGER.write(value)
    if "$" not in text:
        assert json.loads(text) == value


def test_set_text_does_not_depend_on_hash_seed() -> None:
    script = (
        "from ergon_runtime.codec import for_hint, UNHINTED\n"
        "print(for_hint(UNHINTED).encode({'b', 'a', 'c', ('d', 'e')}, 'x'))\n"
        "print(for_hint(set[str]).encode({*'xyzuvw'}, 'x'))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("value", [10**5000, -(2**100_000), 2**63, -(2**2000)], ids=["a", "b", "c", "d"])
def test_huge_int_comes_back(value: int) -> None:
    assert there_and_back({"a": value}) == {"a": value}


def test_cached_property_is_not_state() -> None:
    receipt = Receipt("A", 1, [2])
    assert receipt.size == 1
    assert there_and_back(receipt) == receipt


def test_attribute_beside_the_fields_is_refused() -> None:
    receipt = Receipt("A")
    receipt.extra = 1  # type: ignore[attr-defined]  # what the test is about
    with pytest.raises(CodecError, match="carries extra beside its fields"):
        TAGGER.write(receipt)


def test_model_private_extra_and_unset_fields_are_kept() -> None:
    customer = Customer(name="x")
    customer._seen = 7
    back = there_and_back(customer)
    assert (back, back._seen, back.model_fields_set) == (customer, 7, {"name"})
    assert there_and_back(Open.model_validate({"anything": {1: 2}})).model_extra == {"anything": {1: 2}}


@dataclasses.dataclass
class Doubled:
    amount: int

    def __post_init__(self) -> None:
        self.amount *= 2


def test_post_init_does_not_run_again() -> None:
    tagger = Tagger(AllowList([Doubled]))
    assert tagger.read(tagger.write(Doubled(1))) == Doubled(1)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Mapping(dict[str, int]):
    pass


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped one is the case


@dataclasses.dataclass
class ListOfMine(list[int]):
    name: str = ""


@pytest.mark.parametrize(
    "value",
    [
        Text("a"),
        Number(1),
        Mapping(),
        Pair(1, 2),
        OrderedDict(),
        Counter(),
        bytearray(b"a"),
        memoryview(b"a"),
        object(),
        Path("."),
        len,
        int,
        ValueError("x"),
        ListOfMine(),
        {Text("a"): 1},
        datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        time(1, tzinfo=timezone(timedelta(hours=1), "CET")),
        np.array([object()]),
        np.longlong(1),
        np.zeros(1, dtype=[("a", "i4")]),
        (value for value in ()),
        "\ud800",
        {"\udfff": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_of_another_type_is_refused(value: object) -> None:
    tagger = Tagger(AllowList([ListOfMine]))
    with pytest.raises(CodecError):
        tagger.write([value])


def test_refusal_says_where_what_and_what_to_do() -> None:
    with pytest.raises(CodecError) as caught:
        for_hint(UNHINTED).encode({"a": bytearray()}, "result of step charge")
    assert str(caught.value) == (
        "result of step charge cannot be stored: a value of type dict without a hint: "
        "a bytearray has no stored form; convert it with bytes()"
    )


def test_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(CodecError, match="contains itself"):
        TAGGER.write(loop)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([1.5, math.nan]),
        np.array([], dtype="f4"),
        np.zeros((0, 3)),
        np.array(5),
        np.array(["a", "bc"]),
        np.array([True]),
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.array([1 + 2j]),
        np.arange(3, dtype=">i2"),
        np.arange(10)[::2],
    ],
    ids=str,
)
def test_numpy_array_comes_back_equal_and_writable(array: Any) -> None:
    back = there_and_back(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


@pytest.mark.parametrize("scalar", [np.float64(1.5), np.int8(-1), np.bool_(True), np.float32("nan"), np.str_("a")])
def test_numpy_scalar_keeps_its_type(scalar: Any) -> None:
    back = there_and_back({"a": scalar})["a"]
    assert type(back) is type(scalar)
    assert back == scalar or np.isnan(scalar)


def test_numpy_value_without_numpy_is_a_codec_error() -> None:
    script = (
        "from ergon_runtime.codec import for_hint, UNHINTED\n"
        "import sys\n"
        'try: for_hint(UNHINTED).decode(\'{"$ndarray":["<i8",[0],""]}\', \'x\')\n'
        "except Exception as e: print(type(e).__name__, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "CodecError False\n"


def make(name: str, module: str, base: Callable[..., type]) -> type:
    cls = base(name, [("a", int)])
    cls.__module__ = module
    return cls


def test_two_classes_of_one_name_are_an_error_only_when_used() -> None:
    first, second = (make("Twin", module, dataclasses.make_dataclass) for module in ("shop", "bank"))
    allowed = AllowList([first, second])
    for use in (lambda: allowed.name(first), lambda: allowed.find("Twin")):
        with pytest.raises(CodecError, match=r"'Twin' stands for bank\.Twin and shop\.Twin"):
            use()


def test_class_defined_again_takes_the_place_of_the_older() -> None:
    first, second = (make("Again", "shop", dataclasses.make_dataclass) for _ in range(2))
    allowed = AllowList([first, second])
    assert allowed.find("Again") is second


def test_class_of_the_hint_wins_over_one_of_the_same_name() -> None:
    allow(make("Same", "shop", dataclasses.make_dataclass))
    own = make("Same", "bank", dataclasses.make_dataclass)
    codec = for_hint(list[own] | list[Any])  # type: ignore[valid-type]
    assert type(codec.decode(codec.encode([own(a=1)], "x"), "x")[0]) is own


def test_module_allows_what_it_defines_and_imports() -> None:
    module = ModuleType("shop")
    cls = make("OfModule", "elsewhere", dataclasses.make_dataclass)
    vars(module).update(OfModule=cls, other=5, Path=Path)
    allow_module(module)
    codec = for_hint(UNHINTED)
    assert codec.decode(codec.encode([cls(1)], "x"), "x") == [cls(1)]


def test_allowing_another_class_is_refused() -> None:
    with pytest.raises(CodecError, match=r"pathlib\.\S*Path is not a dataclass"):
        allow(Path)


def test_class_that_gained_a_field_takes_its_default() -> None:
    text = '{"$object":["Receipt",{"order":"A"}]}'
    assert TAGGER.read(text) == Receipt("A")
    assert TAGGER.read('{"$object":["Customer",{"name":1}]}') == Customer(name=1)


@pytest.mark.parametrize(
    "text",
    [
        '{"$object":["Receipt",{"amount":1}]}',
        '{"$object":["Receipt",{"order":"A","gone":1}]}',
        '{"$object":["Customer",{}]}',
        '{"$object":["Customer",{"name":1,"gone":1}]}',
        '{"$object":["Customer",{"name":1},{"extra":{"a":1}}]}',
        '{"$object":["Customer",{"name":1},{"private":{"a":1}}]}',
        '{"$object":["Unknown",{}]}',
        '{"$object":["Colour",{}]}',
        '{"$enum":["Colour","GREEN"]}',
        '{"$enum":["Receipt","GREEN"]}',
        '{"$enum":["Colour","__class__"]}',
        '{"$nothing":1}',
    ],
)
def test_stored_object_that_does_not_fit_its_class_is_a_codec_error(text: str) -> None:
    with pytest.raises(CodecError):
        TAGGER.read(text)


def test_uuid_and_dates_are_written_readably() -> None:
    uuid = uuid4()
    assert TAGGER.write([uuid, date(2026, 1, 2), Decimal("1.10"), {1: "a"}]) == (
        f'[{{"$UUID":"{uuid}"}},{{"$date":"2026-01-02"}},{{"$Decimal":"1.10"}},{{"$dict":[[1,"a"]]}}]'
    )
    assert isinstance(there_and_back(uuid), UUID)
