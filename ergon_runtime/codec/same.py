"""Owns what "the same" means for a value that was stored and read back: equal, and of the same types all the way down.

Stricter than `==`: 1, True and 1.0 differ, so do 0.0 and -0.0, Decimal("1.1") and Decimal("1.10"), and a datetime with
a named zone and one with an offset. Looser: NaN is NaN, and an int may come back as the equal float its hint asks for.
"""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import starmap
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from ergon_runtime.codec.objects import field_names, own_state
from ergon_runtime.codec.tags import is_plain_zone

_UNSET: Final = None  # a field that is not set is read back as its default, or as nothing
_BY_EQUALITY: Final = frozenset({str, int, bool, bytes, bytearray, date, timedelta, UUID, type(None)})


def same(old: object, new: object) -> bool:
    """Whether `new` can stand for `old` unnoticed. May raise what a class's own `==` raises."""
    kind = type(old)
    if kind is not type(new):
        return kind is int and type(new) is float and old == new
    if kind in _BY_EQUALITY:
        return bool(old == new)
    compare = _COMPARE.get(kind)
    if compare is not None:
        return compare(old, new)
    if isinstance(old, BaseModel):
        return _same_model(old, new)
    if dataclasses.is_dataclass(old):
        return _same_dataclass(old, new)
    if isinstance(old, Enum):
        return old is new
    if issubclass(kind, (list, tuple, dict, set, frozenset)):  # subclasses: named tuples, Counter
        base = next(base for base in kind.__mro__ if base in _COMPARE)
        return _COMPARE[base](old, new) and _same_state(own_state(old), own_state(new))
    return bool(old == new)


def _same_float(old: float, new: float) -> bool:
    return (old == new and math.copysign(1, old) == math.copysign(1, new)) or (old != old and new != new)


def _same_complex(old: complex, new: complex) -> bool:
    return _same_float(old.real, new.real) and _same_float(old.imag, new.imag)


def _same_decimal(old: Decimal, new: Decimal) -> bool:
    return old.as_tuple() == new.as_tuple()


def _same_moment(old: Any, new: Any) -> bool:
    return (
        old == new
        and old.fold == new.fold
        and (old.tzinfo is None) == (new.tzinfo is None)
        and is_plain_zone(old.tzinfo)
        and old.utcoffset() == new.utcoffset()
    )


def _same_items(old: Collection[Any], new: Collection[Any]) -> bool:
    return len(old) == len(new) and all(starmap(same, zip(old, new, strict=True)))


def _same_deque(old: deque[Any], new: deque[Any]) -> bool:
    return old.maxlen == new.maxlen and _same_items(old, new)


def _same_set(old: set[Any], new: set[Any]) -> bool:
    partners = {item: item for item in new}
    return len(old) == len(new) and all(item in partners and same(item, partners[item]) for item in old)


def _same_dict(old: dict[Any, Any], new: dict[Any, Any]) -> bool:
    return _same_items(old, new) and _same_items(old.values(), new.values())


def _same_defaultdict(old: defaultdict[Any, Any], new: defaultdict[Any, Any]) -> bool:
    return old.default_factory is new.default_factory and _same_dict(old, new)


def _same_dataclass(old: object, new: object) -> bool:
    names = field_names(type(old))
    state = getattr(old, "__dict__", None)
    if state is not None and not len(state) == len(new.__dict__) == len(names):
        return _same_state(own_state(old), own_state(new))
    return all(same(getattr(old, name, _UNSET), getattr(new, name, _UNSET)) for name in names)


def _same_state(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return old.keys() == new.keys() and all(same(item, new[name]) for name, item in old.items())


def _same_model(old: BaseModel, new: Any) -> bool:
    return (
        old.model_fields_set == new.model_fields_set
        and _same_state(own_state(old), own_state(new))
        and _same_state(old.__pydantic_extra__ or {}, new.__pydantic_extra__ or {})
        and _same_state(old.__pydantic_private__ or {}, new.__pydantic_private__ or {})
    )


_COMPARE: Final[dict[type, Callable[[Any, Any], bool]]] = {
    float: _same_float,
    complex: _same_complex,
    Decimal: _same_decimal,
    datetime: _same_moment,
    time: _same_moment,
    list: _same_items,
    tuple: _same_items,
    deque: _same_deque,
    set: _same_set,
    frozenset: _same_set,
    dict: _same_dict,
    OrderedDict: _same_dict,
    defaultdict: _same_defaultdict,
}
