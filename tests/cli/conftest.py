"""The command in a folder of its own, for every test of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.fixture
def ergon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("ERGON_STORE", "ERGON_MODULES"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path, capsys)
