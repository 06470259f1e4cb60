"""The entry of the `ergon` command: the table of commands, and the one place where every error ends.

A command is one file in `commands/` with a Typer `app`, and one line in COMMANDS. Only the modules of commands that the
command line names are loaded: `ergon --help` loads none of them, and `ergon --version` nothing at all.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ergon_cli import __version__

if TYPE_CHECKING:
    import typer

COMMANDS: dict[str, tuple[str, str]] = {
    "worker": ("ergon_cli.commands.worker", "Run flows: claim those that are due, and run their steps."),
    "schedule": ("ergon_cli.commands.schedule", "Schedule a flow and print its id."),
    "run": ("ergon_cli.commands.run", "Run a flow here, to its end, and print its result."),
    "signal": ("ergon_cli.commands.signal", "Send a signal."),
    "inspect": ("ergon_cli.commands.inspect", "Show a flow: why it is not over, its steps, its end."),
    "replay": ("ergon_cli.commands.replay", "Check that the flow code of today fits what is recorded."),
    "list": ("ergon_cli.commands.list", "Show flows, newest first, and why each is not over."),
    "retry": ("ergon_cli.commands.retry", "Let failed flows go on from the failure, and try blocked ones again."),
    "fork": ("ergon_cli.commands.fork", "Run a flow again from a step, as a new flow."),
    "cancel": ("ergon_cli.commands.cancel", "Cancel flows and their children."),
    "export": ("ergon_cli.commands.export", "Write flows with their journals, a line of JSON each."),
    "import": ("ergon_cli.commands.import_", "Put exported flows into the store."),
    "store": ("ergon_cli.commands.store", "Copy a store to another, back it up, or check it."),
}
"""Verb to module and line of the help, in the order of the help. The line begins the command's own docstring."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Writes errors to stderr; raises nothing but SystemExit."""
    args = list(sys.argv[1:] if argv is None else argv)
    fill_in_streams()
    if args in (["--version"], ["-V"]):
        sys.stdout.write(f"ergon {__version__}\n")
        return 0
    atexit.register(gc.freeze)  # the process ends, and with it all memory: Python need not look for garbage first
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")  # an ASCII terminal shows escapes instead of failing
    try:
        code = run(args)
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            return reader_gone() or code  # how a flow ended is told to the shell all the same
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return reader_gone()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # that is how rich ends a broken pipe
            return reader_gone()
        raise
    except Exception as error:  # noqa: BLE001  the last resort: users see a cause and a fix, not our traceback
        return report(error, as_json="--json" in args)
    return code


def fill_in_streams() -> None:
    """Standard streams that the process began without lead nowhere, so that no file opened later takes their place."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115  for as long as the process lives
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  likewise
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  likewise


def reader_gone() -> int:
    """Whoever read our stdout has left, as `| head` does. Nothing more may be written, not even by the exit's flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def run(args: list[str]) -> int:
    """Parse and run; raises whatever the command raises."""
    gc.disable()  # what is loaded now stays: to look for garbage in it takes time and finds none
    try:
        import typer

        from ergon_cli.parameters import take_plainly

        check_utf8(args)
        take_plainly()
        command = typer.main.get_command(build(args))
    finally:
        gc.enable()
    if "_ERGON_COMPLETE" in os.environ:
        command.main(args=args, prog_name="ergon")
    try:
        with command.make_context("ergon", [*args] or ["--help"]) as context:
            outcome = command.invoke(context)
    except typer.Exit as stop:
        # Without a command the help is an answer, but not a success: a script that names none has lost it.
        return stop.exit_code if args else 2
    return int(outcome) if isinstance(outcome, int) else 0


def check_utf8(args: Sequence[str]) -> None:
    """Refuse bytes that are no text before anything meets them. Raises CommandError: USAGE."""
    from ergon_cli.exits import CommandError, ExitCode

    for arg in args:
        try:
            arg.encode()
        except UnicodeEncodeError:
            raise CommandError(ExitCode.USAGE, f"not UTF-8: {arg!r}", "convert it to UTF-8 first") from None


def build(args: Sequence[str]) -> typer.Typer:
    """The Typer application with the commands that occur in `args`, or with their names alone when none does."""
    import typer

    from ergon_cli.options import root

    app = typer.Typer(
        help="Durable execution: asyncio flows that survive crashes.",
        epilog="Exit codes: 0 ok, 2 usage, 3 not found, 4 flow failed or cancelled, 5 diverged, 6 store, 7 import, "
        "124 timeout, 130 or 143 stopped at once.",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: rich would double the time it takes
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    completing = "_ERGON_COMPLETE" in os.environ
    named = [verb for verb in COMMANDS if verb in args]
    for verb, (module, line) in COMMANDS.items():
        if completing or verb in named:
            app.add_typer(import_module(module).app)
        elif not named:
            app.command(verb, help=line)(never_run)
    return app


def never_run() -> None:
    """Stands for a command in a command line that names none: it is listed, and suggested for what was mistyped."""
    raise AssertionError("a command that is run has been loaded")


def report(error: Exception, *, as_json: bool) -> int:
    """Show an error in our form and return its exit code."""
    import traceback

    import typer

    from ergon_cli.exits import CommandError, ExitCode, as_command_error, show_error

    match error:
        case typer.Abort():
            return ExitCode.INTERRUPTED
        case typer.TyperException():
            said = error.format_message().rstrip(".")
            said = said.replace(": Value error, ", ": ").replace(": Input should be ", ": it should be ")  # pydantic's
            path = getattr(getattr(error, "ctx", None), "command_path", "ergon")
            shown = CommandError(ExitCode.USAGE, said[:1].lower() + said[1:], f"see: {path} --help")
        case _:
            shown = as_command_error(error)
    if os.environ.get("ERGON_TRACEBACK") == "1":
        traceback.print_exception(error)
    show_error(shown, as_json=as_json)
    return shown.code
