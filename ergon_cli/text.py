"""Text at the output boundary: whatever came from a store, a module or a shell is shown, never obeyed by the terminal.

`safe` is for every piece of data; durations, ages and times have one form each. Pure functions, no I/O, no rich.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime

UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that can move a cursor, turn text around, be invisible, or not be encoded at all."""

_PASSWORD = re.compile(r"(://[^\s/@:]*:)\S+(?=@)|(password=)[^&\s\"']+")


def safe(data: object) -> str:
    """The text of any data; control, bidi, invisible and unassigned characters become \\xNN, \\uNNNN or \\UNNNNNNNN."""
    text = str(data)
    if text.isascii() and text.isprintable():
        return text
    return "".join(escaped(char) if unicodedata.category(char) in UNSAFE else char for char in text)


def without_passwords(text: str) -> str:
    """The text with *** for the passwords of addresses in it: people put addresses in wrong places, too."""
    return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", text)


def escaped(char: str) -> str:
    """One character as Python would write it in hexadecimal."""
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def clip(data: object, width: int) -> str:
    """Safe text of at most `width` characters, with ... where something was cut off."""
    text = safe(data)
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def duration(milliseconds: int) -> str:
    """A length of time in at most two units: 12ms, 5.1s, 2m05s, 3h04m, 2d01h."""
    if milliseconds < 1000:
        return f"{max(0, milliseconds)}ms"
    if milliseconds < 60_000:
        return f"{milliseconds // 100 / 10:.1f}s"
    seconds = milliseconds // 1000
    for size, unit, small, name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // small:02d}{name}"
    raise AssertionError("a minute or more has a unit")


def age(then: int, now: int) -> str:
    """How long ago, in one unit: 41s, 12m, 3h, 9d. Both are UTC milliseconds; the future is 0s."""
    seconds = max(0, now - then) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def timestamp(milliseconds: int) -> str:
    """UTC milliseconds as ISO 8601: 2026-11-22T11:04:00.250Z."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_line(data: object) -> str:
    """One line of ASCII JSON, as --json prints it."""
    return json.dumps(data, ensure_ascii=True)
