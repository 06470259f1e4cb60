"""Text that came from outside as values: files, stdin, JSON objects and a signal's payload.

Nothing larger than `payload.max`, not UTF-8 or not strict JSON gets through; refusals are CommandErrors with code 2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.text import clip
from ergon_runtime.codec import read_json
from ergon_runtime.errors import CodecError
from ergon_runtime.limits import limits, shown_size

SEND_AS_TEXT = "--text sends it as it is"


def parse_payload(payload: str | None, *, as_text: bool = False) -> str:
    """A signal's payload as JSON text: JSON if it parses, else a string; nothing is null.

    Raises CommandError: USAGE for text that begins like JSON and is not, and for JSON that no flow could read.
    """
    if payload is None:
        return "null"
    check_size(payload.encode(), "the payload")
    if as_text:
        return json.dumps(payload)
    try:
        loads(payload)
    except ValueError as error:
        if payload.lstrip()[:1] in ("{", "[", '"'):
            raise not_json("the payload", payload, error, SEND_AS_TEXT) from None
        return json.dumps(payload)
    try:
        read_json(payload)
    except CodecError as error:
        raise CommandError(ExitCode.USAGE, f"the payload cannot be stored: {error}", SEND_AS_TEXT) from None
    return payload


def members(text: str) -> list[tuple[str, str]]:
    """The members of a JSON object that is known to be one, with the values' own text."""
    decoder = json.JSONDecoder()
    members: list[tuple[str, str]] = []
    index = _skip(text, text.index("{") + 1)
    while text[index] != "}":
        name, index = decoder.raw_decode(text, index)
        start = _skip(text, _skip(text, index) + 1)
        _, index = decoder.raw_decode(text, start)
        members.append((str(name), text[start:index]))
        index = _skip(text, index)
        if text[index] == ",":
            index = _skip(text, index + 1)
    return members


def _skip(text: str, index: int) -> int:
    while text[index] in " \t\r\n":
        index += 1
    return index


def loads(text: str) -> object:
    """Strict JSON. Raises ValueError."""
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def position(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
    return str(error)


def not_json(what: str, text: str, error: ValueError, hint: str) -> CommandError:
    lines = [f"{what} is not JSON ({position(error)})"]
    if isinstance(error, json.JSONDecodeError):
        start = max(0, error.colno - 60)
        line = clip((text.split("\n")[error.lineno - 1] if text else "")[start : start + 100], 100)
        lines += [f"  {line}", " " * (error.colno - start + 1) + "^"]
    return CommandError(ExitCode.USAGE, "\n".join(lines), hint)


def read(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(limits().max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(ExitCode.USAGE, f"cannot read {name}: {reason}", "check the path after @") from None
    return decoded(data, name)


def read_stdin() -> str:
    if sys.stdin.isatty():
        raise CommandError(ExitCode.USAGE, "--input - waits for a pipe, and stdin is a terminal", "use --input @file")
    return decoded(sys.stdin.buffer.read(limits().max_bytes + 1), "stdin")


def decoded(data: bytes, what: str) -> str:
    check_size(data, what)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CommandError(
            ExitCode.USAGE, f"{what} is not UTF-8 (byte {error.start})", "convert it to UTF-8 first"
        ) from None


def check_size(data: bytes, what: str) -> None:
    most = limits().max_bytes
    if len(data) > most:
        advice = "store it elsewhere and pass its address, or raise payload.max"
        raise CommandError(ExitCode.USAGE, f"{what} is larger than {shown_size(most)}", advice)
