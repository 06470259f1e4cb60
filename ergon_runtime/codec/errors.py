"""Owns how an exception becomes text: class names along the MRO, message, arguments, attributes, traceback, causes.

Rules: encoding an error never fails. What cannot be stored leaves a placeholder that reads as it did; what is long is
cut. Reading the text for people is described.py's, making an exception of it again rebuild.py's.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from types import FrameType, MemberDescriptorType
from typing import Any, Final, cast

from ergon_runtime.codec.tagged import Tagger, dump
from ergon_runtime.codec.tags import Unstored
from ergon_runtime.limits import DEFAULT_LIMITS, Limits, check

_DEPTH = 8
_MEMBERS = 32
_NOTES = 32
_LONGEST_TEXT = 16 * 1024
_LONGEST_VALUE = 64 * 1024
_LONGEST_ERROR = 512 * 1024
_OURS: Final = frozenset({"ergon_runtime", "ergon_cli", "asyncio", "concurrent"})
_VALUES: Final = Tagger(limits=Limits(max_bytes=_LONGEST_VALUE, max_depth=DEFAULT_LIMITS.max_depth // 2))

BUILTIN_STATE: Final[dict[type[BaseException], tuple[str, ...]]] = {
    OSError: ("errno", "strerror", "filename", "filename2"),
    ImportError: ("msg", "name", "path"),
    NameError: ("name",),
    AttributeError: ("name",),
    StopIteration: ("value",),
}
"""What built-in errors keep beside their arguments and `__dict__`."""


def encode_error(error: BaseException, where: str = "error") -> str:
    """The error as JSON text. Never fails: what cannot be stored is replaced by what it looks like.

    `where` says what the error is of, for the case that hardly anything of it can be stored.
    """
    for depth, with_state in ((_DEPTH, True), (1, True), (0, False)):
        try:
            text = dump(_lower(error, depth, with_state))
            check(text, Limits(max_bytes=_LONGEST_ERROR, max_depth=DEFAULT_LIMITS.max_depth))
            return text
        except Exception:  # noqa: BLE001, S112 - an error's own code may raise anything; the next round asks less of it
            continue
    return dump({"types": _types(type(error)), "message": f"{where}: its details cannot be stored"})


def _lower(error: BaseException, depth: int, with_state: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"types": _types(type(error)), "message": _cut(text_of(error))}
    document["traceback"] = _traceback(error)
    if with_state:
        _add_state(document, error)
    if notes := getattr(error, "__notes__", None):
        document["notes"] = [_cut(_text(note)) for note in list(notes)[:_NOTES]]
    if depth:
        _add_relatives(document, error, depth - 1, with_state)
    return document


def _add_state(document: dict[str, Any], error: BaseException) -> None:
    if not issubclass(type(error), BaseExceptionGroup):  # its arguments are its message and its members
        document["args"] = [_value(argument) for argument in error.args]
    if attributes := {name: _value(value) for name, value in _attributes(error)}:
        document["attributes"] = attributes
    for base, names in BUILTIN_STATE.items():
        if issubclass(type(error), base):
            document["builtin"] = {name: _value(getattr(error, name, None)) for name in names}


def _add_relatives(document: dict[str, Any], error: BaseException, depth: int, with_state: bool) -> None:
    if error.__cause__ is not None:
        document["cause"] = _lower(error.__cause__, depth, with_state)
    elif error.__context__ is not None and not error.__suppress_context__:
        document["context"] = _lower(error.__context__, depth, with_state)
    if isinstance(error, BaseExceptionGroup):
        members = cast("BaseExceptionGroup[BaseException]", error).exceptions
        document["group"] = _cut(_clean(error.message))
        document["members"] = [_lower(member, depth, with_state) for member in members[:_MEMBERS]]
        if len(members) > _MEMBERS:
            rest = RuntimeError(f"{len(members) - _MEMBERS} more errors are not stored")
            document["members"].append(_lower(rest, 0, with_state))


def _types(cls: type[BaseException]) -> list[str]:
    return [f"{base.__module__}:{base.__qualname__}" for base in cls.__mro__ if issubclass(base, BaseException)]


def _attributes(error: BaseException) -> Iterator[tuple[str, object]]:
    for name, value in list(vars(error).items()):
        if is_attribute(name):
            yield name, value
    for name in slots(type(error)):
        if hasattr(error, name):
            yield name, getattr(error, name)


def is_attribute(name: object) -> bool:
    """Whether a stored name may be set on a rebuilt error."""
    return isinstance(name, str) and name.isidentifier() and not name.startswith("__")


def slots(cls: type[BaseException]) -> dict[str, MemberDescriptorType]:
    """The slots that classes written in Python add, by name."""
    found: dict[str, MemberDescriptorType] = {}
    for base in cls.__mro__:
        if "__slots__" in vars(base):
            found |= {name: slot for name, slot in vars(base).items() if isinstance(slot, MemberDescriptorType)}
    return {name: slot for name, slot in found.items() if is_attribute(name)}


def _value(value: object) -> object:
    try:
        return json.loads(_VALUES.write(value))
    except Exception:  # noqa: BLE001 - a value's own code may raise anything
        return _VALUES.lower(Unstored(_cut(_shown(value)), _cut(_text(value))))


def text_of(error: BaseException) -> str:
    """`str(error)`, also of an error that cannot say."""
    return _text(error)


def _text(value: object) -> str:
    try:
        return _clean(str(value))
    except Exception:  # noqa: BLE001 - `__str__` of users
        return _shown(value)


def _shown(value: object) -> str:
    try:
        return _clean(repr(value))
    except Exception:  # noqa: BLE001 - `__repr__` of users
        return f"<{type(value).__name__}>"


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]} … ({len(text) - 2 * half} characters cut) … {text[-half:]}"


def _traceback(error: BaseException) -> str:
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_ours(frame)]
    head = ["Traceback (most recent call last):\n"] if frames else []
    lines = traceback.StackSummary.extract(iter(frames)).format()
    return _cut(_clean("".join([*head, *lines, *traceback.format_exception_only(type(error), error)])))


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS
