"""Looks: what streams can show, and texts cut and folded by what they take on a terminal."""

from __future__ import annotations

import io
from typing import TextIO

import pytest

from ergon_cli.render import cell_width
from ergon_cli.screens.look import Look, Part, look_at, rendered

WIDE = "注文を確認"
COMBINED = "e\u0301" * 4


class Terminal(io.TextIOWrapper):
    """A terminal, as far as writers can tell."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return monkeypatch


def test_look_of_a_terminal_knows_width_colour_and_characters() -> None:
    seen = look_at(Terminal("utf-8"), now=5, full=True)
    assert (seen.now, seen.width, seen.color, seen.unicode, seen.full, seen.failed) == (5, 70, True, True, True, False)
    assert not look_at(Terminal("ascii"), now=5).unicode


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("COLUMNS", "3"), ("NO_COLOR", "1")])
def test_environment_takes_away_what_the_terminal_cannot(environ: pytest.MonkeyPatch, name: str, value: str) -> None:
    environ.setenv(name, value)
    seen = look_at(Terminal("utf-8"), now=0)
    assert (seen.width, seen.color) == {"TERM": (None, False), "COLUMNS": (20, True), "NO_COLOR": (70, False)}[name]


@pytest.mark.parametrize("stream", [io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="latin-1")])
def test_look_of_anything_else_has_no_width_and_no_colour(stream: TextIO) -> None:
    seen = look_at(stream, now=0)
    assert (seen.terminal, seen.width, seen.color) == (False, None, False)


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 4, "abc…"),
        (WIDE, 10, WIDE),
        (WIDE, 9, "注文を確…"),
        (WIDE, 8, "注文を…"),
        (WIDE, 2, "…"),
        (COMBINED, 4, COMBINED),
        (COMBINED, 3, "e\u0301e\u0301…"),
        ("a\x1b[2J", 20, r"a\x1b[2J"),
        ("abc", 0, ""),
    ],
)
def test_text_is_cut_by_columns(text: str, width: int, cut: str) -> None:
    assert Look(0, 80).cut(text, width) == cut


def test_what_cannot_be_written_is_escaped_and_counted_as_such() -> None:
    seen = Look(0, 80, unicode=False, encoding="ascii")
    assert seen.cut("注文", 12) == r"\u6ce8\u6587"
    assert seen.cut("注文", 8) == r"\u6ce..."
    assert Look(0, 80, unicode=False, encoding="latin-1").cut("é注", 9) == r"é\u6ce8"


@pytest.mark.parametrize("width", [1, 2, 3, 7, 20, 200])
@pytest.mark.parametrize("data", ["", "word " * 9, WIDE * 4, "x" * 50, f"ab {WIDE} cd", "  indented text"])
def test_folded_text_is_whole_and_within_its_width(data: str, width: int) -> None:
    lines = list(Look(0, 80).fold(data, width))
    assert "".join(lines).replace(" ", "") == data.replace(" ", "")
    assert max(map(cell_width, lines)) <= max(width, 2)


def test_folded_text_breaks_at_blanks() -> None:
    assert list(Look(0, 80).fold("one two three four", 9)) == ["one two", "three", "four"]


def test_line_for_a_terminal_is_styled_and_for_a_pipe_has_tabs() -> None:
    line = ("a\t", Part("bad", "bold red"), Part("", "red"))
    assert rendered(line, Look(0, 80, color=True)) == "a\\x09\x1b[1;31mbad\x1b[0m"
    assert rendered(line, Look(0, 80)) == r"a\x09bad"
    assert rendered(line, Look(0)) == "a\\x09\tbad\t"
