"""Reading stored texts for people: values, errors without their classes, notes. Nothing it finds makes it fail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from ergon_runtime.codec import ErrorView, describe_error
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import Status
from ergon_runtime.core.heartbeats import Heartbeat, heartbeats_in
from ergon_runtime.core.payloads import key_of, reason_against
from ergon_runtime.errors import CodecError
from ergon_runtime.view.model import ErrorInfo, Json

ENCRYPTED = "encrypted"
"""What is shown for a value that is, when its key is not at hand."""
_JSON = json.JSONDecoder(parse_constant=str)


def value_of(text: str | bytes | None) -> Json:
    """A stored JSON text as a value; what is not JSON is shown as text."""
    if text is None:
        return None
    if isinstance(text, bytes):
        if (reason := reason_against(text)) is not None:
            return ENCRYPTED if key_of(text) is not None else reason
        text = text.decode(errors="replace")
    try:
        return _JSON.decode(text)
    except (ValueError, TypeError, RecursionError):
        return text


def error_of(text: str | None) -> ErrorInfo | None:
    """A stored error."""
    if text is None:
        return None
    try:
        view = describe_error(text)
    except CodecError as problem:
        return ErrorInfo("CodecError", f"the stored error cannot be read: {problem}")
    return _error(view)


def _error(view: ErrorView) -> ErrorInfo:
    return ErrorInfo(view.type, view.message, _traceback(view), _error(view.cause) if view.cause else None)


def _traceback(view: ErrorView) -> str | None:
    """The tracebacks of an error and what caused it, in the order in which they happened."""
    chain = [view]
    while (cause := chain[-1].cause) is not None:
        chain.append(cause)
    texts = [each.traceback.rstrip("\n") for each in reversed(chain) if each.traceback]
    return "\n\nwhich led to:\n\n".join(texts) + "\n" if texts else None


def outcome_of(result: bytes | None, status: Status) -> tuple[Json, ErrorInfo | None]:
    """The result and the error of an ended flow."""
    if result is None:
        return None, None
    try:
        outcome = Outcome.unpack(result)
    except ValueError as problem:
        if (key := key_of(result)) is not None:
            missing = ErrorInfo(ENCRYPTED, f"its key {key!r} is not among the [crypto] keys here")
            return (None, missing) if status is Status.FAILED else (ENCRYPTED, None)
        return None, ErrorInfo("CodecError", str(problem))
    return value_of(outcome.value), error_of(outcome.error)


@dataclass(frozen=True, slots=True)
class Note:
    """What the last commit with a note left for people. `waits` are a waiting flow's, `why` is a blocked one's,
    `heartbeats` are those of open steps."""

    attempt: int = 1
    life: int | None = None
    waits: tuple[dict[str, Any], ...] = ()
    why: dict[str, Any] | None = None
    open: int = 0
    heartbeats: tuple[Heartbeat, ...] = ()


def note_of(note: bytes | None) -> Note:
    """A flow's note; an empty one when there is none, or none that can be read."""
    found = value_of(note)
    if not isinstance(found, dict):
        return Note()
    fields = cast("dict[str, Any]", found)
    waits, why = fields.get("waits"), fields.get("why")
    return Note(
        attempt=_int(fields.get("attempt")) or 1,
        life=_int(fields.get("life")),
        waits=tuple(_dicts(waits)),
        why=cast("dict[str, Any]", why) if isinstance(why, dict) else None,
        open=_int(fields.get("open")) or 0,
        heartbeats=tuple(heartbeats_in(fields)),
    )


def _dicts(found: object) -> list[dict[str, Any]]:
    items = cast("list[object]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def _int(found: object) -> int | None:
    return found if isinstance(found, int) else None
