"""Owns the allow-list: the classes whose instances the tagged codec stores, by short name.

Rules: only dataclasses, Enums and pydantic models. Stored data holds short names, never import paths, and a name is
looked up here alone. Two classes of one name are no error until the name is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import Enum
from types import ModuleType
from typing import Final

from pydantic import BaseModel

from ergon_runtime.errors import CodecError


class AllowList:
    """Classes by short name; what it does not know, its parent may."""

    __slots__ = ("_classes", "_parent")

    def __init__(self, classes: Iterable[type] = (), parent: AllowList | None = None) -> None:
        self._classes: dict[str, list[type]] = {}
        self._parent = parent
        for cls in classes:
            self.add(cls)

    def add(self, cls: type) -> None:
        """Add a class; one that was defined again under its name takes the place of the older."""
        known = self._classes.setdefault(cls.__name__, [])
        known[:] = [other for other in known if _place(other) != _place(cls)]
        known.append(cls)

    def name(self, cls: type) -> str:
        """The short name to store for a class. Raises CodecError if it is not allowed, or not the only one."""
        known = self._known(cls.__name__)
        if cls not in known:
            raise CodecError(
                f"no stored form is known for {_place(cls)}; use plain values, or a dataclass, an Enum or a pydantic "
                f"model of a module that is loaded with the flows, or name the class in the hint"
            )
        return self._single(cls.__name__, known).__name__

    def find(self, name: str) -> type:
        """The class of a stored name. Raises CodecError if there is none, or more than one."""
        known = self._known(name)
        if not known:
            raise CodecError(f"the stored class {name!r} is not loaded; load the module that defines it")
        return self._single(name, known)

    def _known(self, name: str) -> list[type]:
        own = self._classes.get(name)
        if own is not None:
            return own
        return [] if self._parent is None else self._parent._known(name)

    @staticmethod
    def _single(name: str, known: list[type]) -> type:
        if len(known) > 1:
            places = " and ".join(sorted(_place(cls) for cls in known))
            raise CodecError(f"the short name {name!r} stands for {places}; rename one of them")
        return known[0]


ALLOWED: Final = AllowList()


def allow(cls: type) -> None:
    """Let values of this dataclass, Enum or pydantic model be stored where no hint says what they are.

    Raises CodecError for any other class.
    """
    if not is_storable(cls):
        raise CodecError(
            f"{_place(cls)} is not a dataclass, an Enum or a pydantic model; make it one, or store its parts"
        )
    ALLOWED.add(cls)


def allow_module(module: ModuleType) -> None:
    """Allow every dataclass, Enum and pydantic model that the module defines or imports."""
    for value in list(vars(module).values()):
        if isinstance(value, type) and is_storable(value):
            ALLOWED.add(value)


def is_storable(cls: type) -> bool:
    """Whether instances of the class can be on the allow-list."""
    return dataclasses.is_dataclass(cls) or issubclass(cls, (Enum, BaseModel))


def _place(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
