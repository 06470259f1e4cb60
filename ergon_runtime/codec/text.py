"""Owns how what a person types becomes a value of a hint: plain text, or JSON.

Rules: text is taken as its hint says and never guessed at: for `str`, and without a hint, it stays as it is. JSON is
JSON, without NaN and without a key twice. A number meant as a Decimal keeps every digit, or is refused. Errors are
short, for a line beside the argument's name.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from enum import Enum
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ergon_runtime.codec.allowed import is_storable
from ergon_runtime.codec.digits import exact_numbers, takes_decimal
from ergon_runtime.codec.hints import hint_name, is_open
from ergon_runtime.codec.strict import read_json
from ergon_runtime.codec.values import adapter_for
from ergon_runtime.errors import CodecError

_WHAT: Final = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "date": "a date such as 2026-01-31",
    "datetime": "a date and time such as 2026-01-31T09:30:00Z",
    "time": "a time such as 09:30:00",
    "time_delta": "a duration such as 00:05:00 or PT5M",
    "uuid": "a UUID",
}
_SHOWN = 60


def parse_text(text: str, hint: Any) -> object:
    """The value that a text means under a hint: `9.5` a Decimal, `true` a bool, for containers and classes their JSON.

    `null` is text like any other. Raises CodecError with a short reason.
    """
    members = _members(hint)
    if not members or any(is_open(member) or member is str for member in members):
        return text
    # Without None, since no text stands for it.
    plain: Any = cast(Any, typing.Union)[tuple(members)]
    if any(_is_structure(member) for member in members):
        return parse_json(text, plain)
    adapter = adapter_for(plain, None)  # without options, so that the text of bytes is not base64
    if adapter is None:
        raise _unreadable(hint)
    try:
        return adapter.validate_strings(text)
    except ValidationError as error:
        named = _member_by_name(text, members)
        if named is not None:
            return named
        raise CodecError(_reason(error, text)) from None


def parse_json(text: str, hint: Any) -> object:
    """The value of a JSON text, if it fits the hint. Raises CodecError with a short reason."""
    value = read_json(text)
    if is_open(hint):
        return value
    adapter = adapter_for(hint)
    if adapter is None and typing.is_typeddict(hint) and isinstance(value, dict):
        return cast(object, value)  # before Python 3.12 pydantic takes only the TypedDict of typing_extensions
    if adapter is None:
        raise _unreadable(hint)
    try:
        value = adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise CodecError(_reason(error, None)) from None
    exact = exact_numbers(text)
    if exact == text or not takes_decimal(cast(object, adapter.core_schema)):
        return value
    return _exactly(exact, adapter, hint)


def _exactly(text: str, adapter: TypeAdapter[Any], hint: Any) -> object:
    """The value of a JSON text whose long numbers are quoted, since pydantic reads a bare one as a float first."""
    try:
        if str not in _members(hint):  # which would take the digits as text
            return adapter.validate_json(text, strict=True)
    except ValidationError:
        pass
    raise CodecError("a number has more digits than a float can hold; quote it where a Decimal is meant, or shorten it")


def _unreadable(hint: Any) -> CodecError:
    return CodecError(f"no {hint_name(hint)} can be made from text or JSON")


def _members(hint: Any) -> list[Any]:
    """The hints of a union but for None, through annotations and aliases."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        inner = typing.get_args(hint)[0]
        # The annotation may hold a limit, so a plain hint is kept with it.
        return [hint] if _members(inner) == [inner] else _members(inner)
    if isinstance(hint, typing.NewType):
        return _members(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":
        return _members(hint.__value__)
    if origin is typing.Union or origin is types.UnionType:
        return [member for part in typing.get_args(hint) for member in _members(part)]
    return [] if hint is None or hint is type(None) else [hint]


def _is_structure(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _is_structure(typing.get_args(hint)[0])
    if not isinstance(origin or hint, type):
        return False
    cls: Any = origin or hint
    if issubclass(cls, (str, bytes, Enum)):
        return False
    return is_storable(cls) or typing.is_typeddict(cls) or issubclass(cls, collections.abc.Iterable)


def _member_by_name(text: str, members: list[Any]) -> Enum | None:
    for member in members:
        if isinstance(member, type) and issubclass(member, Enum) and text in member.__members__:
            return member.__members__[text]
    return None


def _reason(error: ValidationError, text: str | None) -> str:
    """All complaints in one line; a text of one value is named once."""
    details = error.errors(include_url=False, include_context=False)
    if text is not None:
        return f"{_complaint(details[0])}: {_show(text)}"
    return "; ".join(_placed(detail) for detail in details[:5])


def _placed(detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"])
    shown = _complaint(detail)
    if detail["type"] not in ("missing", "unexpected_keyword_argument", "extra_forbidden"):
        shown = f"{shown}: {_show(cast(object, detail['input']))}"
    return f"{place}: {shown}" if place else shown


def _complaint(detail: ErrorDetails) -> str:
    kind = detail["type"]
    for ending in ("_from_date_parsing", "_from_datetime_parsing", "_parsing", "_type", "_from_float"):
        if kind.endswith(ending) and kind.removesuffix(ending) in _WHAT:
            return f"not {_WHAT[kind.removesuffix(ending)]}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _show(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
