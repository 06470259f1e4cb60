"""How flow code ended, and whether its result is the recorded one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from ergon_runtime.codec import describe_error, encode_error
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import Status
from ergon_runtime.core.machine import ContinueAsNew
from ergon_runtime.core.stack import raising_line
from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.errors import CodecError

LONGEST = 78
"""Characters of a value that is shown."""


@dataclass(frozen=True, slots=True)
class OtherResult:
    """Two results that differ, in words; `what` is `result` or `error`."""

    what: str
    recorded: str
    current: str


def end_of(main: asyncio.Task[Any], definition: FlowDefinition) -> tuple[Status | None, str, str | None]:
    """How a main task ended: the flow's status (None: it continues as new), the same in words, and the line that
    raised."""
    if main.cancelled():
        return Status.CANCELLED, "cancelled", None
    error = main.exception()
    if isinstance(error, ContinueAsNew):
        return None, "continues as new", raising_line(error)
    if error is None:
        try:
            definition.encode_result(main.result())
        except CodecError as unfit:
            return Status.FAILED, f"failed: {unfit}", None
        return Status.COMPLETED, "completed", None
    return Status.FAILED, f"failed: {type(error).__name__}: {error}", raising_line(error)


def other_result(stored: bytes, main: asyncio.Task[Any], definition: FlowDefinition) -> OtherResult | None:
    """Both results if they differ. The code ended with the recorded status, with a value or an error; errors differ by
    class or message. What is stored and cannot be read is no result that could differ."""
    try:
        recorded = Outcome.unpack(stored)
    except ValueError:
        return None
    if main.cancelled() or recorded.status is Status.CANCELLED:
        return None
    error = main.exception()
    if error is None and recorded.status is Status.COMPLETED:
        return _compare("result", "completed", recorded.value or "null", definition.encode_result(main.result()))
    if recorded.error is None:
        return None
    return _compare_errors(recorded.error, _failure(main, definition))


def _failure(main: asyncio.Task[Any], definition: FlowDefinition) -> str:
    """The error of a failed flow, as it would be stored."""
    error = main.exception()
    if error is None:
        try:
            definition.encode_result(main.result())
        except CodecError as unfit:
            error = unfit
    assert error is not None
    return encode_error(error)


def _compare(what: str, ended: str, recorded: str, current: str) -> OtherResult | None:
    if recorded == current or _canonical(recorded) == _canonical(current):
        return None
    return OtherResult(what, f"{ended}: {shown(recorded)}", f"{ended}: {shown(current)}")


def _compare_errors(recorded: str, current: str) -> OtherResult | None:
    try:
        then, now = describe_error(recorded), describe_error(current)
    except CodecError:
        return None
    if (then.type, then.message) == (now.type, now.message):
        return None
    return OtherResult("error", f"failed: {then.type}: {then.message}", f"failed: {now.type}: {now.message}")


def _canonical(text: str) -> str:
    """JSON with its keys in order: a value whose fields were declared in another order is the same."""
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text


def shown(text: str) -> str:
    """A stored value, cut for people."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
