"""Owns the tagged codec: any value of the types it knows, as JSON, without a hint.

Texts, numbers, true, false, null, lists, and dicts with text keys stand as they are. Everything else is an object with
one key that begins with `$`; a dict that looks like one is stored as pairs. Rules: types are exact (a subclass would
come back as something else, so it is refused); what is read back is equal and of the same type; the text of a set does
not depend on its order; reading looks classes up in the allow-list alone and imports nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

from ergon_runtime.codec.allowed import ALLOWED, AllowList, is_storable
from ergon_runtime.codec.arrays import is_numpy, write_numpy
from ergon_runtime.codec.objects import ENUM, OBJECT, read_enum, read_object, write_object
from ergon_runtime.codec.strict import finite, no_constant
from ergon_runtime.codec.tags import READERS, TAG, WRITERS, write_float, write_int
from ergon_runtime.errors import CodecError
from ergon_runtime.limits import DEFAULT_LIMITS, Limits, check

_AS_IS: Final = frozenset({str, bool, type(None)})
# Sets and dicts of more than this many values are looked at for crafted hashes, which would make them quadratic.
_UNCHECKED_HASHES = 1000
_EQUAL_HASHES = 100


def _encoder() -> Callable[[object], str]:
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
    # JSONEncoder.encode makes such an encoder at each call, which costs more than the work on a small value.
    chunks = make(None, None, json.encoder.encode_basestring, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


dump: Final = _encoder()
"""A tree of plain JSON as compact text."""


class Tagger:
    """Writes and reads values without a hint, within `limits` or else those in force. Methods raise CodecError, whose
    message does not name the place."""

    __slots__ = ("_allowed", "_decode", "_depth", "_limits", "_readers")

    def __init__(self, allowed: AllowList = ALLOWED, limits: Limits | None = None) -> None:
        self._allowed = allowed
        self._limits = limits
        self._depth = (limits or DEFAULT_LIMITS).max_depth
        self._readers: dict[str, Callable[[object], object]] = {
            **READERS,
            ENUM: lambda payload: read_enum(payload, allowed),
            OBJECT: lambda payload: read_object(payload, allowed),
            "$tuple": lambda payload: tuple(_items(payload)),
            "$set": lambda payload: set(_hashable(payload)),
            "$frozenset": lambda payload: frozenset(_hashable(payload)),
            "$dict": _read_pairs,
        }
        self._decode = json.JSONDecoder(object_hook=self._lift, parse_float=finite, parse_constant=no_constant).decode

    def write(self, value: object) -> str:
        """The JSON text of a value."""
        try:
            text = dump(self.lower(value))
        except RecursionError:
            raise CodecError("it is nested too deeply for the stack that is left; flatten it") from None
        check(text, self._limits)
        return text

    def read(self, text: str) -> object:
        """The value of a JSON text."""
        check(text, self._limits)
        try:
            return self._decode(text)
        except RecursionError:
            raise CodecError("it is nested too deeply for the stack that is left") from None
        except ValueError as error:
            raise CodecError(f"it is not JSON: {error}") from None

    def lower(self, value: object, room: int = -1) -> Any:
        """The value as a tree of plain JSON; `room` is how many levels it may still have."""
        kind = type(value)
        if kind in _AS_IS:
            return value
        if kind is int:
            return write_int(cast(int, value))
        if kind is float:
            return write_float(cast(float, value))
        if room < 0:
            room = self._depth
        if room == 0:
            raise CodecError(f"it is nested more than {self._depth} levels deep, or contains itself")
        if kind is list:
            return self._list(cast("list[object]", value), room)
        if kind is dict:
            return self._dict(cast("dict[object, object]", value), room)
        if kind is tuple:
            return {"$tuple": self._list(cast("tuple[object, ...]", value), room)}
        if kind is set or kind is frozenset:
            lowered = self._list(cast("frozenset[object]", value), room)
            return {"$set" if kind is set else "$frozenset": sorted(lowered, key=dump)}
        writer = WRITERS.get(kind)
        if writer is not None:
            return writer(value)
        return self._other(value, kind, room)

    def _list(self, values: list[object] | tuple[object, ...] | frozenset[object], room: int) -> list[Any]:
        lower, room = self.lower, room - 1
        return [value if type(value) in _AS_IS else lower(value, room) for value in values]

    def _dict(self, value: dict[object, object], room: int) -> dict[str, Any]:
        lower, room = self.lower, room - 1
        for key in value:
            if type(key) is not str or (len(value) == 1 and key[:1] == TAG):
                return {"$dict": [[lower(key, room), lower(item, room)] for key, item in value.items()]}
        plain = cast("dict[str, object]", value)
        return {key: item if type(item) in _AS_IS else lower(item, room) for key, item in plain.items()}

    def _other(self, value: object, kind: type, room: int) -> dict[str, object]:
        if is_storable(kind):
            return write_object(value, self._allowed, lambda part: self.lower(part, room - 1))
        if is_numpy(kind):
            return write_numpy(value)
        base = next((base for base in kind.__mro__[1:-1] if base in _BASES), None)
        if base is not None:
            raise CodecError(f"a {kind.__name__} would come back as a plain {base.__name__}; convert it to one first")
        if kind is bytearray or kind is memoryview:
            raise CodecError(f"a {kind.__name__} has no stored form; convert it with bytes()")
        self._allowed.name(kind)
        raise CodecError(f"no stored form is known for {kind.__name__}")

    def _lift(self, found: dict[str, object]) -> object:
        if len(found) != 1:
            return found
        ((tag, payload),) = found.items()
        if tag[:1] != TAG:
            return found
        reader = self._readers.get(tag)
        if reader is None:
            raise CodecError(f"the stored form {tag[:40]!r} is not known; was it written by a newer version?")
        try:
            return reader(payload)
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise CodecError(f"a stored {tag[1:]} cannot be read: {error}") from None


_BASES: Final = frozenset({str, int, float, list, dict, tuple, set, frozenset, *WRITERS})


def _items(payload: object) -> list[object]:
    if type(payload) is not list:
        raise ValueError("not a list")
    return cast("list[object]", payload)


def _hashable(payload: object) -> list[object]:
    items = _items(payload)
    if len(items) > _UNCHECKED_HASHES:
        ((_, most),) = Counter(map(hash, items)).most_common(1)
        if most > _EQUAL_HASHES:
            raise ValueError(f"{most} values have one hash")
    return items


def _read_pairs(payload: object) -> dict[object, object]:
    keys: list[object] = []
    values: list[object] = []
    for pair in _items(payload):
        match cast(Any, pair):
            case [key, value]:
                keys.append(key)
                values.append(value)
            case _:
                raise ValueError("not pairs")
    pairs = dict(zip(_hashable(keys), values, strict=True))
    if len(pairs) != len(keys):
        raise ValueError("a key stands twice")
    return pairs
