"""Owns how instances of allowed classes are taken apart and put together: dataclasses, Enum members, pydantic models.

Rules: an instance is rebuilt from its fields, without `__init__` or validators, so it comes back as it was. A field
that the class has gained since takes its default; anything else that does not fit is a CodecError. State outside the
fields is refused, but for cached properties, which compute themselves anew.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from enum import Enum, Flag
from functools import cached_property
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ergon_runtime.codec.allowed import AllowList
from ergon_runtime.errors import CodecError

OBJECT: Final = "$object"
ENUM: Final = "$enum"

Lower = Callable[[object], object]


def write_object(value: object, allowed: AllowList, lower: Lower) -> dict[str, object]:
    """The stored form of an instance of an allowed class. Raises CodecError."""
    name = allowed.name(type(value))
    if isinstance(value, Enum):
        # Members that a Flag combines have no name of their own.
        return {ENUM: [name, lower(value.value) if isinstance(value, Flag) else value.name]}
    if isinstance(value, BaseModel):
        return {OBJECT: [name, lower(dict(vars(value))), *_model_extras(value, lower)]}
    return {OBJECT: [name, lower(_dataclass_fields(value))]}


def read_object(payload: object, allowed: AllowList) -> object:
    """The instance of a stored form. Raises CodecError."""
    match cast(Any, payload):
        case [str(name), dict(), *_]:
            name, fields, *rest = cast("list[Any]", payload)
        case _:
            raise CodecError("a stored object is malformed")
    cls: Any = allowed.find(name)
    if issubclass(cls, BaseModel):
        return _build_model(cls, fields, _part({"": rest[0]}, "") if rest else {})
    if rest or issubclass(cls, Enum):
        raise CodecError(f"the stored object {name} is malformed, or its class is no dataclass any more")
    return _build_dataclass(allowed.find(name), fields)


def read_enum(payload: object, allowed: AllowList) -> Enum:
    """The Enum member of a stored form. Raises CodecError, or ValueError for a value that a Flag does not have."""
    match payload:
        case [str(name), str(member) | int(member)]:
            cls = allowed.find(name)
        case _:
            raise CodecError("a stored Enum member is malformed")
    if issubclass(cls, Flag) and type(member) is int:
        return cls(member)
    if not issubclass(cls, Enum) or type(member) is not str or member not in cls.__members__:
        raise CodecError(
            f"the Enum {name} has no member {member!r} any more; bring it back, or replay with the old code"
        )
    return cls.__members__[member]


def own_state(value: object) -> dict[str, object]:
    """The instance's `__dict__`, without what computes itself anew."""
    state: dict[str, object] = getattr(value, "__dict__", {})
    return {name: item for name, item in state.items() if not _computed(type(value), name)}


def _computed(cls: type, name: str) -> bool:
    if name == "__orig_class__":  # left by a call of a parametrized generic
        return True
    return isinstance(inspect.getattr_static(cls, name, None), cached_property)


def _dataclass_fields(value: object) -> dict[str, object]:
    cls = type(value)
    names = _plan(cls)
    state = getattr(value, "__dict__", None)
    if state and len(state) > len(names):
        extra = own_state(value).keys() - names.keys()
        if extra:
            raise CodecError(f"{cls.__name__} carries {_names(extra)} beside its fields; make that a field or drop it")
    try:
        return {name: getattr(value, name) for name in names}
    except AttributeError as error:
        raise CodecError(f"a field of {cls.__name__} is not set: {error}") from None


def _build_dataclass(cls: type, fields: dict[str, object]) -> object:
    plan = _plan(cls)
    if unknown := fields.keys() - plan.keys():
        raise CodecError(f"the stored {cls.__name__} has {_names(unknown)}, which the class has no more")
    instance: object = object.__new__(cast("type[object]", cls))
    for name, default in plan.items():
        object.__setattr__(instance, name, fields[name] if name in fields else default())
    return instance


def field_names(cls: type) -> Collection[str]:
    """The names of a dataclass's fields. Raises CodecError for a class that extends a built-in type."""
    return _plan(cls).keys()


_plans: dict[type, dict[str, Callable[[], object]]] = {}


def _plan(cls: type) -> dict[str, Callable[[], object]]:
    """A dataclass's fields, each with what to call for its default."""
    plan = _plans.get(cls)
    if plan is None:
        try:
            object.__new__(cls)
        except TypeError:
            raise CodecError(f"{cls.__name__} extends a built-in type, whose part has no stored form") from None
        plan = {field.name: _default(cls, field) for field in dataclasses.fields(cast(Any, cls))}
        _plans[cls] = plan
    return plan


def _default(cls: type, field: dataclasses.Field[Any]) -> Callable[[], object]:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is not dataclasses.MISSING:
        return lambda: field.default

    def missing() -> object:
        raise CodecError(f"the stored {cls.__name__} lacks {field.name!r}, and the field has no default; give it one")

    return missing


def _model_extras(model: BaseModel, lower: Lower) -> list[object]:
    extra = model.__pydantic_extra__ or {}
    private = model.__pydantic_private__ or {}
    given = model.model_fields_set
    more: dict[str, object] = {}
    if given != vars(model).keys() | extra.keys():
        more["set"] = sorted(given)
    if extra:
        more["extra"] = lower(dict(extra))
    if private:
        more["private"] = lower(dict(private))
    return [more] if more else []


def _build_model(cls: type[BaseModel], fields: dict[str, object], more: Mapping[str, object]) -> BaseModel:
    extra, private = _part(more, "extra"), _part(more, "private")
    declared = cls.model_fields
    unknown = (fields.keys() - declared.keys()) | (private.keys() - cls.__private_attributes__.keys())
    if unknown or (extra and cls.model_config.get("extra") != "allow"):
        raise CodecError(
            f"the stored {cls.__name__} has {_names(unknown or extra.keys())}, which the class has no more"
        )
    values: dict[str, object] = {}
    for name, field in declared.items():
        if name not in fields and field.is_required():
            raise CodecError(f"the stored {cls.__name__} lacks {name!r}, and the field has no default; give it one")
        values[name] = fields[name] if name in fields else field.get_default(call_default_factory=True)
    given = more.get("set", [*fields, *extra])
    if not isinstance(given, list):
        raise CodecError(f"the stored {cls.__name__} is malformed")
    model = object.__new__(cls)
    object.__setattr__(model, "__dict__", values)
    object.__setattr__(model, "__pydantic_fields_set__", {str(name) for name in cast("list[object]", given)})
    object.__setattr__(model, "__pydantic_extra__", extra if cls.model_config.get("extra") == "allow" else None)
    object.__setattr__(model, "__pydantic_private__", _private(cls, private) if cls.__private_attributes__ else None)
    return model


def _private(cls: type[BaseModel], stored: dict[str, object]) -> dict[str, object]:
    declared = {name: attribute for name, attribute in cls.__private_attributes__.items() if name not in stored}
    defaults: dict[str, object] = {name: attribute.get_default() for name, attribute in declared.items()}
    return {name: value for name, value in defaults.items() if value is not PydanticUndefined} | stored


def _part(more: Mapping[str, object], name: str) -> dict[str, object]:
    part = more.get(name, {})
    if not isinstance(part, dict):
        raise CodecError("a stored model is malformed")
    return cast("dict[str, object]", part)


def _names(names: object) -> str:
    return ", ".join(sorted(str(name) for name in cast("set[str]", names)))
