"""The entry point: options before and after the verb, and how every ending looks from outside."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
import typer

import ergon_cli
from ergon_cli import app as entry
from ergon_cli.exits import ExitCode
from ergon_cli.options import State, shared
from ergon_cli.render import say
from ergon_runtime.errors import StoreUnavailable

ROOT = Path(__file__).resolve().parents[2]
TABLE = dict(entry.COMMANDS)
seen: list[State] = []


def probe(state: State, word: Annotated[str, typer.Argument()] = "", end: str = "") -> ExitCode | None:
    """Keep the state, then end as told."""
    seen.append(state)
    match end:
        case "diverged":
            return ExitCode.DIVERGED
        case "store":
            raise StoreUnavailable("locked by another writer")
        case "bug":
            raise KeyError(word)
        case "interrupt":
            raise KeyboardInterrupt
        case "umlaut":
            say(word)
            return None
        case "exit":
            raise typer.Exit(4)
        case _:
            return None


async def later(state: State) -> ExitCode:
    """A command that is a coroutine."""
    seen.append(state)
    return ExitCode.NOT_FOUND


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands of the tests' own, in the table."""
    seen.clear()
    table: dict[str, tuple[str, str]] = {}
    for command in (probe, later):
        module = ModuleType(f"probe_{command.__name__}")
        application = typer.Typer()
        application.command(command.__name__)(shared(command))
        module.app = application
        monkeypatch.setitem(sys.modules, module.__name__, module)
        table[command.__name__] = (module.__name__, (command.__doc__ or "").splitlines()[0])
    monkeypatch.setattr(entry, "COMMANDS", table)


def test_shared_options_stand_before_and_after_the_verb() -> None:
    before = ["--store", "sqlite:///a", "-m", "one", "--config", "x.toml"]
    assert entry.main([*before, "probe", "word", "--json", "--store", "sqlite:///b", "-m", "two"]) == 0
    assert seen == [State("sqlite:///b", Path("x.toml"), ("one", "two"), json=True)]


def test_coroutine_command_is_run_and_its_code_returned() -> None:
    assert entry.main(["later"]) == 3
    assert seen == [State()]


@pytest.mark.parametrize(
    ("end", "code"), [("", 0), ("diverged", 5), ("store", 6), ("bug", 1), ("interrupt", 130), ("exit", 4)]
)
def test_each_ending_has_its_exit_code(end: str, code: int) -> None:
    assert entry.main(["probe", "--end", end]) == code


def test_data_on_ascii_terminal_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert entry.main(["probe", "größe", "--end", "umlaut"]) == 0
    terminal.seek(0)
    assert terminal.read() == "gr\\xf6\\xdfe\n"


def test_store_error_is_shown_as_cause_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    entry.main(["probe", "--end", "store"])
    assert capsys.readouterr() == ("", "error: locked by another writer\n")


def test_error_with_json_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    entry.main(["probe", "--end", "store", "--json"])
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err) == {"error": {"code": 6, "message": "locked by another writer", "hint": None}}


def test_bug_shows_no_traceback_unless_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry.main(["probe", "--end", "bug"])
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("ERGON_TRACEBACK", "1")
    entry.main(["probe", "--end", "bug"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["prob"], "did you mean 'probe'"),
        (["probe", "--ent", "x"], "--end"),
        (["probe", "a", "b"], "unexpected extra argument"),
        (["probe", "--store"], "requires an argument"),
        (["--json"], "missing command"),
        (["probe", "a\udcff"], "not UTF-8: 'a\\udcff'"),
    ],
)
def test_wrong_usage_is_exit_2_in_our_form(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said.lower() in err.lower()
    assert err.startswith(("error: ", '{"error"'))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("Value error, 'foo' is not one of 'a', 'b'", "'foo' is not one of 'a', 'b'"),
        ("Input should be greater than or equal to 1", "it should be greater than or equal to 1"),
    ],
)
def test_refused_value_is_told_in_few_words(told: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.report(typer.BadParameter(told, param_hint="--view"), as_json=False) == 2
    assert capsys.readouterr().err.startswith(f"error: invalid value for --view: {said}\n")


def test_every_command_has_the_help_that_the_table_says() -> None:
    for verb, (module, line) in TABLE.items():
        app = import_module(module).app
        if app.registered_groups:  # it has commands of its own below it
            ((group,), command) = app.registered_groups, app.registered_groups[0].typer_instance.registered_callback
            assert group.name == verb
        else:
            command = app.registered_commands[0]
            assert command.name == verb
        assert command.callback.__doc__.startswith(line)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("probe", "later", "--store"))
    assert entry.main(["probe", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("--end", "--store", "--module"))


def test_no_arguments_shows_help_and_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([]) == 2
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["memory://", "memory:"])
def test_memory_store_is_refused(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "COMMANDS", {"load": ("probe_load", "Load.")})
    module, application = ModuleType("probe_load"), typer.Typer()

    def load(state: State) -> None:
        state.load()

    application.command("load")(shared(load))
    module.app = application
    monkeypatch.setitem(sys.modules, "probe_load", module)
    assert entry.main(["load", "--store", url]) == 2
    assert "--store sqlite:///ergon.db" in capsys.readouterr().err


MAIN = [sys.executable, "-c", "import sys; from ergon_cli.app import main; sys.exit(main())"]
ASCII = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}


def test_version_loads_no_library() -> None:
    code = (
        "import sys; from ergon_cli.app import main; main(['--version']);"
        "print(sorted({'typer', 'rich', 'pydantic', 'aiosqlite', 'asyncio', 'ergon_runtime'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == f"ergon {ergon_cli.__version__}\n[]\n"


def test_help_loads_no_library_but_typer() -> None:
    heavy = "{'rich', 'pydantic', 'aiosqlite', 'sqlite3', 'redis', 'ergon_runtime.worker', 'ergon_runtime.codec'}"
    code = f"import sys; from ergon_cli.app import main; main(['--help']); print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.endswith("\n[]\n")


def test_help_on_ascii_terminal_does_not_fail() -> None:
    run = subprocess.run([*MAIN, "--help"], env=ASCII, capture_output=True, text=True, check=True)
    assert "Usage" in run.stdout
    assert run.stdout.isascii()
    assert run.stderr == ""


def test_reader_that_goes_away_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = subprocess.run(
            [*MAIN, "--help"], env=ASCII, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (run.returncode, run.stderr) == (0, "")
