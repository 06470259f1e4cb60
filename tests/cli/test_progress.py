"""The line that says how far a long command has come."""

from __future__ import annotations

import io
import sys

import pytest

from ergon_cli.progress import CLEAR, Progress


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_line_is_taken_away_once_and_only_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress("flows retried")
    progress.clear()
    assert screen.getvalue() == ""
    progress.tell(1, 2)
    progress.clear()
    progress.clear()
    assert screen.getvalue() == f"flows retried: [{'#' * 15}{'.' * 15}] 1 of 2{CLEAR}\r{CLEAR}"


def test_nothing_is_written_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    progress = Progress("flows retried")
    progress.tell(1)
    progress.clear()
    assert file.getvalue() == ""
