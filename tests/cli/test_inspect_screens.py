"""`ergon inspect` and who reads it: terminals of all kinds, pipes, and readers that leave."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ergon_cli.app import main
from ergon_cli.live import screen
from ergon_cli.screens import VIEWS, ViewName
from ergon_cli.screens.look import Line, Look
from ergon_runtime import Status, Store
from ergon_runtime.core.entries import Outcome
from tests.cli.shell import Shell, in_store
from tests.runtime.views import STARTED, Scene, ended, error

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("注文", "a\x1b[2J", "\u202eevil", "x" * 90)
INSPECT = "import sys; from ergon_cli.app import main; code = main(['inspect', 'A-17']); "


class Terminal(io.TextIOWrapper):
    """A terminal, as far as writers can tell."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True

    def written(self) -> bytes:
        self.flush()
        self.seek(0)
        return bytes(self.buffer.read())


async def placed(store: Store) -> None:
    scene = Scene(store)
    steps = [replace(ended(f"{n}/charge"), name="charge") for n in range(300)]
    odd = [ended(name, None, error("OSError", "bad\x1b[31m 注文")) for name in NAMES]
    await scene.place("A-17", Status.FAILED, [STARTED, *steps, *odd], outcome=Outcome(Status.FAILED, None, error()))
    for n in range(25):
        await scene.place(f"B/{n}", Status.COMPLETED, parent="B", outcome=Outcome(Status.COMPLETED, "1"))
    await scene.create("B")
    await scene.place("A-17/注文", Status.COMPLETED, parent="A-17", outcome=Outcome(Status.COMPLETED, "1"))


@pytest.fixture(autouse=True)
def store(ergon: Shell) -> None:
    in_store(placed)


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    return monkeypatch


def test_every_view_that_is_named_can_be_drawn() -> None:
    assert set(VIEWS) == set(ViewName)


@pytest.mark.parametrize("view", list(ViewName))
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_any_terminal_can_show_any_view(view: str, encoding: str, environ: pytest.MonkeyPatch) -> None:
    terminal = Terminal(encoding)
    environ.setattr(sys, "stdout", terminal)
    assert main(["inspect", "A-17", "--view", view]) == 0
    shown = terminal.written().decode(encoding)
    assert "A-17" in shown
    assert "\x1b[31m" in shown, "a failure is red"
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "\x1b[31m 注文" not in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_terminal_without_colour_gets_no_escapes(name: str, value: str, environ: pytest.MonkeyPatch) -> None:
    environ.setenv(name, value)
    terminal = Terminal("utf-8")
    environ.setattr(sys, "stdout", terminal)
    assert main(["inspect", "A-17"]) == 0
    assert b"\x1b" not in terminal.written()


def test_suspended_watch_gives_the_terminal_back_and_takes_it_again(environ: pytest.MonkeyPatch) -> None:
    terminal, stopped = Terminal("utf-8"), list[tuple[int, object, bytes]]()

    async def draw(seen: object, look: Look) -> list[Line]:
        return []

    def stop(number: int) -> None:
        stopped.append((number, signal.getsignal(number), terminal.written()))

    async def scenario() -> None:
        with screen(draw, Look) as watcher:
            watcher.suspended()
            assert terminal.written().endswith(b"\x1b[?1049h\x1b[H\x1b[?25l")

    environ.setattr(sys, "stdout", terminal)
    environ.setattr(signal, "raise_signal", stop)
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)  # a shell without jobs has it ignored
    try:
        asyncio.run(scenario())
        assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTSTP, before)
    ((number, handler, shown),) = stopped
    assert (number, handler) == (signal.SIGTSTP, signal.SIG_DFL)
    assert shown.endswith(b"\x1b[?1049l\x1b[?25h")


def always(stream: object) -> bool:
    return True


def test_terminal_folds_what_full_shows(ergon: Shell, environ: pytest.MonkeyPatch) -> None:
    environ.setattr("ergon_cli.screens.look.is_terminal", always)
    assert ergon("inspect", "A-17") == 0
    assert " 294 x charge " in ergon.out
    folded = len(ergon.out.splitlines())
    assert ergon("inspect", "A-17", "--full") == 0
    assert len(ergon.out.splitlines()) > folded + 290
    assert ergon("inspect", "A-17", "--failed") == 0
    assert "charge" not in ergon.out


def test_tree_in_a_pipe_has_a_row_for_each_flow(ergon: Shell) -> None:
    assert ergon("inspect", "A-17", "--view", "tree") == 0
    rows = [line.split("\t") for line in ergon.out.partition("\n\n")[2].splitlines()]
    assert [row[:4] for row in rows] == [
        ["0", "A-17", "order", "failed"],
        ["1", "A-17/注文", "order", "completed"],
    ]
    assert ergon("inspect", "A-17", "--view", "tree", "--failed") == 0
    assert "注文" not in ergon.out
    assert ergon("inspect", "A-17", "--view", "tree", "--json") == 0
    assert ergon.json[0]["id"] == "A-17"


def test_pipe_gets_the_whole_of_a_large_family_and_a_terminal_a_count(
    ergon: Shell, environ: pytest.MonkeyPatch
) -> None:
    assert ergon("inspect", "B", "--view", "tree") == 0
    assert len(ergon.out.partition("\n\n")[2].splitlines()) == 26
    environ.setattr("ergon_cli.screens.look.is_terminal", always)
    environ.setenv("NO_COLOR", "1")
    assert ergon("inspect", "B", "--view", "tree") == 0
    assert "+ 25 x order  completed" in ergon.out


def test_pipe_loads_no_library_for_drawing() -> None:
    code = INSPECT + "sys.exit(9 if any(name.partition('.')[0] == 'rich' for name in sys.modules) else code)"
    found = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, b"")
    assert len(found.stdout.splitlines()) > 300


def test_reader_that_leaves_ends_it_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INSPECT + "sys.exit(code)"],
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")
