"""Owns the codec of a hint: how a value of that hint becomes JSON text, and what the text is read back as.

A hint that says all is pydantic's: what is written is read again at once, and must be the same. Where pydantic's JSON
cannot carry a value that does fit its hint (a NaN in a dataclass, either of two classes with equal fields), the tagged
form is stored instead, under the key `$exact`. Rules: nothing changes silently; only CodecError is raised; nothing is
imported.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from typing import Any, Final, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError

from ergon_runtime.codec.allowed import ALLOWED, AllowList
from ergon_runtime.codec.digits import exact_numbers, takes_decimal
from ergon_runtime.codec.hints import UNHINTED, facts, hint_name, is_open
from ergon_runtime.codec.same import same
from ergon_runtime.codec.strict import finite, no_constant
from ergon_runtime.codec.tagged import Tagger, dump
from ergon_runtime.errors import CodecError
from ergon_runtime.limits import check, warn_if_big

_MANY_COMPLAINTS = 1000  # to list them all would take longer than to read the value
_EXACT: Final = '{"$exact":'
_CONFIG: Final = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")


class ValueCodec(ABC):
    """Writes and reads the values of one hint. Get one from `for_hint`."""

    __slots__ = ("hint",)

    def __init__(self, hint: Any) -> None:
        self.hint: Final = hint

    def encode(self, value: object, where: str) -> str:
        """The value as compact JSON text; `where` says in errors what it is, as in "result of step charge".

        Raises CodecError if it would not be read back as it is, or is too big.
        """
        try:
            text = self._encode(value)
        except CodecError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - validators, serializers and comparisons of users may raise anything
            reason = f"{type(error).__name__}: {error}"
        else:
            warn_if_big(text, where)
            return text
        raise CodecError(
            f"{where} cannot be stored: a value of type {type(value).__name__} {_under(self.hint)}: {reason}"
        )

    def decode(self, text: str, where: str) -> Any:
        """The value of a text that `encode` wrote. Raises CodecError if it does not fit the hint (any more)."""
        try:
            return self._decode(text)
        except CodecError as error:
            reason = str(error)
        except ValidationError as error:
            reason = first_complaint(error)
        except Exception as error:  # noqa: BLE001 - as above
            reason = f"{type(error).__name__}: {error}"
        raise CodecError(f"{where} cannot be read {_under(self.hint)}: {reason}")

    @abstractmethod
    def _encode(self, value: object) -> str: ...

    @abstractmethod
    def _decode(self, text: str) -> Any: ...


class _Scalar(ValueCodec):
    """A codec for values of exactly one JSON type, without pydantic: the step path."""

    __slots__ = ("_kind",)

    def __init__(self, hint: Any, kind: type) -> None:
        super().__init__(hint)
        self._kind: Final = kind

    def _encode(self, value: object) -> str:
        if type(value) is not self._kind:
            raise CodecError(f"it is not of that type; return {self._kind.__name__} or change the hint")
        text = dump(value)
        check(text)
        return text

    def _decode(self, text: str) -> Any:
        value = _parse(text)
        if type(value) is not self._kind:
            raise CodecError(f"it is {text[:40]}")
        return value


class _Int(_Scalar):
    __slots__ = ()

    def encode(self, value: object, where: str) -> str:
        if type(value) is int and -(2**63) <= value < 2**63:
            return repr(value)
        return super().encode(value, where)


class _Float(_Scalar):
    """Floats; an int that is exactly a float is let through as one."""

    __slots__ = ()

    def _encode(self, value: object) -> str:
        if type(value) is int and float(value) == value:
            return repr(float(value))
        if type(value) is float:
            return repr(value) if math.isfinite(value) else _NOT_FINITE[repr(value)]
        return super()._encode(value)

    def _decode(self, text: str) -> Any:
        value = _parse(text)
        if type(value) is float:
            return value
        if type(value) is int and float(value) == value:
            return float(value)
        if type(value) is str and value in _FROM_TEXT:
            return _FROM_TEXT[value]
        raise CodecError(f"it is {text[:40]}")


_NOT_FINITE: Final = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_FROM_TEXT: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Tagged(ValueCodec):
    """The tagged codec, behind a hint that leaves something open; `adapter` checks what the hint does say."""

    __slots__ = ("_adapter", "_tagger")

    def __init__(self, hint: Any, tagger: Tagger, adapter: TypeAdapter[Any] | None) -> None:
        super().__init__(hint)
        self._tagger: Final = tagger
        self._adapter: Final = adapter

    def _encode(self, value: object) -> str:
        if self._adapter is not None:
            _fit(self._adapter, value)
        return self._tagger.write(value)

    def _decode(self, text: str) -> Any:
        value = self._tagger.read(text)
        if self._adapter is not None:
            self._adapter.validator.validate_python(value, strict=True)
        return value


class _Typed(ValueCodec):
    """Pydantic's JSON for a hint that says all; the tagged form under `$exact` where that JSON would change a value."""

    __slots__ = ("_adapter", "_decimals", "_tagger")

    def __init__(self, hint: Any, tagger: Tagger, adapter: TypeAdapter[Any]) -> None:
        super().__init__(hint)
        self._tagger: Final = tagger
        self._adapter: Final = adapter
        self._decimals: bool | None = None

    def _encode(self, value: object) -> str:
        try:
            raw = self._adapter.serializer.to_json(value, by_alias=False, round_trip=True, warnings="error")
            text = raw.decode()
        except PydanticSerializationError as error:
            if "invalid utf-8" in str(error):  # bytes in a class, where pydantic takes no options of ours
                return self._exact(value)
            _fit(self._adapter, value)
            raise CodecError(f"{_brief(error)}; return what the hint says or change it") from None
        check(text)
        if text.startswith(_EXACT) or not self._returns(text, value):
            return self._exact(value)
        return text

    def _decode(self, text: str) -> Any:
        check(text)
        if text.startswith(_EXACT):
            value = self._tagger.read(text[len(_EXACT) : -1])
            self._adapter.validator.validate_python(value, strict=True)
            return value
        return self._read(text)

    def _read(self, text: str) -> Any:
        if self._decimals is None:  # not before it is used: until then a class that the hint names may be unfinished
            self._decimals = takes_decimal(cast(object, self._adapter.core_schema))
        if self._decimals:  # people and other programs may write a number where we write a string
            text = exact_numbers(text)
        return self._adapter.validator.validate_json(text, strict=True, by_alias=False, by_name=True)

    def _returns(self, text: str, value: object) -> bool:
        try:
            return same(value, self._read(text))
        except ValidationError:
            return False

    def _exact(self, value: object) -> str:
        _fit(self._adapter, value)
        try:
            text = f"{_EXACT}{self._tagger.write(value)}}}"
        except CodecError as error:
            raise CodecError(f"it would come back as another value; {error}") from None
        check(text)
        return text


