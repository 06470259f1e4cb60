"""The house: what a checkout promises besides code. Makefile, licence, changelog, CI entry, docstrings, reasons."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import ergon_cli

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted([*ROOT.glob("ergon_runtime/**/*.py"), *ROOT.glob("ergon_cli/**/*.py")])
SILENCED = re.compile(
    r"#\s*(?:type:\s*ignore(?:\[[^]]*\])?|pyright:\s*ignore(?:\[[^]]*\])?|noqa(?::\s*[A-Z0-9, ]+)?)(.*)"
)

LOADED_APART = {"tests/acceptance/wrong_input_flows.py", "tests/runtime/typing_cases.py"}
"""No test process loads them beside others."""


def test_makefile_help_lists_every_public_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony
    documented = re.findall(r"^([a-z-]+):.*## .+$", text, re.MULTILINE)
    assert sorted(documented) == sorted(phony[1].split())


def test_ci_runs_the_command_that_the_readme_names() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make check test" in script.read_text()
    assert "make check test" in (ROOT / "README.md").read_text()


def test_licence_and_changelog_are_named_by_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert "The Ergon authors" in (ROOT / "LICENSE").read_text()
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_version_is_a_plain_release_number() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ergon_cli.__version__)


def test_shipped_files_begin_with_a_docstring() -> None:
    bare = [path for path in SHIPPED if (text := path.read_text()).strip() and not ast.get_docstring(ast.parse(text))]
    assert bare == []


def test_silenced_checks_carry_a_reason() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SHIPPED
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := SILENCED.search(line)) and not found[1].strip(" #-:")
    ]
    assert silent == []


def test_flow_types_of_tests_and_samples_have_names_of_their_own() -> None:
    """Else two files fail when one process happens to load both."""
    where: dict[tuple[str, object], list[str]] = {}
    for path in sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("sample_flows/**/*.py")]):
        name = path.relative_to(ROOT).as_posix()
        for flow_type in () if name in LOADED_APART else _flow_types(ast.parse(path.read_text())):
            where.setdefault(flow_type, []).append(name)
    assert len(where) > 50
    assert {flow_type: names for flow_type, names in where.items() if len(names) > 1} == {}


def _flow_types(module: ast.Module) -> Iterator[tuple[str, object]]:
    """The name and version of each flow type that a module defines at its top."""
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            called = call.func if call else decorator
            if isinstance(called, ast.Name) and called.id in ("flow", "flow_type"):
                given = {each.arg: ast.unparse(each.value) for each in (call.keywords if call else [])}
                yield given.get("name", repr(node.name)), given.get("version")
