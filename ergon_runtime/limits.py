"""Owns the caps on stored text: how long it may be, how deeply nested; and the digest of a text.

Rules: caps are checked before anything is parsed, in linear time and without recursion. Text is always valid UTF-8. One
process has one set of caps in force, whatever flow or worker a text belongs to, as the codecs of hints are shared too.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from ergon_runtime.errors import CodecError

log = logging.getLogger(__name__)

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest text that is stored or read: its length in bytes of UTF-8, and how deeply its JSON may nest; and the
    length from which a warning is logged."""

    max_bytes: int = 2 * MIB
    max_depth: int = 64
    warn_bytes: int = 256 * KIB


DEFAULT_LIMITS: Final = Limits()
LEAST_BYTES: Final = KIB
MOST_BYTES: Final = 64 * MIB
_in_force = [DEFAULT_LIMITS]
_warned: set[str] = set()
_WARNINGS: Final = 1000
_LONGEST_CHARACTER: Final = 4
"""Bytes of UTF-8."""


def limits() -> Limits:
    """The caps in force in this process."""
    return _in_force[0]


def limit_payloads(max_bytes: int = DEFAULT_LIMITS.max_bytes, warn_bytes: int = DEFAULT_LIMITS.warn_bytes) -> None:
    """Set how many bytes one stored value may take in this process, and from how many on a warning is logged.

    Call it before flows run; flows that a lower cap has blocked go on by themselves under a higher one. Raises
    ValueError for a cap under 1 KiB or over 64 MiB.
    """
    if not LEAST_BYTES <= max_bytes <= MOST_BYTES:
        raise ValueError(f"max_bytes must be between {LEAST_BYTES} and {MOST_BYTES}, not {max_bytes}")
    _in_force[0] = Limits(max_bytes=max_bytes, warn_bytes=warn_bytes)
    _warned.clear()


def warn_if_big(text: str, where: str) -> None:
    """Log that a value is big, once for each place."""
    most = limits().warn_bytes
    if len(text) * _LONGEST_CHARACTER <= most or (size := len(text.encode())) <= most:
        return
    if where in _warned or len(_warned) >= _WARNINGS:
        return
    _warned.add(where)
    log.warning(
        "%s takes %s, and payload.warn is %s: consider to keep big data elsewhere and to pass its address",
        where,
        shown_size(size),
        shown_size(most),
    )


def shown_size(size: int) -> str:
    """Bytes for people: `2 MiB`, `1.5 MiB`, `300 bytes`."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size} bytes"


# A string, closed or not: it always matches at a quote, so that the scan never looks at a character twice.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(128)) - set(b"[]{}"))


def check(text: str, caps: Limits | None = None) -> None:
    """Raise CodecError if the text is too long, too deep, or cannot be written as UTF-8; without `caps` by those in
    force."""
    size = len(text) if text.isascii() else _utf8_size(text)
    caps = caps or limits()
    if size <= caps.max_depth:
        return
    if size > caps.max_bytes:
        raise CodecError(
            f"it takes {size:,} bytes, and {caps.max_bytes:,} is the most; "
            "keep big data elsewhere and pass its address, or raise payload.max"
        )
    # The count of opening brackets bounds the depth, and settles almost every case without a scan.
    if text.count("[") + text.count("{") > caps.max_depth and _deeper_than(text, caps.max_depth):
        raise CodecError(f"it is nested more than {caps.max_depth} levels deep; flatten it")


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
