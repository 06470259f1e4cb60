"""The command in a folder of its own, for every test of a command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ergon_runtime import registry
from tests.cli.shell import FLOWS, Shell


@pytest.fixture
def ergon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("ERGON_STORE", "ERGON_MODULES", "ERGON_ALLOW_VOLATILE"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path, capsys)


@pytest.fixture
def flows(ergon: Shell) -> Iterator[None]:
    """A flows.py in that folder. Afterwards what was imported from there is forgotten."""
    (ergon.folder / "flows.py").write_text(FLOWS)
    modules, paths = set(sys.modules), list(sys.path)
    with registry.isolated():
        yield
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ergon.folder)):
            del sys.modules[name]
