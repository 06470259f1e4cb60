"""Text at the output boundary."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from ergon_cli.text import age, clip, duration, json_line, safe, timestamp


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("plain text", "plain text"),
        ("größe 你好 🚀", "größe 你好 🚀"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\r\nb\tc\x7f", r"a\x0d\x0ab\x09c\x7f"),
        ("\x9b2J", r"\x9b2J"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028para\u2029", r"line\u2028para\u2029"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("half \ud800", r"half \ud800"),
        (12, "12"),
    ],
)
def test_safe_shows_what_a_terminal_would_obey(data: object, shown: str) -> None:
    assert safe(data) == shown


def test_safe_over_all_characters_leaves_no_control_or_format_character() -> None:
    text = safe("".join(map(chr, range(sys.maxunicode + 1))))
    assert not {unicodedata.category(char) for char in set(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    text.encode()


def test_clip_cuts_after_escaping() -> None:
    assert clip("\x1b" * 3, 8) == r"\x1b\..."
    assert clip("short", 8) == "short"


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (-5, "0ms"),
        (12, "12ms"),
        (5_130, "5.1s"),
        (59_999, "59.9s"),
        (125_000, "2m05s"),
        (11_040_000, "3h04m"),
        (176_400_000, "2d01h"),
    ],
)
def test_duration_has_at_most_two_units(milliseconds: int, shown: str) -> None:
    assert duration(milliseconds) == shown


@pytest.mark.parametrize(
    ("past", "shown"), [(-9, "0s"), (41_000, "41s"), (720_000, "12m"), (10_800_000, "3h"), (9 * 86_400_000, "9d")]
)
def test_age_has_one_unit(past: int, shown: str) -> None:
    assert age(1_000_000_000_000 - past, 1_000_000_000_000) == shown


def test_timestamp_is_iso_utc() -> None:
    assert timestamp(1_795_345_440_250) == "2026-11-22T11:04:00.250Z"


def test_json_line_is_one_ascii_line() -> None:
    line = json_line({"a": "ü\n\x1b\u202e"})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"a": "ü\n\x1b\u202e"}
