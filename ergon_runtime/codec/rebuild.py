"""Owns how a stored error becomes an exception again.

Rules: classes are looked up in `sys.modules` and nothing is imported; only exceptions are built, and of those that are
no Exception only groups and CancelledError. No `__init__` and no `__setattr__` of a user runs: an error is made by its
built-in base, then its arguments and attributes are set. If its class is not here, the nearest one of its stored MRO
stands in.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any, Final, cast

from ergon_runtime.codec.described import error_document, load_error, short_type
from ergon_runtime.codec.errors import BUILTIN_STATE, is_attribute, slots, text_of
from ergon_runtime.codec.tagged import Tagger, dump
from ergon_runtime.codec.tags import Unstored
from ergon_runtime.errors import CodecError

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was not compiled in
_REFUSALS: Final = (TypeError, ValueError, AttributeError, OverflowError)
_VALUES: Final = Tagger()
_BASE: Final[Any] = BaseException


def decode_error(text: str) -> BaseException:
    """The exception that a stored error was, or the nearest one whose class is loaded.

    What a BaseException other than CancelledError or a group was, becomes a RuntimeError. Raises CodecError if the text
    is no stored error.
    """
    return _build(load_error(text))


def is_error_loaded(text: str) -> bool:
    """Whether `decode_error` can give an exception of the very class that was stored. Raises CodecError as it does."""
    return _find(load_error(text)["types"][0]) is not None


def _build(document: dict[str, Any]) -> BaseException:
    arguments = [_value(argument) for argument in _list(document.get("args"))]
    members = [_build(error_document(member)) for member in _list(document.get("members"))]
    error = None
    for cls, exact in _candidates(document["types"]):
        error = _make(cls, document, arguments, members)
        if error is not None:
            _set_state(error, document)
            if not exact and text_of(error) != document["message"]:
                _BASE.args.__set__(error, (document["message"],))
            break
    if error is None:
        error = RuntimeError(f"{short_type(document)}: {document['message']}")
    _set_relatives(error, document)
    return error


def _candidates(types: list[object]) -> Iterator[tuple[type[BaseException], bool]]:
    for position, name in enumerate(types):
        cls = _find(name)
        if cls is not None:
            yield cls, position == 0


def _find(name: object) -> type[BaseException] | None:
    """The exception class of a stored name, if it is loaded and may be built."""
    module, colon, path = str(name).partition(":")
    found: Any = sys.modules.get(module)
    if not colon:
        return None
    for part in path.split("."):
        # Not getattr: a module may answer that with an import.
        found = getattr(found, "__dict__", {}).get(part)
    return cast("type[BaseException]", found) if isinstance(found, type) and _may_be_built(found) else None


def _may_be_built(cls: type) -> bool:
    if issubclass(cls, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return False
    return issubclass(cls, (Exception, BaseExceptionGroup, asyncio.CancelledError))


def _make(
    cls: type[BaseException], document: dict[str, Any], arguments: list[object], members: list[BaseException]
) -> BaseException | None:
    base: Any = cls
    while base.__flags__ & _HEAP_TYPE and base.__base__ is not None:
        base = base.__base__
    is_group = issubclass(cls, BaseExceptionGroup)
    given = [str(document.get("group", "")), members] if is_group else arguments
    try:
        error = base.__new__(cls, *given)
        base.__init__(error, *given)
    except _REFUSALS:
        return None  # a built-in that wants other arguments than were stored; its base is next
    if not is_group:
        _BASE.args.__set__(error, tuple(arguments))
    return cast(BaseException, error)


def _set_state(error: BaseException, document: dict[str, Any]) -> None:
    stored = _dict(document.get("builtin"))
    for base, names in BUILTIN_STATE.items():
        for name in names:
            # None is left alone: to OSError an errno that was set to None is one to show.
            if issubclass(type(error), base) and stored.get(name) is not None:
                vars(base)[name].__set__(error, _value(stored[name]))
    places = slots(type(error))
    # Through the built-in, so that no `__getattribute__` of the class is asked.
    own: dict[str, object] = vars(BaseException)["__dict__"].__get__(error)
    for name, value in _dict(document.get("attributes")).items():
        if name in places:
            cast(Any, places[name]).__set__(error, _value(value))
        elif is_attribute(name):
            own[name] = _value(value)


def _set_relatives(error: BaseException, document: dict[str, Any]) -> None:
    for note in _list(document.get("notes")):
        _BASE.add_note(error, str(note))
    if document.get("cause") is not None:
        _BASE.__cause__.__set__(error, _build(error_document(document["cause"])))
    if document.get("context") is not None:
        _BASE.__context__.__set__(error, _build(error_document(document["context"])))


def _value(stored: object) -> object:
    if type(stored) is str:
        return stored
    try:
        return _VALUES.read(dump(stored))
    except CodecError as error:
        # An error must reach the flow even where a class that one of its arguments had is not loaded.
        return Unstored(f"<unreadable: {error}>", f"<unreadable: {error}>")


def _list(part: object) -> list[object]:
    return cast("list[object]", part) if isinstance(part, list) else []


def _dict(part: object) -> dict[str, object]:
    return cast("dict[str, object]", part) if isinstance(part, dict) else {}
