"""Material of the fuzzers: texts, numbers and values that programs have stumbled over, and mutations of good input.

All of it follows from the `Random` that is given. Bytes are kept as text in which each character is a byte (latin-1),
so that a case is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, TypeAlias

Json: TypeAlias = Any
TERMINAL = "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x1b\\\u202e\u2066[red]bold[/red]\r\x9b31m\x00\u200b\ufeff"
"""What a terminal, or rich, would obey."""
TEXTS = (
    "",
    " ",
    "-",
    "--",
    "-1",
    "0",
    "null",
    "true",
    "{}",
    "[]",
    '"',
    "'",
    "\\",
    "/",
    "..",
    "../../etc/passwd",
    "%s%n{0}{}",
    "a\nb",
    "a\tb",
    "[red]x[/red]",
    "[/]",
    ":smile:",
    "注文",
    "e\u0301",
    "😀",
    "\U0010ffff",
    "\ufffe",
    "\u2028",
    "\u202eevil",
    "\x1b[31m",
    "\x1b]52;c;aGk=\x07",
    "\x9b2J",
    "\x7f",
    "\x85",
    "NaN",
    "Infinity",
    "1e999",
    "1e-999",
    "9" * 40,
    "9" * 5000,
    "0x10",
    "1_000",
    "٣",
    "2026-01-01T00:00:00Z",
    "~",
    "$HOME",
    "`id`",
    "a" * 300,
    "x" * 70_000,
    "\u202e" * 500,
    "\u017f",
    "İ",
    "A" + "\u0300" * 200,
    TERMINAL.replace("\x00", ""),
)
NUMBERS = (0, 1, -1, 2, 7, 255, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e300)
TIMES = (0, 1, -1, 1_700_000_000_000, 253_402_300_800_000, 2**53, 2**62, -(2**62))
"""Milliseconds, some of them of no year that Python knows."""


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


def text(random: Random) -> str:
    """A text, mostly odd."""
    match random.randrange(5):
        case 0 | 1 | 2:
            return random.choice(TEXTS)
        case 3:
            return "".join(
                chr(random.choice((random.randrange(1, 256), random.randrange(1, 0xD800)))) for _ in range(9)
            )
        case _:
            return random.choice(TEXTS) + random.choice(TEXTS)


def value(random: Random, depth: int = 3) -> Json:
    """A JSON value."""
    match random.randrange(8 if depth else 5):
        case 0:
            return random.choice((None, True, False))
        case 1:
            return random.choice((*NUMBERS, *TIMES))
        case 2 | 3 | 4:
            return text(random) if random.random() < 0.8 else TERMINAL
        case 5 | 6:
            return [value(random, depth - 1) for _ in range(random.randrange(4))]
        case _:
            return {text(random)[:50]: value(random, depth - 1) for _ in range(random.randrange(4))}


def mutate_value(random: Random, good: Json) -> Json:
    """A JSON value with one place of it changed."""
    if isinstance(good, (list, dict)) and good and random.random() < 0.85:
        return _changed_inside(random, good)
    if isinstance(good, str) and random.random() < 0.6:
        try:
            inner = json.loads(good)
        except (ValueError, RecursionError):
            return mutate_text(random, good)
        if isinstance(inner, (list, dict)):
            return json.dumps(mutate_value(random, inner))
    if isinstance(good, int) and not isinstance(good, bool) and random.random() < 0.8:
        return random.choice((*NUMBERS[:13], *TIMES, good + 1, good - 1, -good))
    return value(random)


def _changed_inside(random: Random, good: Json) -> Json:
    changed = dict(good) if isinstance(good, dict) else list(good)
    place = random.choice(list(changed)) if isinstance(changed, dict) else random.randrange(len(changed))
    match random.randrange(8):
        case 0:
            del changed[place]
        case 1 if isinstance(changed, list):
            changed.insert(place, changed[place])
        case 1:
            changed[text(random)[:50]] = changed[place]
        case 2 if isinstance(changed, list):
            random.shuffle(changed)
        case 3:
            changed[place] = value(random)
        case _:
            changed[place] = mutate_value(random, changed[place])
    return changed


def mutate_text(random: Random, good: str, pieces: Sequence[str] = TEXTS) -> str:
    """A text with a few characters, or pieces, changed."""
    for _ in range(random.randrange(1, 4)):
        at, to = sorted((random.randrange(len(good) + 1), random.randrange(len(good) + 1)))
        match random.randrange(6):
            case 0:
                good = good[:at] + good[at + 1 :]
            case 1:
                good = good[:at] + good[to:]
            case 2:
                good = good[:at] + random.choice(pieces) + good[at:]
            case 3:
                good = good[:at] + chr(random.randrange(1, 0x3000)) + good[at + 1 :]
            case 4:
                good = good[:to] + good[at:]
            case _:
                good = good[:at]
    return good[:200_000]


def mutate_bytes(random: Random, good: bytes) -> bytes:
    """Bytes with some of them flipped, cut out, or doubled; or a change that JSON survives."""
    if random.random() < 0.6:
        try:
            made = json.loads(good)
        except (ValueError, RecursionError):
            pass
        else:
            for _ in range(random.choice((1, 1, 1, 2, 4))):
                made = mutate_value(random, made)
            dumped = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
            return dumped.encode(errors="surrogatepass")
    changed = bytearray(good)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1)
        match random.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del changed[at : at + random.randrange(1, 9)]
            case 2:
                changed[at:at] = random.choice(
                    (b"\xff", b"\xed\xa0\x80", b"[" * 2000, b'"', b"\x00", b"1e999", b"9" * 5000)
                )
            case 3:
                changed[at:at] = changed[: random.randrange(len(changed) + 1)]
            case _:
                del changed[at:]
    return bytes(changed)
