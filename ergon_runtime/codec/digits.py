"""Numbers of a JSON text that a float cannot hold: pydantic reads a bare number as a float, also for a Decimal."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import cast

_STRING_OR_NUMBER = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?', re.DOTALL)
"""The scalars of a text that is known to be JSON, but for true, false and null."""


def exact_numbers(text: str) -> str:
    """The JSON text with the numbers quoted that have more digits than a float holds; a Decimal is read from either."""
    return _STRING_OR_NUMBER.sub(_quoted_if_long, text)


def _quoted_if_long(found: re.Match[str]) -> str:
    token = found[0]
    if token[0] == '"' or Decimal(token) == Decimal(repr(float(token))):
        return token
    return f'"{token}"'


def takes_decimal(schema: object) -> bool:
    """Whether a schema of pydantic's takes a Decimal anywhere."""
    match schema:
        case {"type": "decimal"}:
            return True
        case dict():
            return any(takes_decimal(part) for part in cast("dict[str, object]", schema).values())
        case list() | tuple():
            return any(takes_decimal(part) for part in cast("list[object]", schema))
        case _:
            return False
