"""Packages whose names are loaded when they are first asked for, so that a command pays only for what it uses.

Such a package says under TYPE_CHECKING where its names come from, and says it again as a table here: names by module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def homes_of(names_in: Mapping[str, str]) -> dict[str, str]:
    """From each name to its module, given the names of each module as a text."""
    return {name: home for home, names in names_in.items() for name in names.split()}


def loader(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The package's `__getattr__`. It raises AttributeError for other names."""

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
