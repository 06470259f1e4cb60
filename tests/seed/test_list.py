"""None of the defects is left out, and each test says what went wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = [
    node
    for path in sorted(Path(__file__).parent.glob("test_*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_d")
]


def test_every_defect_from_d01_to_d29_has_a_test() -> None:
    shown = {int(number) for test in TESTS for number in re.findall(r"^test_d(\d\d)", test.name)}
    assert shown == set(range(1, 30))
    letters = {letter for test in TESTS for letter in re.findall(r"^test_d07([a-z])_", test.name)}
    assert letters == set("abcdefgh")


def test_every_test_of_a_defect_says_what_went_wrong() -> None:
    assert [test.name for test in TESTS if not ast.get_docstring(test)] == []