def first_complaint(error: ValidationError) -> str:
    """The first of pydantic's complaints in one line, with where in the value it is."""
    if error.error_count() > _MANY_COMPLAINTS:
        return f"{error.error_count():,} parts of it do not fit"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


def _fit(adapter: TypeAdapter[Any], value: object) -> None:
    try:
        adapter.validator.validate_python(value, strict=True)
    except ValidationError as error:
        raise CodecError(
            f"it does not fit ({first_complaint(error)}); return what the hint says or change it"
        ) from None


def _brief(error: PydanticSerializationError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0])[:300]


def _parse(text: str) -> object:
    check(text)
    try:
        return _DECODE(text)
    except ValueError as error:
        raise CodecError(f"it is not JSON: {error}") from None


_DECODE: Final = json.JSONDecoder(parse_float=finite, parse_constant=no_constant).decode
_codecs: dict[Any, ValueCodec] = {}


def for_hint(hint: Any) -> ValueCodec:
    """The codec of a hint; the same one for the same hint. A missing hint is UNHINTED or inspect.Parameter.empty."""
    try:
        codec = _codecs.get(hint)
    except TypeError:  # a hint that cannot be hashed, such as Annotated[int, []]
        return _codec(hint)
    if codec is None:
        codec = _codecs[hint] = _codec(hint)
    return codec


def _codec(hint: Any) -> ValueCodec:
    if is_open(hint):
        return _Tagged(hint, _ANY, None)
    if hint is int:
        return _Int(hint, int)
    if hint is float:
        return _Float(hint, float)
    if hint is str or hint is bool:
        return _Scalar(hint, hint)
    if hint is None or hint is type(None):
        return _Scalar(hint, type(None))
    found = facts(hint)
    adapter = adapter_for(hint)
    if adapter is None or (found.loose and not found.foreign):
        return _Tagged(hint, Tagger(AllowList(found.classes, ALLOWED)), adapter)
    # What the hint does not name is not stored in its stead.
    return _Typed(hint, Tagger(AllowList(found.classes, ALLOWED if found.loose else None)), adapter)


def adapter_for(hint: Any, config: ConfigDict | None = _CONFIG) -> TypeAdapter[Any] | None:
    """Pydantic's adapter for a hint, or None if it has no schema for it."""
    try:
        return TypeAdapter(hint, config=config)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            return None
    except (PydanticSchemaGenerationError, NameError, TypeError):
        return None
    try:
        return TypeAdapter(hint)
    except (PydanticUserError, PydanticSchemaGenerationError, NameError, TypeError):
        return None


_ANY: Final = Tagger()


def _under(hint: Any) -> str:
    return "without a hint" if hint is UNHINTED else f"under the hint {hint_name(hint)}"
