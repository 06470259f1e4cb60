"""Owns what a type hint says about storing: whether it tells all (then pydantic reads it), which classes it names, its
name.

Rules: hints are looked at through `typing` alone. A hint that leaves any part open is loose, and the tagged codec
takes it as a whole; a class that only pydantic can handle keeps it with pydantic.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast
from uuid import UUID

from pydantic import BaseModel

from ergon_runtime.codec.allowed import is_storable


class _Unhinted(Enum):
    UNHINTED = "unhinted"

    def __repr__(self) -> str:
        return "UNHINTED"


UNHINTED: Final = _Unhinted.UNHINTED
"""Stands for a missing hint."""

_OPEN: Final = (Any, object, UNHINTED, inspect.Parameter.empty)
_CONTAINERS: Final[frozenset[Any]] = frozenset({list, dict, set, tuple, frozenset})
_ABSTRACT: Final[frozenset[Any]] = frozenset(
    {
        collections.abc.Sequence,
        collections.abc.MutableSequence,
        collections.abc.Mapping,
        collections.abc.MutableMapping,
        collections.abc.Set,
        collections.abc.MutableSet,
        collections.abc.Collection,
        collections.abc.Iterable,
    }
)
_BY_TAGS: Final[frozenset[Any]] = frozenset(
    {set, frozenset, collections.abc.Set, collections.abc.MutableSet, collections.abc.Iterable}
)
_SCALARS: Final = frozenset(
    {str, int, float, bool, type(None), bytes, complex, datetime, date, time, timedelta, Decimal, UUID}
)
_WRAPPERS: Final = (typing.ClassVar, typing.Final, typing.Required, typing.NotRequired)


@dataclasses.dataclass(slots=True)
class HintFacts:
    """What a hint was found to hold. `foreign`: a class that the tagged codec does not know."""

    loose: bool = False
    foreign: bool = False
    classes: list[type] = dataclasses.field(default_factory=list[type])
    seen: set[object] = dataclasses.field(default_factory=set[object])
    """Classes and aliases looked into: only through these can a hint come back to itself."""


def is_open(hint: object) -> bool:
    """Whether the hint is missing, or says nothing: Any, object."""
    return any(hint is known for known in _OPEN)


def facts(hint: object) -> HintFacts:
    """Look through a hint, the fields of the classes it names included."""
    found = HintFacts()
    todo: list[object] = [hint]
    while todo:
        todo.extend(_parts(todo.pop(), found))
    return found


def _parts(hint: object, found: HintFacts) -> list[object]:
    """The hints inside a hint; what it is itself is noted in `found`."""
    origin = typing.get_origin(hint)
    arguments = list(typing.get_args(hint))
    if is_open(hint) or (hint in _CONTAINERS | _ABSTRACT if isinstance(hint, type) else False):
        found.loose = True
        return []
    if isinstance(hint, typing.TypeVar):
        return [hint.__bound__ if hint.__bound__ is not None else Any]
    if isinstance(hint, typing.NewType):
        return [hint.__supertype__]
    if isinstance(hint, dataclasses.InitVar):
        found.loose = True  # pydantic would ask for it again
        return []
    if type(hint).__name__ == "TypeAliasType":
        return [cast(Any, hint).__value__] if _is_new(hint, found) else []
    if origin is typing.Annotated:
        return arguments[:1]
    if origin is typing.Literal:
        found.classes.extend(type(value) for value in arguments if isinstance(value, Enum))
        return []
    if origin is typing.Union or origin is types.UnionType or origin in _WRAPPERS:
        return arguments
    if origin in _CONTAINERS or origin in _ABSTRACT:
        # No arguments: bare as typing.List is, but tuple[()]. The tagged codec always gives sets one order, and takes a
        # list for an Iterable, of which pydantic makes a generator.
        found.loose |= origin in _BY_TAGS or (not arguments and not isinstance(hint, types.GenericAlias))
        return [argument for argument in arguments if argument is not ...]
    if isinstance(hint, type) and origin is None:
        return _class_parts(hint, found)
    if isinstance(origin, type):
        return [*_class_parts(origin, found), *arguments]
    found.foreign |= hint is not None
    return []


def _is_new(part: object, found: HintFacts) -> bool:
    known = part in found.seen
    found.seen.add(part)
    return not known


def _class_parts(cls: Any, found: HintFacts) -> list[object]:
    if cls in _SCALARS or not _is_new(cls, found):
        return []
    if cls.__module__ == "numpy":
        found.loose = True
        return []
    if is_storable(cls):
        found.classes.append(cls)
    elif not typing.is_typeddict(cls):
        found.foreign = True
        return []
    if issubclass(cls, BaseModel):
        return [field.annotation for field in cls.model_fields.values()]
    return [] if issubclass(cls, Enum) else _annotations(cls)


def _annotations(cls: Any) -> list[object]:
    try:
        return list(typing.get_type_hints(cls, include_extras=True).values())
    except (NameError, TypeError, AttributeError, SyntaxError):
        return []  # names of an enclosing function; what they hide, the comparison after encoding will show


def hint_name(hint: object) -> str:
    """A short, readable name of a hint, as a person would write it."""
    if hint is UNHINTED or hint is inspect.Parameter.empty:
        return "no hint"
    if hint is None or hint is type(None):
        return "None"
    if hint is ...:
        return "..."
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return hint_name(arguments[0])
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(hint_name(argument) for argument in arguments)
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(argument) for argument in arguments)}]"
    name = getattr(origin or hint, "__name__", None)
    if not isinstance(name, str):
        return str(hint).removeprefix("typing.")
    if not arguments:
        return name
    return f"{name}[{', '.join(_argument_names(arguments))}]"


def _argument_names(arguments: tuple[object, ...]) -> Iterator[str]:
    for argument in arguments:
        if isinstance(argument, list):
            yield f"[{', '.join(hint_name(part) for part in cast('list[object]', argument))}]"
        else:
            yield hint_name(argument)
