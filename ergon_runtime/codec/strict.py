"""Owns strict JSON: a number that is out of range, NaN, and a key that stands twice are refused."""

from __future__ import annotations

import json
import math
from typing import Final

from ergon_runtime.errors import CodecError
from ergon_runtime.limits import check


def read_json(text: str) -> object:
    """The value of a JSON text that comes from people. Raises CodecError with a short reason."""
    check(text)
    try:
        value: object = _DECODE(text)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {error}") from None
    return value


def finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise CodecError(f"the number {text[:40]} is out of range")
    return value


def no_constant(text: str) -> object:
    raise CodecError(f"{text} is not JSON")


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CodecError("a key stands twice in one object")
    return found


_DECODE: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_float=finite, parse_constant=no_constant
).decode
