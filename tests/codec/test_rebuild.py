"""Stored errors made exceptions again: class, message and what they carry survive; no code of the class runs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from decimal import Decimal
from types import ModuleType
from typing import Any, Self

import pytest
from pydantic import BaseModel, ValidationError

from ergon_runtime.codec import decode_error, describe_error, encode_error, is_error_loaded
from ergon_runtime.errors import FlowNotFound, NonRetryableError, RetryableError


class Declined(Exception):
    """Built with other arguments than it keeps."""

    def __init__(self, order: str, *, amount: Decimal) -> None:
        super().__init__(f"order {order} was declined")
        self.order = order
        self.amount = amount


class Shown(Exception):
    def __str__(self) -> str:
        return f"shown {self.args[0]!r}"


class Picky(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)


class Both(Declined, OSError):
    pass


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


@dataclasses.dataclass(slots=True)
class Record(Exception):
    code: int


class Busy(RetryableError):
    def __init__(self, tries: int) -> None:
        super().__init__("busy")
        self.tries = tries

    def is_retryable(self) -> bool:
        return self.tries < 3


class OwnGroup(ExceptionGroup[Exception]):
    pass


def stored(error: BaseException) -> Any:
    return decode_error(encode_error(error, "error of step test"))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ValueError(),
        ValueError("a", 1, (2, Decimal("1.10"))),
        KeyError("key"),
        Declined("A", amount=Decimal("9.50")),
        Both("A", amount=Decimal("9.50")),
        Shown("a"),
        Busy(2),
        NonRetryableError("no"),
        FlowNotFound("f"),
        OSError(2, "gone", "a/b"),
        OSError("only text"),
        OSError(2, "gone", "a", None, "b"),
        Picky("a/b"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        SyntaxError("bad", ("file", 1, 2, "text", 1, 3)),
        ImportError("no", name="a", path="b"),
        StopIteration(5),
        TimeoutError(),
        TimeoutError("late"),
        asyncio.CancelledError("stop"),
        asyncio.QueueEmpty(),
        json.JSONDecodeError("bad", "doc", 1),
        Slotted(5),
        Frozen(5),
        Record(5),
        UnicodeEncodeError("ascii", "é", 0, 1, "bad"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_comes_back_as_its_class_with_what_it_carries(error: BaseException) -> None:
    back = stored(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert is_error_loaded(encode_error(error))


def test_built_in_attributes_beside_the_arguments_come_back() -> None:
    assert (stored(Picky("p")).filename, stored(Picky("p")).errno) == ("p", 2)
    assert stored(StopIteration(5)).value == 5
    assert stored(ImportError("no", name="a")).name == "a"
    with pytest.raises(AttributeError) as caught:
        _ = Declined.nothing  # type: ignore[attr-defined]  # what the test is about
    assert stored(caught.value).name == "nothing"
    assert stored(Slotted(7)).code == 7
    assert stored(Record(7)).code == 7


def test_method_of_the_class_works_on_the_rebuilt_error() -> None:
    assert stored(Busy(2)).is_retryable()
    assert not stored(Busy(3)).is_retryable()


def test_cause_context_and_notes_come_back() -> None:
    error = ValueError("outer")
    error.__cause__ = Declined("A", amount=Decimal(1))
    error.add_note("a note")
    back = stored(error)
    assert type(back.__cause__) is Declined
    assert back.__notes__ == ["a note"]
    error = ValueError("second")
    error.__context__ = KeyError("first")
    assert type(stored(error).__context__) is KeyError
    error.__suppress_context__ = True
    assert stored(error).__context__ is None


def test_cause_without_end_is_cut() -> None:
    error: Exception = ValueError("0")
    error.__cause__ = error
    for n in range(1, 100):
        outer = ValueError(str(n))
        outer.__cause__ = error
        error = outer
    assert str(stored(error)) == "99"


def test_group_comes_back_with_its_members() -> None:
    group = OwnGroup("many", [ValueError("a"), ExceptionGroup("inner", [Declined("A", amount=Decimal(1))])])
    back = stored(group)
    assert type(back) is OwnGroup
    assert str(back) == str(group)
    assert [type(member) for member in back.exceptions] == [ValueError, ExceptionGroup]
    assert type(back.exceptions[1].exceptions[0]) is Declined
    assert type(stored(BaseExceptionGroup("m", [asyncio.CancelledError()]))) is BaseExceptionGroup


def test_very_large_group_keeps_its_first_members() -> None:
    back = stored(ExceptionGroup("many", [ValueError(str(n)) for n in range(1000)]))
    assert str(back.exceptions[0]) == "0"
    assert str(back.exceptions[-1]) == "968 more errors are not stored"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_error_that_would_end_the_process_becomes_a_runtime_error(error: BaseException) -> None:
    back = stored(error)
    assert type(back) is RuntimeError
    assert str(back).startswith(type(error).__name__)


class Leaving(SystemExit, ValueError):  # type: ignore[misc]  # two built-ins, as some libraries do
    pass


def test_error_that_is_an_exit_as_well_becomes_its_ordinary_part() -> None:
    assert type(stored(Leaving("x"))) is ValueError


def test_group_around_an_exit_holds_an_ordinary_error() -> None:
    back = stored(BaseExceptionGroup("m", [SystemExit(1)]))
    assert isinstance(back, ExceptionGroup)
    assert type(back.exceptions[0]) is RuntimeError


def unload(cls: type) -> str:
    """The stored text of an error whose module is gone by the time it is read."""
    module = ModuleType("gone_module")
    cls.__module__ = "gone_module"
    setattr(module, cls.__name__, cls)
    sys.modules["gone_module"] = module
    try:
        return encode_error(cls("said"))
    finally:
        del sys.modules["gone_module"]


def test_class_that_is_not_loaded_is_replaced_by_the_nearest() -> None:
    text = unload(type("Gone", (Declined,), {"__init__": Exception.__init__, "__str__": lambda self: "said so"}))
    back = decode_error(text)
    assert type(back) is Declined
    assert str(back) == "said so"
    assert not is_error_loaded(text)
    assert describe_error(text).type == "Gone"


def test_local_class_is_replaced_by_the_nearest() -> None:
    class Local(ValueError):
        pass

    back = stored(Local("x"))
    assert type(back) is ValueError
    assert str(back) == "x"


class Model(BaseModel):
    n: int


def test_error_of_a_class_that_cannot_be_built_keeps_its_message() -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"n": "x"})
    back = stored(caught.value)
    assert type(back) is ValueError
    assert str(back) == str(caught.value)


class Trap(Exception):
    """Notices every way of running code of its own while it is rebuilt."""

    sprung: list[str] = []  # noqa: RUF012 - shared on purpose

    def __new__(cls, *args: object) -> Self:
        cls.sprung.append("new")
        return super().__new__(cls, *args)

    def __init__(self, *args: object) -> None:
        self.sprung.append("init")
        super().__init__(*args)

    def __setattr__(self, name: str, value: object) -> None:
        self.sprung.append("setattr")
        super().__setattr__(name, value)

    @property
    def guarded(self) -> str:
        return "own"

    @guarded.setter
    def guarded(self, value: str) -> None:
        self.sprung.append("property")


def test_rebuilding_runs_no_code_of_the_class() -> None:
    text = encode_error(Trap("x"))
    document = json.loads(text)
    document["attributes"] = {"guarded": "data", "__class__": "x", "__dict__": {}, "a b": 1, "fine": 1}
    document["cause"] = {"types": ["builtins:ValueError"], "message": ""}
    Trap.sprung.clear()
    back: Any = decode_error(json.dumps(document))
    assert Trap.sprung == []
    assert type(back) is Trap
    assert back.guarded == "own"
    assert vars(back) == {"guarded": "data", "fine": 1}


@pytest.mark.parametrize("name", ["os:system", "builtins:eval", "builtins:int", "sys:modules", "os", ":", "json:x.y.z"])
def test_name_that_is_no_exception_builds_nothing(name: str) -> None:
    back = decode_error(json.dumps({"types": [name], "message": "m", "args": ["true"]}))
    assert type(back) is RuntimeError


def test_module_attribute_hooks_are_not_asked() -> None:
    module = ModuleType("lazy_module")
    asked: list[str] = []
    vars(module)["__getattr__"] = asked.append
    sys.modules["lazy_module"] = module
    try:
        decode_error('{"types":["lazy_module:Error"],"message":"m"}')
    finally:
        del sys.modules["lazy_module"]
    assert asked == []
