"""Columns that fit: who is cut, who goes, and when."""

from __future__ import annotations

import pytest

from ergon_cli.render import cell_width
from ergon_cli.screens.grid import Column, Row, fit, table
from tests.cli.screens.made import look, text

COLUMNS = (Column("A", gives=True), Column("B"), Column("N", 1, right=True), Column("M", 2), Column("P", gives=True))


def rows(*cells: tuple[str, str, str, str, str]) -> list[Row]:
    return [Row(row, {}) for row in cells]


FULL = rows(("a" * 20, "bbb", "7", "mmmmm", "p" * 40), ("a", "b", "12", "m", "p"))


def test_table_that_fits_is_whole() -> None:
    assert text(table(COLUMNS, FULL, look(90)), look(90)) == [
        "A                     B     N  M      P",
        "a" * 20 + "  bbb   7  mmmmm  " + "p" * 40,
        "a" + " " * 21 + "b    12  m      p",
    ]


@pytest.mark.parametrize(
    ("width", "shown", "widths"),
    [
        (78, "ABNMP", [20, 3, 2, 5, 40]),
        (70, "ABNMP", [20, 3, 2, 5, 32]),
        (50, "ABNMP", [16, 3, 2, 5, 16]),
        (41, "ABNP", [15, 3, 2, 15]),
        (35, "ABNP", [12, 3, 2, 12]),
        (34, "ABP", [13, 3, 14]),
        (20, "ABP", [12, 3, 12]),
    ],
)
def test_narrow_table_cuts_what_gives_and_drops_the_highest_rank(width: int, shown: str, widths: list[int]) -> None:
    found = fit(COLUMNS, FULL, look(width), width)
    assert "".join(COLUMNS[place].title for place in found.places) == shown
    assert list(found.widths) == widths
    assert found.complete is (shown == "ABNMP")
    if width > 30:
        assert max(map(cell_width, text(table(COLUMNS, FULL, look(width)), look(width)))) <= width


def test_column_with_nothing_in_it_is_not_missed() -> None:
    found = fit(COLUMNS, rows(("a", "", "", "m", "p")), look(90), 90)
    assert [COLUMNS[place].title for place in found.places] == ["A", "B", "M", "P"]
    assert found.complete


def test_wide_characters_count_twice() -> None:
    lines = text(table(COLUMNS, rows(("注文", "b", "1", "m", "p"), ("abcd", "b", "1", "m", "p")), look(90)), look(90))
    assert [cell_width(line) for line in lines[1:]] == [len(lines[2])] * 2


def test_lines_below_a_row_are_whole_whatever_the_width() -> None:
    row = Row(("a", "b", "1", "m", "p"), {}, ["one two three four five six seven eight nine"])
    lines = text(table(COLUMNS, [row], look(30)), look(30))
    assert " ".join(lines[2:]).split() == row.below[0].split()
    assert [len(line) - len(line.lstrip()) for line in lines[2:]] == [4, 8, 8]
