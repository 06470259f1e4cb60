"""What a method step gets as `self`: a shallow copy of the flow object, on which no attribute can be set.

What a step changed on the flow object would be there in the first run and missing in a replay. The copy is an instance
of a subclass made once per class; it is built by hand, without the user's `__init__`, `__copy__` or
`__init_subclass__`.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn

from ergon_runtime.errors import DefinitionError


class Guarded:
    """First base of every copy's class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Stops here: the user's own hook is for classes that the user writes."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _refusal(self, name)

    def __delattr__(self, name: str) -> NoReturn:
        raise _refusal(self, name)


def guarded_copy(receiver: object) -> Any:
    """A shallow copy that refuses to be changed. Raises DefinitionError for objects that cannot be copied so."""
    cls, slots = _guarded_class(plain_class(receiver))
    clone = _new(cls)
    own: dict[str, Any] | None = getattr(receiver, "__dict__", None)
    if own is not None:
        clone.__dict__.update(own)
    for name in slots:
        if hasattr(receiver, name):
            object.__setattr__(clone, name, getattr(receiver, name))
    return clone


def _new(cls: type[Any]) -> Any:
    return object.__new__(cls)


def plain_class(receiver: object) -> type:
    """The class that the user wrote."""
    cls = type(receiver)
    return cls.__bases__[1] if issubclass(cls, Guarded) else cls


@lru_cache(maxsize=1024)
def _guarded_class(cls: type) -> tuple[type, tuple[str, ...]]:
    def fill(space: dict[str, Any]) -> None:
        space |= {
            "__slots__": (),
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
        }

    try:
        guarded = types.new_class(cls.__name__, (Guarded, cls), exec_body=fill)
        _new(guarded)
    except TypeError as error:
        raise DefinitionError(
            f"a step cannot be a method of {cls.__qualname__} ({error}); make it a function, or a plain class's method"
        ) from error
    return guarded, tuple(_slots(cls))


def _slots(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        declared = vars(base).get("__slots__", ())
        for name in (declared,) if isinstance(declared, str) else declared:
            if name.startswith("__") and not name.endswith("__"):
                yield f"_{base.__name__.lstrip('_')}{name}"
            elif name not in ("__dict__", "__weakref__"):
                yield name


def _refusal(receiver: object, name: str) -> DefinitionError:
    place = f"{type(receiver).__name__}.{name}"
    return DefinitionError(f"a step cannot change the flow object ({place}): a replay would miss it; return the value")
