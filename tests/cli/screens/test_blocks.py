"""Blocks: values over several lines, clipped; long lists cut in the middle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_cli.screens import blocks
from ergon_cli.screens.look import Look

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def test_value_that_fits_is_one_line_and_else_its_parts_stand_below_each_other() -> None:
    value = {"order": "A-17", "items": [{"n": 1}, {"n": 2}]}
    assert blocks.pretty(value, 60) == ['{"order": "A-17", "items": [{"n": 1}, {"n": 2}]}']
    assert blocks.pretty(value, 20) == [
        "{",
        '  "order": "A-17",',
        '  "items": [',
        '    {"n": 1},',
        '    {"n": 2}',
        "  ]",
        "}",
    ]


def test_what_stands_before_a_part_counts_for_its_first_line() -> None:
    assert blocks.pretty({"items": [1, 22, 333]}, 20) == [
        "{",
        '  "items": [',
        "    1,",
        "    22,",
        "    333",
        "  ]",
        "}",
    ]


@given(JSON, st.integers(5, 80))
def test_lines_of_a_value_are_that_value_whatever_the_width(value: Any, room: int) -> None:
    assert json.loads("\n".join(blocks.pretty(value, room))) == value


def deep(levels: int) -> Any:
    value: Any = "the bottom, with some text to make it long"
    for _ in range(levels):
        value = [value]
    return value


def test_value_nested_beyond_reason_ends_in_one_line() -> None:
    lines = blocks.pretty(deep(64), 20)
    assert len(lines) == 2 * blocks.DEEPEST + 1
    assert json.loads("\n".join(lines)) == deep(64)


def text(lines: Any) -> list[str]:
    return ["".join(getattr(part, "text", part) for part in line).rstrip() for line in lines]


def test_long_value_is_clipped_and_whole_when_it_is_to_be_shown_in_full() -> None:
    value = list(range(1000))
    shown = text(blocks.value_block("OUT", value, Look(0, 40)))
    assert len(shown) == blocks.LINES
    assert shown[0] == "OUT   ["
    assert shown[-1] == "      … (--full shows all 1,002 lines)"
    assert len(text(blocks.value_block("OUT", value, Look(0, 40, full=True)))) == 1002


def test_text_of_a_million_characters_is_clipped_at_once() -> None:
    shown = text(blocks.value_block("IN", "ä" * 1_000_000, Look(0, 40)))
    assert len(shown) == blocks.LINES
    assert max(map(len, shown)) <= 40


def test_value_for_a_pipe_is_one_row() -> None:
    assert list(blocks.value_block("IN", {"a": [1] * 100}, Look(0))) == [("IN", json.dumps({"a": [1] * 100}))]


@pytest.mark.parametrize(("count", "hidden"), [(blocks.SHOWN, 0), (blocks.SHOWN + 1, 1), (1000, 700)])
def test_long_list_is_cut_in_the_middle_on_a_terminal_only(count: int, hidden: int) -> None:
    items = range(count)
    first, left, last = blocks.middle_cut(items, Look(0, 80))
    assert (len(first) + len(last) + left, left) == (count, hidden)
    assert not hidden or (first[0], last[-1], len(first)) == (0, count - 1, blocks.FIRST)
    assert blocks.middle_cut(items, Look(0)) == blocks.middle_cut(items, Look(0, 80, full=True)) == (items, 0, ())
