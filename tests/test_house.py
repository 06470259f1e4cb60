"""The house: what a checkout promises besides code. Makefile, licence, changelog, CI entry, docstrings, reasons."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from pathlib import Path

import ergon_cli

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted([*ROOT.glob("ergon_runtime/**/*.py"), *ROOT.glob("ergon_cli/**/*.py")])
SILENCED = re.compile(
    r"#\s*(?:type:\s*ignore(?:\[[^]]*\])?|pyright:\s*ignore(?:\[[^]]*\])?|noqa(?::\s*[A-Z0-9, ]+)?)(.*)"
)


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
