"""A flow's arguments from the command line.

`-a name=text` is converted by the parameter's hint, `-a name:=JSON` and `-a name:=@file` are JSON, `--input` is a JSON
object that -a overrides. All that is wrong with them is told at once, under the flow's signature, with code 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ergon_cli.exits import MAX_LINES, CommandError, ExitCode
from ergon_cli.import_errors import did_you_mean
from ergon_cli.payloads import check_size, loads, members, not_json, read, read_stdin
from ergon_cli.text import clip
from ergon_runtime import FlowDefinition
from ergon_runtime.codec import UNHINTED, hint_name, parse_json, parse_text
from ergon_runtime.definitions import NO_DEFAULT
from ergon_runtime.errors import CodecError

_PAIR = re.compile(r"([^\W\d]\w*)(:=@|:=|=)(.*)", re.DOTALL)


class ParameterLike(Protocol):
    """What a parameter of a flow tells about itself."""

    @property
    def name(self) -> str: ...
    @property
    def hint(self) -> object: ...
    @property
    def required(self) -> bool: ...
    @property
    def default(self) -> object: ...


class SignatureLike(Protocol):
    """A flow's definition, as far as its arguments go."""

    @property
    def name(self) -> str: ...
    @property
    def parameters(self) -> Sequence[ParameterLike]: ...


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written: JSON, or text that the hint converts."""

    text: str
    is_json: bool


def parse_arguments(
    flow: SignatureLike, pairs: Sequence[str], base: str | None = None, *, edits: bool = False
) -> dict[str, object]:
    """The arguments of a flow by name, converted by its hints. `base` is what --input was given; as `edits` of others
    they need not be complete.

    Raises CommandError: USAGE, with everything that is wrong.
    """
    given = {} if base is None else _base(base)
    problems: list[tuple[str, str]] = []
    written: set[str] = set()
    for pair in pairs:
        try:
            name, value = _pair(pair)
        except _ArgumentError as wrong:
            problems.append((wrong.name, wrong.reason))
            continue
        if name in written:
            problems.append((name, "given twice"))
        written.add(name)
        given[name] = value
    values: dict[str, object] = {}
    for parameter in flow.parameters:
        if parameter.name in given:
            try:
                values[parameter.name] = _converted(given[parameter.name], parameter.hint)
            except CodecError as error:
                problems.append((parameter.name, f"{error}"))
        elif parameter.required and not edits and all(name != parameter.name for name, _ in problems):
            problems.append((parameter.name, "missing"))
    known = [parameter.name for parameter in flow.parameters]
    problems += [(name, _unknown(name, known)) for name in given if name not in known]
    if problems:
        raise _refusal(flow, problems)
    return values


def edit_arguments(flow: FlowDefinition, stored: bytes, pairs: Sequence[str]) -> bytes:
    """Stored arguments with some of them replaced; the text of all others stays as it is.

    Raises CommandError: USAGE, with everything that is wrong.
    """
    edits = parse_arguments(flow, pairs, edits=True)
    try:
        texts = dict(members(text)) if isinstance(loads(text := stored.decode()), dict) else None
    except ValueError:
        texts = None
    if texts is None:
        said = f"the stored arguments of flow {flow.name} are no JSON object"
        raise CommandError(ExitCode.USAGE, said, "nothing in them can be changed: leave -a out")
    for parameter in flow.parameters:
        if parameter.name in edits:
            where = f"argument {parameter.name} of flow {flow.name}"
            texts[parameter.name] = parameter.codec.encode(edits[parameter.name], where)
    named = (f"{json.dumps(name, ensure_ascii=False)}:{text}" for name, text in texts.items())
    return f"{{{','.join(named)}}}".encode()


class _ArgumentError(Exception):
    """One argument that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason


def _pair(pair: str) -> tuple[str, Given]:
    found = _PAIR.fullmatch(pair)
    if not found:
        raise _ArgumentError(f"-a {clip(pair, 40)}", "not name=text, name:=JSON or name:=@file")
    name, mark, text = found.groups()
    if mark == ":=@":
        try:
            text = read(text)
        except CommandError as error:
            raise _ArgumentError(name, error.message) from None
    return name, Given(text, is_json=mark != "=")


def _converted(value: Given, hint: object) -> object:
    return parse_json(value.text, hint) if value.is_json else parse_text(value.text, hint)


def _unknown(name: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name, known)
    return f"unknown; {hint.replace(':', '')}?" if hint else "unknown"


def _refusal(flow: SignatureLike, problems: Sequence[tuple[str, str]]) -> CommandError:
    width = max(len(name) for name, _ in problems)
    lines = [f"  {name:<{width}}  {reason}" for name, reason in problems]
    if len(lines) > MAX_LINES - 1:
        lines = [*lines[: MAX_LINES - 2], f"  ... and {len(lines) - MAX_LINES + 2} more"]
    return CommandError(ExitCode.USAGE, "\n".join([signature(flow), *lines]))


def signature(flow: SignatureLike) -> str:
    """A flow's signature for people: OrderFlow(order_id: str, express: bool = False)."""
    parts = (
        each.name
        + ("" if each.hint is UNHINTED else f": {hint_name(each.hint)}")
        + ("" if each.required else f" = {_default(each)}")
        for each in flow.parameters
    )
    return f"{flow.name}({', '.join(parts)})"


def _default(parameter: ParameterLike) -> str:
    return "..." if parameter.default is NO_DEFAULT else clip(repr(parameter.default), 40)


def _base(source: str) -> dict[str, Given]:
    """The members of --input, each with its own JSON text, so that nothing is written anew on the way."""
    match source[:1]:
        case "@":
            text = read(source[1:])
        case "-" if source == "-":
            text = read_stdin()
        case _:
            text = source
            check_size(text.encode(), "--input")
    if not text.strip():
        raise CommandError(ExitCode.USAGE, "--input is empty", 'write {"name": value, ...}')
    try:
        value = loads(text)
    except ValueError as error:
        raise not_json("--input", text, error, "for a plain string: -a name=text") from None
    if not isinstance(value, dict):
        raise CommandError(ExitCode.USAGE, "--input is not a JSON object", 'write {"name": value, ...}')
    given: dict[str, Given] = {}
    for name, raw in members(text):
        if name in given:
            raise CommandError(ExitCode.USAGE, f"--input names {name!r} twice", "leave one of them out")
        given[name] = Given(raw, is_json=True)
    return given
