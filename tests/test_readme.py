"""What newcomers read is true: commands and options exist, links resolve, make targets are there; a section is run."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ergon_cli.app import COMMANDS, build

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SAMPLES = sorted((ROOT / "sample_flows").glob("*.py"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ | {4})?(ergon [a-z].*)$")
LINK = re.compile(r"\[[^]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MAKE = re.compile(r"\bmake((?: [a-z]+)+)")


def command_lines() -> Iterator[tuple[str, str]]:
    """Every command line in a code block of a page or in a sample's docstring, with the file's name."""
    for path in PAGES:
        for kind, block in BLOCK.findall(path.read_text()):
            if kind in ("", "console", "sh"):
                yield from ((path.name, found[1]) for line in block.splitlines() if (found := COMMAND.match(line)))
    for path in SAMPLES:
        text = path.read_text()
        yield from ((path.name, found[1]) for line in text.splitlines() if (found := COMMAND.match(line)))


LINES = sorted(set(command_lines()))


def words_of(line: str) -> list[str]:
    return shlex.split(line.removesuffix("&"), comments=True)[1:]


def command_of(verb: str) -> Any:
    group: Any = typer.main.get_command(build([verb]))
    return group.commands[verb]


def test_pages_and_samples_show_every_command() -> None:
    assert {words_of(line)[0] for _, line in LINES} >= set(COMMANDS)


@pytest.mark.parametrize(("page", "line"), LINES)
def test_shown_command_line_parses(page: str, line: str) -> None:
    verb, *rest = words_of(line)
    assert verb in COMMANDS, f"{page}: {line}"
    command = command_of(verb)
    if rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]  # as `ergon store copy`
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    shown = re.findall(r"(?:^|(?<=[\s\[|/]))--?[a-zA-Z][\w-]*", " ".join(word for word in rest if "{" not in word))
    assert set(shown) <= known | {"-h", "--help"}, f"{page}: {line}"
    if "[" not in line and "..." not in line and verb != line.split()[-1]:
        command.make_context(verb, list(rest))  # raises where the line would be refused


@pytest.mark.parametrize("verb", COMMANDS)
def test_examples_of_the_help_stand_on_lines_of_their_own_and_parse(verb: str) -> None:
    group = command_of(verb)
    for command in getattr(group, "commands", {verb: group}).values():  # as `ergon store copy`
        assert re.match(r"\x08\nExamples?:\n  ergon ", command.epilog)
        for line in command.epilog.splitlines()[2:]:
            rest = shlex.split(line.partition(" > ")[0])[1:]
            assert rest.pop(0) == verb
            command.make_context(verb, [word for word in rest if word != command.name or verb == command.name])


def test_command_line_with_an_unknown_option_is_noticed() -> None:
    with pytest.raises(typer.TyperException):
        command_of("worker").make_context("worker", ["--no-such-option"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_resolve(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if target.startswith("https://"):
            continue
        place, _, anchor = target.partition("#")
        path = page.parent / place if place else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in {slug(heading) for heading in HEADING.findall(path.read_text())}, f"{page.name}: {target}"


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for words in re.findall(r"`(make(?: [a-z-]+)+)", page.read_text())
        for target in words.split()[1:]
    }
    assert named
    assert named <= targets


def test_variables_that_pages_name_are_read_somewhere() -> None:
    code = "".join(
        path.read_text() for folder in ("ergon_runtime", "ergon_cli") for path in (ROOT / folder).rglob("*.py")
    )
    code += "".join(path.read_text() for path in SAMPLES)
    named = {name for page in PAGES for name in re.findall(r"\bERGON_[A-Z_]+\b", page.read_text())}
    assert named
    assert [name for name in sorted(named) if f'"{name}"' not in code] == []


def test_architecture_names_only_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    tree = page.split("```")[1]
    named = set(re.findall(r"\b\w+\.py\b", tree))
    folders = [ROOT / "ergon_runtime", ROOT / "ergon_cli"]
    there = {path.name for folder in folders for path in folder.rglob("*.py") if not path.name.startswith("_")}
    assert named
    assert named <= there


RUN = "## When a flow has failed: retry and fork"
QUESTION = b"[y/N] "
CODES = re.compile(r"\x1b\[[0-9;]*[mK]")
VARYING = (
    (re.compile(r"^worker .*", re.MULTILINE), "worker"),
    (re.compile(r"^[-0-9]+ [:,0-9]+ WARNING (?!ergon_runtime\.runner: flow A-17 failed).*\n", re.MULTILINE), ""),
    (re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ", re.MULTILINE), ""),
)
"""What is another in each run, and what stands for it. Of a busy machine workers may warn."""


def test_section_on_retries_and_forks_shows_what_a_terminal_shows(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition(RUN)[2].partition("\n## ")[0]
    (code,) = [block for kind, block in BLOCK.findall(section) if kind == "python"]
    (tmp_path / "flows.py").write_text(code)
    for shown in (block for kind, block in BLOCK.findall(section) if kind == "console"):
        lines = re.findall(r"^\$ (.*)$", shown, re.MULTILINE)
        screen = "".join(f"$ {line}\n{on_terminal(tmp_path, line)}" for line in lines)
        for varying, constant in VARYING:
            screen, shown = varying.sub(constant, screen), varying.sub(constant, shown)
        assert screen == shown


def on_terminal(folder: Path, line: str) -> str:
    """What a command shows on a terminal where each question is answered with y."""
    verb, *words = shlex.split(line)
    command = [sys.executable, "-m", "ergon_cli", *words] if verb == "ergon" else [verb, *words]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERGON_")}
    environ = kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    person, terminal = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        seen = b""
        while read := read_some(person):
            seen += read
            if seen.endswith(QUESTION):
                os.write(person, b"y\n")
    os.close(person)
    assert process.returncode == 0, seen
    lines = CODES.sub("", seen.decode()).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in lines)  # what was written over is gone


def read_some(person: int) -> bytes:
    """What comes next; nothing when the other end is closed."""
    try:
        return os.read(person, 65536)
    except OSError:  # that is how a terminal tells of it
        return b""
