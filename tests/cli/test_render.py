"""Tables and lines: what a pipe gets, what a terminal gets."""

from __future__ import annotations

import io
import sys

import pytest

from ergon_cli.render import make_console, note, say, say_json, show_table


class Terminal(io.TextIOWrapper):
    """A terminal of 40 columns, as far as writers can tell."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="backslashreplace")

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        self.seek(0)
        return self.read()


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    return monkeypatch


ROWS = [["7c4e", "waiting", "signal [b]approve[/b] " + "x" * 60], ["\x1b[2J", "failed", "a\tb"]]


def test_table_in_a_pipe_is_complete_and_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["ID", "STATUS", "WHY"], ROWS)
    assert capsys.readouterr().out == (
        "7c4e\twaiting\tsignal [b]approve[/b] " + "x" * 60 + "\n" + r"\x1b[2J" + "\tfailed\t" + r"a\x09b" + "\n"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_table_on_a_terminal_is_cut_coloured_and_never_markup(environ: pytest.MonkeyPatch, encoding: str) -> None:
    terminal = Terminal(encoding)
    environ.setattr(sys, "stdout", terminal)
    show_table(["ID", "STATUS", "WHY"], ROWS)
    text = terminal.text()
    assert "STATUS" in text
    assert "\x1b[31mfailed" in text
    assert "[b]app" in text
    assert "\x1b[2J" not in text
    assert "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" not in text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_table_without_colour_has_no_escapes(environ: pytest.MonkeyPatch, name: str, value: str) -> None:
    environ.setenv(name, value)
    terminal = Terminal("utf-8")
    environ.setattr(sys, "stdout", terminal)
    show_table(["ID", "STATUS", "WHY"], ROWS)
    assert "\x1b[3" not in terminal.text()


def test_console_reads_no_markup_in_data(capsys: pytest.CaptureFixture[str]) -> None:
    make_console(sys.stdout).print("[b]x[/b] :smile:")
    assert capsys.readouterr().out == "[b]x[/b] :smile:\n"


def test_lines_go_where_they_belong(capsys: pytest.CaptureFixture[str]) -> None:
    say("id\x1b")
    say_json({"a": "\u202e"})
    note("one\ntwo\x07")
    assert capsys.readouterr() == ('id\\x1b\n{"a": "\\u202e"}\n', "one\ntwo\\x07\n")


@pytest.mark.parametrize("columns", ["200", "80", "30", "1"])
def test_lines_below_a_row_are_whole_and_safe_whatever_the_width(
    columns: str, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("COLUMNS", columns)
    environ.setenv("NO_COLOR", "1")
    environ.setattr("ergon_cli.render.is_terminal", always)
    words = [f"word{number}" for number in range(30)]
    show_table(("A", "B"), [("1", "x" * 500), ("2", ""), ("3", "y")], below=[[" ".join(words)], [], ["\x1b[2J"]])
    lines = capsys.readouterr().out.splitlines()
    below = [line for line in lines if line.startswith("    ")]
    assert " ".join(below).split() == [*words, "\\x1b[2J"]
    if int(columns) >= 30:
        assert max(map(len, lines)) <= int(columns)
        assert [line[0] for line in lines if line not in below] == ["A", "1", "2", "3"]


def always(stream: object) -> bool:
    return True


def test_prose_that_wraps_is_whole_on_a_narrow_terminal(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("NO_COLOR", "1")
    environ.setattr("ergon_cli.render.is_terminal", always)
    said = [f"word{number}" for number in range(20)]
    show_table(("ID", "N", "VERDICT"), [("patch", 1, " ".join(said))], wrap=True)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(lines[1:]).split() == ["patch", "1", *said]
