"""Every sample has cases, and says how to run it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.samples.cases import all_cases
from tests.samples.running import ROOT

NO_CASES = {"demo": "no flows: it runs those of other samples"}
"""Samples without cases, and why."""
SAMPLES = sorted(path for path in (ROOT / "sample_flows").glob("*.py") if path.stem not in NO_CASES)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_has_cases_and_names_its_commands(path: Path) -> None:
    assert f"sample_flows.{path.stem}" in {case.module for case in all_cases()}
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    file = f"sample_flows/{path.name}"
    assert f"ergon worker -m {file}" in said
    assert re.search(rf"ergon schedule \w+ -m {file}", said)


def test_case_names_and_modules_are_real() -> None:
    cases = list(all_cases())
    assert len({case.name for case in cases}) == len(cases)
    assert [case.name for case in cases if not (ROOT / f"{case.module.replace('.', '/')}.py").is_file()] == []


def test_classes_of_all_samples_have_names_of_their_own() -> None:
    """They may be loaded together, and what has no hint is stored by its class's short name."""
    trees = [ast.parse(path.read_text()) for path in SAMPLES]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, n in names.items() if n > 1] == []


def test_samples_without_cases_still_exist() -> None:
    assert [name for name in NO_CASES if not (ROOT / "sample_flows" / f"{name}.py").is_file()] == []


def test_readme_lists_every_sample() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [path.name for path in SAMPLES if f"(sample_flows/{path.name})" not in readme] == []
