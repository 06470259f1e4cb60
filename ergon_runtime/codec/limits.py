"""Owns the caps on stored text: how long it may be, how deeply nested; and the digest of a text.

Rules: caps are checked before anything is parsed, in linear time and without recursion. Text is always valid UTF-8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from ergon_runtime.errors import CodecError


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest text that is stored or read: its length in bytes of UTF-8, and how deeply its JSON may nest."""

    max_bytes: int = 2 * 1024 * 1024
    max_depth: int = 64


DEFAULT_LIMITS: Final = Limits()

# A string, closed or not: it always matches at a quote, so that the scan never looks at a character twice.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(128)) - set(b"[]{}"))


def check(text: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise CodecError if the text is too long, too deep, or cannot be written as UTF-8."""
    size = len(text) if text.isascii() else _utf8_size(text)
    if size <= limits.max_depth:
        return
    if size > limits.max_bytes:
        raise CodecError(
            f"it takes {size:,} bytes, and {limits.max_bytes:,} is the most; "
            "keep big data elsewhere and pass its address"
        )
    # The count of opening brackets bounds the depth, and settles almost every case without a scan.
    if text.count("[") + text.count("{") > limits.max_depth and _deeper_than(text, limits.max_depth):
        raise CodecError(f"it is nested more than {limits.max_depth} levels deep; flatten it")


def digest(text: str) -> str:
    """A short fingerprint of a text: 16 hexadecimal digits."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _utf8_size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        at = ascii(text[error.start])
        raise CodecError(
            f"its text has {at}, half of a surrogate pair, which UTF-8 cannot hold; clean the text"
        ) from None


def _deeper_than(text: str, depth: int) -> bool:
    # Each round takes away the innermost pairs, so the rounds needed are the depth. What stays over is broken JSON:
    # if it is also deep, either complaint is right.
    brackets = _STRING.sub("", text).encode("ascii", "ignore").translate(_ONE_BRACKET, _NOT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            return len(brackets) > depth
        brackets = shorter
    return bool(brackets)
