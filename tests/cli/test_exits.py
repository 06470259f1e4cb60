"""Exit codes and the form of errors."""

from __future__ import annotations

import errno
import json
import os

import pytest

from ergon_cli.exits import CommandError, ExitCode, as_command_error, code_of, error_json, error_text
from ergon_runtime import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.CodecError("x"), 2),
        (errors.Conflict("f"), 2),
        (errors.FlowNotFound("f"), 3),
        (errors.FlowFailed("x", flow_id="f"), 4),
        (errors.FlowCancelled("x", flow_id="f"), 4),
        (errors.StoreUnavailable("x"), 6),
        (errors.StoreCorrupt("x"), 6),
        (errors.SchemaMismatch("x"), 6),
        (errors.DefinitionError("x"), 7),
        (errors.ErgonError("x"), 1),
        (KeyError("x"), 1),
        (CommandError(ExitCode.DIVERGED, "x"), 5),
    ],
)
def test_code_of_error_is_that_of_its_class(error: Exception, code: int) -> None:
    assert code_of(error) == code
    assert as_command_error(error).code == code


def test_error_text_names_cause_then_fix() -> None:
    error = CommandError(ExitCode.USAGE, "no module 'flosw'", "did you mean: flows")
    assert error_text(error) == "error: no module 'flosw'\n  did you mean: flows"


def test_full_disk_is_named_and_not_called_unexpected() -> None:
    error = as_command_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert error.code is ExitCode.UNEXPECTED
    assert (
        error_text(error)
        == f"error: cannot write the output: {os.strerror(errno.ENOSPC)}\n  make room, or write it elsewhere"
    )


def test_error_text_of_many_lines_keeps_six_with_the_hint() -> None:
    lines = error_text(CommandError(ExitCode.USAGE, "\n".join("abcdefghij"), "do this")).splitlines()
    assert lines == ["error: a", "b", "c", "d", "  ... 6 lines more", "  do this"]


def test_error_text_of_hostile_message_is_harmless() -> None:
    assert error_text(CommandError(ExitCode.USAGE, "bad \x1b[2J id")) == r"error: bad \x1b[2J id"
    assert len(error_text(CommandError(ExitCode.USAGE, "x" * 100_000))) < 1_000


def test_error_json_is_one_line_with_code_message_hint() -> None:
    text = error_json(CommandError(ExitCode.STORE, "locked\nby ü", None))
    assert text.isascii()
    assert json.loads(text) == {"error": {"code": 6, "message": "locked\nby ü", "hint": None}}
    assert "\n" not in text


def test_unexpected_error_is_named_with_a_way_to_see_more() -> None:
    error = as_command_error(KeyError("x"))
    assert "KeyError" in error.message
    assert "ERGON_TRACEBACK=1" in str(error.hint)


def test_error_of_an_address_in_a_wrong_place_hides_its_password() -> None:
    error = CommandError(ExitCode.USAGE, "no such command 'redis://me:pw@h:1/0?password=pw'", "see redis://:a@b@h")
    assert error_text(error) == "error: no such command 'redis://me:***@h:1/0?password=***'\n  see redis://:***@h"
    assert "pw" not in error_json(error)


def test_flow_that_is_not_there_names_the_next_action() -> None:
    error = as_command_error(errors.FlowNotFound("x"))
    assert (error.code, error.message, error.hint) == (3, "no flow 'x'", "see what there is: ergon list")
