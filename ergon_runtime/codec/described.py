"""Owns reading a stored error as it is: for people, who need no class, and its document for rebuild.py.

It imports neither pydantic nor what writes errors: commands that only look need no more than this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from ergon_runtime.errors import CodecError
from ergon_runtime.limits import check


@dataclass(frozen=True, slots=True)
class ErrorView:
    """A stored error, for people. `type` is the short name of its class."""

    type: str
    message: str
    traceback: str | None
    cause: ErrorView | None


def describe_error(text: str) -> ErrorView:
    """What a stored error says, without its class. Raises CodecError if the text is no stored error."""
    return _view(load_error(text))


def load_error(text: str) -> dict[str, Any]:
    """The document of a stored error, its values still in stored form. Raises CodecError."""
    check(text)
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise CodecError(f"a stored error is not JSON: {problem}") from None
    return error_document(document)


def error_document(document: object) -> dict[str, Any]:
    """The document if it looks like a stored error. Raises CodecError."""
    if isinstance(document, dict):
        found = cast("dict[str, Any]", document)
        types = found.get("types")
        if isinstance(types, list) and types and isinstance(found.get("message"), str):
            return found
    raise CodecError("a stored error is malformed")


def short_type(document: dict[str, Any]) -> str:
    """The name of a stored error's class, without its module."""
    return str(document["types"][0]).rpartition(":")[2].rpartition(".")[2]


def _view(document: dict[str, Any]) -> ErrorView:
    trace, cause = document.get("traceback"), document.get("cause") or document.get("context")
    return ErrorView(
        type=short_type(document),
        message=document["message"],
        traceback=trace if isinstance(trace, str) else None,
        cause=None if cause is None else _view(error_document(cause)),
    )
