"""Owns the stored forms of single values that JSON has no word for: dates, decimals, bytes and their like.

Rules: a tagged value is an object with one key, which begins with `$`. Writers take a value of exactly their type;
readers take any JSON and raise ValueError, TypeError, ArithmeticError or CodecError when it is not what they wrote.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from ergon_runtime.codec.arrays import ARRAY, SCALAR, read_array, read_scalar
from ergon_runtime.errors import CodecError

TAG: Final = "$"
# Far below the least limit on decimal digits that Python can be given (640), so that a plain number is always readable.
_PLAIN_BITS = 2000


@dataclass(frozen=True, slots=True, repr=False)
class Unstored:
    """Stands in a stored error for something that could not be stored; reads as the original did."""

    shown: str
    text: str

    def __repr__(self) -> str:
        return self.shown

    def __str__(self) -> str:
        return self.text


def write_int(value: int) -> object:
    """An int as it is, or in hexadecimal when it is huge."""
    return value if value.bit_length() < _PLAIN_BITS else {"$int": hex(value)}


def write_float(value: float) -> object:
    """A float as it is, or tagged when JSON has no number for it."""
    return value if math.isfinite(value) else {"$float": repr(value)}


def is_plain_zone(zone: tzinfo | None) -> bool:
    """Whether a time zone is none at all, or a fixed offset that ISO 8601 says in full."""
    if zone is None or zone is UTC:
        return True
    if type(zone) is timezone:
        return zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)
    return type(zone).__module__.startswith("pydantic_core")  # what pydantic reads an offset as


def _write_moment(tag: str, value: datetime | time) -> dict[str, object]:
    if not is_plain_zone(value.tzinfo):
        raise CodecError(
            f"the time zone {value.tzinfo!r} has no stored form; turn it into UTC with .astimezone(timezone.utc)"
        )
    return {tag: [value.isoformat(), 1] if value.fold else value.isoformat()}


def _read_datetime(payload: object) -> datetime:
    match payload:
        case str(text):
            return datetime.fromisoformat(text)
        case [str(text), 1]:
            return datetime.fromisoformat(text).replace(fold=1)
        case _:
            raise ValueError("not a datetime")


def _read_time(payload: object) -> time:
    match payload:
        case str(text):
            return time.fromisoformat(text)
        case [str(text), 1]:
            return time.fromisoformat(text).replace(fold=1)
        case _:
            raise ValueError("not a time")


def _read_timedelta(payload: object) -> timedelta:
    match payload:
        case [int(days), int(seconds), int(micros)]:
            return timedelta(days, seconds, micros)
        case _:
            raise ValueError("not a timedelta")


def _read_complex(payload: object) -> complex:
    match payload:
        case [str(real), str(imag)]:
            return complex(_number(real), _number(imag))
        case _:
            raise ValueError("not a complex number")


def _read_unstored(payload: object) -> Unstored:
    match payload:
        case [str(shown), str(text)]:
            return Unstored(shown, text)
        case _:
            raise ValueError("not a placeholder")


def _read_float(payload: object) -> float:
    value = float(_text(payload))
    if math.isfinite(value):
        raise ValueError("a finite float needs no tag")
    return value


def _number(text: str) -> float:
    if len(text) > 32:  # longer than any repr of a float
        raise ValueError("not a float")
    return float(text)


def _text(payload: object) -> str:
    if type(payload) is not str:
        raise ValueError("not a text")
    return payload


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


WRITERS: Final[dict[type, Callable[[Any], object]]] = {
    datetime: lambda value: _write_moment("$datetime", value),
    date: lambda value: {"$date": value.isoformat()},
    time: lambda value: _write_moment("$time", value),
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value: {"$Decimal": str(value)},
    UUID: lambda value: {"$UUID": str(value)},
    bytes: lambda value: {"$bytes": _base64(value)},
    complex: lambda value: {"$complex": [repr(value.real), repr(value.imag)]},
    Unstored: lambda value: {"$unstored": [value.shown, value.text]},
}
"""What is stored for a value of exactly this type."""

READERS: Final[dict[str, Callable[[object], object]]] = {
    "$datetime": _read_datetime,
    "$date": lambda payload: date.fromisoformat(_text(payload)),
    "$time": _read_time,
    "$timedelta": _read_timedelta,
    "$Decimal": lambda payload: Decimal(_text(payload)),
    "$UUID": lambda payload: UUID(_text(payload)),
    "$bytes": lambda payload: b64decode(_text(payload), validate=True),
    "$complex": _read_complex,
    "$float": _read_float,
    "$int": lambda payload: int(_text(payload), 16),
    "$unstored": _read_unstored,
    ARRAY: read_array,
    SCALAR: read_scalar,
}
"""What a tag's payload is read as."""
