"""Histories as text: files in which each line is one flow with its journal (JSON Lines, ASCII).

    {"ergon": 1, "flow": {"id": ..., "type": ..., ...}, "hash_seed": "...", "entries": [["started", 1, ...], ...]}

`ergon` is the number of the form. `flow` has the fields of a FlowRow, without its waits and mail. Entries, from `base`
on, arguments, result and note are bytes in a store. Here they are the JSON list or object that they hold, if exactly
these bytes come back from it; else a string: the bytes as UTF-8, what is none of it escaped as Python's surrogateescape
does. Fields that are not known are left out of account; what is wrong is one error for its line, and the next goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from itertools import count
from typing import Any, BinaryIO, TypeAlias, cast

from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.payloads import reason_against
from ergon_runtime.errors import HistoryUnreadable, PayloadUnreadable
from ergon_runtime.histories.history import FlowHistory

FORMAT = 1
MAX_LINE = 2**28
"""Bytes; what is longer is not read into memory."""
MAX_NUMBER = 2**53
"""The highest that every store keeps exactly."""
MAX_TEXT = 10_000
"""Characters of a name or an id."""
EXPORT = "export the flow again: ergon export ID"
UPGRADE = "upgrade ergon-runtime"
_LEFT_OUT = frozenset({"waits", "aside"})
_SEEDS = 2**32
_CHUNK = 2**20

Json: TypeAlias = Any


class _Unfit(Exception):
    """A line is no history: the reason, and what to do."""

    def __init__(self, reason: str, fix: str = EXPORT) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


def history_line(history: FlowHistory) -> str:
    """A history as one line, with its end. Text of any flow, so arguments and results too: it may hold secrets. Raises
    PayloadUnreadable if part of it could not be decrypted."""
    row = history.row
    if reason := next(filter(None, map(reason_against, (row.args, row.result, row.note, *history.entries))), None):
        raise PayloadUnreadable(row.id, f"flow {row.id} cannot be exported: {reason}")
    flow = ", ".join(f"{json.dumps(name)}: {_text(getattr(history.row, name))}" for name in _READERS)
    entries = ", ".join(map(_bytes_text, history.entries))
    seed = json.dumps(history.hash_seed)
    return f'{{"ergon": {FORMAT}, "flow": {{{flow}}}, "hash_seed": {seed}, "entries": [{entries}]}}\n'


def read_lines(stream: BinaryIO, name: str, *, limit: int = MAX_LINE) -> Iterator[FlowHistory | HistoryUnreadable]:
    """The histories of a file, one at a time; for a line that is none, the error. `name` is the file's in errors.

    Runs no code of what it reads. Raises OSError.
    """
    for number in count(1):
        line = stream.readline(limit + 1)
        if not line:
            return
        try:
            if len(line) > limit:
                _skip_rest(stream, line)
                raise _Unfit(f"it is longer than {limit:,} bytes", "let such a flow continue_as_new, or leave it out")
            if line.strip():
                yield _history(line)
        except _Unfit as unfit:
            yield HistoryUnreadable(name, number, unfit.reason, unfit.fix)


def _skip_rest(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(_CHUNK)


def _history(line: bytes) -> FlowHistory:
    found = _object(_parsed(line), "the line")
    form = found.get("ergon")
    if type(form) is not int or form < 1:
        raise _Unfit('it is no exported flow: {"ergon": 1, ...} is missing', "name files that ergon export wrote")
    if form > FORMAT:
        raise _Unfit(f"it has form {form}, and this Ergon reads form {FORMAT}", UPGRADE)
    flow = _object(found.get("flow"), "flow")
    values = {name: _field(flow, name, read) for name, read in _READERS.items()}
    entries = _entries(found.get("entries"))
    if values["length"] < values["base"] + len(entries):
        raise _Unfit(f"it has {len(entries)} entries from {values['base']} on, and says {values['length']}")
    return FlowHistory(FlowRow(**values), entries, _field(found, "hash_seed", _seed))


def _parsed(line: bytes) -> Json:
    try:
        return json.loads(line.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise _Unfit("it is not UTF-8", "some shells write UTF-16: use ergon export --output FILE") from None
    except RecursionError:
        raise _Unfit("it is nested too deeply") from None
    except ValueError as error:
        raise _Unfit(f"it is not JSON ({error})") from None


def _no_number(text: str) -> Json:
    raise ValueError(f"{text} is no number")


def _object(value: Json, what: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _Unfit(f"{what} is no JSON object")
    return cast("dict[str, Json]", value)


def _field(found: Mapping[str, Json], name: str, read: Callable[[Json], Any]) -> Any:
    if name not in found:
        raise _Unfit(f"{name} is missing")
    try:
        return read(found[name])
    except (TypeError, ValueError, RecursionError) as error:
        raise _Unfit(f"{name} is wrong: {error}") from None


def _entries(value: Json) -> tuple[bytes, ...]:
    if not isinstance(value, list):
        raise _Unfit("entries is no list")
    rows = cast("list[object]", value)
    return tuple(_field({f"entry {n}": row}, f"entry {n}", _bytes) for n, row in enumerate(rows))


# --- one value, to text and back
def _text(value: object) -> str:
    return _bytes_text(value) if isinstance(value, bytes) else json.dumps(value)


def _bytes_text(raw: bytes) -> str:
    try:
        value = json.loads(raw)
        text = json.dumps(value, allow_nan=False)
        if isinstance(value, list | dict) and _packed(json.loads(text)) == raw:
            return text
    except (ValueError, RecursionError):
        pass  # not JSON, or not such that it comes back
    return json.dumps(raw.decode(errors="surrogateescape"))


def _packed(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def _bytes(value: Json) -> bytes:
    match value:
        case str():
            return value.encode(errors="surrogateescape")
        case list() | dict():
            return _packed(cast("Json", value))
        case _:
            raise TypeError("no list, object or string")


def _name(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError("no string")
    value.encode()
    if "\0" in value or len(value) > MAX_TEXT:
        raise ValueError(f"it holds a NUL, or more than {MAX_TEXT:,} characters")
    return value


def _id(value: Json) -> str:
    if not _name(value):
        raise ValueError("it is empty")
    return str(value)


def _number(value: Json) -> int:
    if type(value) is not int:
        raise TypeError("no whole number")
    if not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{value} is not between 0 and 2**53")
    return value


def _priority(value: Json) -> int:
    if _number(value) > 9:
        raise ValueError(f"{value} is not between 0 and 9")
    return int(value)


def _seed(value: Json) -> str:
    seed = _name(value)
    if not (seed.isascii() and seed.isdecimal() and len(seed) <= 10 and int(seed) < _SEEDS):
        raise ValueError("no PYTHONHASHSEED")
    return seed


def _or_none(read: Callable[[Json], Any]) -> Callable[[Json], Any]:
    return lambda value: None if value is None else read(value)


_BY_HINT: dict[str, Callable[[Json], Any]] = {
    "str": _name,
    "int": _number,
    "bytes": _bytes,
    "Status": Status,
}
_SPECIAL: dict[str, Callable[[Json], Any]] = {"id": _id, "type": _id, "priority": _priority}
_READERS: dict[str, Callable[[Json], Any]] = {
    field.name: _SPECIAL.get(field.name)
    or (_or_none(_BY_HINT[hint.removesuffix(" | None")]) if hint.endswith(" | None") else _BY_HINT[hint])
    for field in fields(FlowRow)
    if field.name not in _LEFT_OUT and (hint := str(field.type))
}
"""How the fields of a flow are read, in their order."""
