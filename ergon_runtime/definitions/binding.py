"""Arguments: bound by hand to parameters, and written as a JSON object in the order of declaration.

`inspect.Signature.bind` costs more than everything else in a step call, so it is used on the error path alone.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import Parameter as Plain
from types import FunctionType
from typing import Any, Final, NoReturn, cast
from uuid import UUID

from ergon_runtime.codec import ValueCodec, for_hint
from ergon_runtime.errors import CodecError, DefinitionError


class _NoDefault(Enum):
    NO_DEFAULT = "no default"


NO_DEFAULT: Final = _NoDefault.NO_DEFAULT
_ATOMS: Final = frozenset(
    {str, int, float, bool, type(None), bytes, complex, Decimal, UUID, date, datetime, time, timedelta}
)
"""Types whose values cannot change, so that a step may get the flow's own."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a flow or step. `default` is NO_DEFAULT if it is required, or filled by a `factory`."""

    name: str
    hint: Any
    codec: ValueCodec
    required: bool = True
    default: object = NO_DEFAULT
    factory: Callable[[], object] | None = None

    def filled(self) -> object:
        """The value when none is given. Only for parameters that are not required."""
        return self.default if self.factory is None else self.factory()


class Shape:
    """What a function takes, without its receiver. Raises DefinitionError for `*args` and `**kwargs`."""

    __slots__ = ("_function", "_positional_only", "_signature", "by_position", "defaults", "names")

    def __init__(self, owner: str, function: FunctionType, *, method: bool) -> None:
        plain = list(inspect.signature(function).parameters.values())
        if method and (not plain or plain[0].kind not in (Plain.POSITIONAL_ONLY, Plain.POSITIONAL_OR_KEYWORD)):
            raise DefinitionError(f"{owner}: a method needs self as its first parameter")
        plain = plain[1:] if method else plain
        for parameter in plain:
            if parameter.kind in (Plain.VAR_POSITIONAL, Plain.VAR_KEYWORD):
                raise DefinitionError(
                    f"{owner}: {parameter} cannot be stored; name each parameter, or take a list or dict"
                )
        self._function = function.__name__
        self._signature = inspect.Signature(plain)
        self._positional_only = frozenset(p.name for p in plain if p.kind is Plain.POSITIONAL_ONLY)
        self.names = tuple(p.name for p in plain)
        self.by_position = sum(p.kind is not Plain.KEYWORD_ONLY for p in plain)
        self.defaults: dict[str, Any] = {p.name: p.default for p in plain if p.default is not Plain.empty}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters with their values, in order of declaration. Raises the TypeError of the plain call."""
        names, given = self.names, len(args)
        if given == len(names) == self.by_position and not kwargs:
            return dict(zip(names, args, strict=True))
        if given > self.by_position:
            self._refuse(args, kwargs)
        values = dict(zip(names, args, strict=False))
        used = 0
        for name in names[given:]:
            if name in kwargs and name not in self._positional_only:
                values[name] = kwargs[name]
                used += 1
            elif name in self.defaults:
                values[name] = self.defaults[name]
            else:
                self._refuse(args, kwargs)
        if used != len(kwargs):
            self._refuse(args, kwargs)
        return values

    def split(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Bound values as the arguments of a call."""
        rows = [values[name] for name in self.names]
        return rows[: self.by_position], dict(
            zip(self.names[self.by_position :], rows[self.by_position :], strict=True)
        )

    def _refuse(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NoReturn:
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._function}() {error}") from None
        raise TypeError(f"{self._function}() got arguments that it does not take")


class Arguments:
    """The parameters of one definition, as text and back. `owner` names the definition in errors."""

    __slots__ = ("_owner", "_rows", "parameters")

    def __init__(self, owner: str, parameters: Iterable[Parameter]) -> None:
        self._owner = owner
        self.parameters = tuple(parameters)
        self._rows = [
            (p.name, json.dumps(p.name, ensure_ascii=False) + ":", p.codec, f"argument {p.name} of {owner}")
            for p in self.parameters
        ]

    def encode(self, values: Mapping[str, Any]) -> tuple[str, list[str]]:
        """A JSON object, and the text of each value in it. Raises CodecError."""
        texts = [codec.encode(values[name], where) for name, _, codec, where in self._rows]
        pairs = [prefix + text for (_, prefix, _, _), text in zip(self._rows, texts, strict=True)]
        return "{" + ",".join(pairs) + "}", texts

    def decode(self, text: str) -> dict[str, Any]:
        """Values by name; parameters added since with a default get it. Raises CodecError."""
        try:
            texts = split_object(text)
        except ValueError as error:
            raise CodecError(f"the arguments of {self._owner} cannot be read: {error}") from error
        values = {
            p.name: codec.decode(texts.pop(name), where) if name in texts else self._fill(p)
            for p, (name, _, codec, where) in zip(self.parameters, self._rows, strict=True)
        }
        if texts:
            raise CodecError(
                f"{self._owner} takes no argument {next(iter(texts))!r}, and one is stored; was it renamed?"
            )
        return values

    def fresh(self, values: Mapping[str, Any], texts: Iterable[str]) -> dict[str, Any]:
        """The values again, but what could be changed is read anew from its text."""
        return {
            name: value if type(value) in _ATOMS else codec.decode(text, where)
            for (name, _, codec, where), value, text in zip(self._rows, values.values(), texts, strict=True)
        }

    def _fill(self, parameter: Parameter) -> object:
        if parameter.required:
            raise CodecError(
                f"{self._owner} needs an argument {parameter.name!r}, and none is stored; give it a default"
            )
        return parameter.filled()


def parameters_of(shape: Shape, hint: Callable[[str], Any]) -> list[Parameter]:
    """The parameters of a function, each with the codec of its hint."""
    return [
        Parameter(
            name,
            found := hint(name),
            for_hint(found),
            required=name not in shape.defaults,
            default=shape.defaults.get(name, NO_DEFAULT),
        )
        for name in shape.names
    ]


def split_object(text: str) -> dict[str, str]:
    """The texts of an object's values. Raises ValueError if it is no JSON object."""
    try:
        found: object = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    values = cast("dict[str, object]", found)
    return {name: json.dumps(value, ensure_ascii=False, separators=(",", ":")) for name, value in values.items()}
