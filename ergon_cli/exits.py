"""How the command ends: exit codes, which error means which, and the one form in which errors are shown.

An error is `error: cause`, then what to do about it, in at most six lines on stderr; with --json one JSON line.
Code that knows what went wrong raises `CommandError`; errors of the runtime are mapped by class.
"""

from __future__ import annotations

import errno
import json
import sys
from enum import IntEnum

from ergon_cli.text import safe, without_passwords
from ergon_runtime.errors import (
    BackupRefused,
    CodecError,
    ConfigError,
    Conflict,
    CopyRefused,
    DefinitionError,
    ErgonError,
    FlowError,
    FlowNotFound,
    HistoryUnreadable,
    OperatorRefused,
    StoreError,
)

MAX_LINES = 6
MAX_WIDTH = 400


class ExitCode(IntEnum):
    """What the shell sees. Scripts rely on these numbers."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    """Wrong usage, arguments or configuration."""
    NOT_FOUND = 3
    """No such flow, flow type or waiter."""
    FLOW_FAILED = 4
    """The awaited flow failed or was cancelled."""
    DIVERGED = 5
    """The replay and the journal disagree."""
    STORE = 6
    """The store is unreachable, locked, corrupt or newer."""
    IMPORT = 7
    """A module of the user failed to import, or has no flows."""
    TIMEOUT = 124
    INTERRUPTED = 130
    TERMINATED = 143


class CommandError(Exception):
    """A command cannot do what was asked. `message` names the cause, `hint` the next action."""

    def __init__(self, code: ExitCode, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


CODES: tuple[tuple[type[ErgonError], ExitCode], ...] = (
    (FlowNotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.USAGE),
    (CopyRefused, ExitCode.USAGE),
    (BackupRefused, ExitCode.USAGE),
    (OperatorRefused, ExitCode.USAGE),
    (StoreError, ExitCode.STORE),
    (ConfigError, ExitCode.USAGE),
    (CodecError, ExitCode.USAGE),
    (HistoryUnreadable, ExitCode.USAGE),
    (DefinitionError, ExitCode.IMPORT),
    (FlowError, ExitCode.FLOW_FAILED),
)
"""The first class that fits an error decides."""


def code_of(error: BaseException) -> ExitCode:
    """The exit code for an error; UNEXPECTED for those that are nobody's fault but ours."""
    if isinstance(error, CommandError):
        return error.code
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.UNEXPECTED)


def as_command_error(error: BaseException) -> CommandError:
    """Any error as a CommandError, ready to be shown."""
    match error:
        case CommandError():
            return error
        case OperatorRefused():
            return CommandError(code_of(error), error.reason, error.fix)
        case FlowNotFound():
            return CommandError(code_of(error), str(error), "see what there is: ergon list")
        case ErgonError():
            return CommandError(code_of(error), str(error) or type(error).__name__)
        case OSError(errno=errno.ENOSPC):
            said = f"cannot write the output: {error.strerror}"
            return CommandError(ExitCode.UNEXPECTED, said, "make room, or write it elsewhere")
        case _:
            said = f"unexpected {type(error).__name__}: {error}"
            return CommandError(
                ExitCode.UNEXPECTED, said, "see where it came from: set ERGON_TRACEBACK=1 and run it again"
            )


def error_text(error: CommandError) -> str:
    """The error for people: at most six lines, the hint among them."""
    lines = without_passwords(error.message).splitlines() or [""]
    hint = [f"  {line}" for line in without_passwords(error.hint).splitlines()] if error.hint else []
    room = max(1, MAX_LINES - len(hint))
    if len(lines) > room:
        lines = [*lines[: room - 1], f"  ... {len(lines) - room + 1} lines more"] if room > 1 else lines[:1]
    shown = [safe(line) for line in (f"error: {lines[0]}", *lines[1:], *hint)][:MAX_LINES]
    return "\n".join(line if len(line) <= MAX_WIDTH else line[: MAX_WIDTH - 3] + "..." for line in shown)


def error_json(error: CommandError) -> str:
    """The error for programs: one line of ASCII."""
    hint = without_passwords(error.hint) if error.hint else error.hint
    detail = {"code": int(error.code), "message": without_passwords(error.message), "hint": hint}
    return json.dumps({"error": detail})


def show_error(error: CommandError, *, as_json: bool = False) -> None:
    """Write the error to stderr."""
    sys.stderr.write((error_json(error) if as_json else error_text(error)) + "\n")
