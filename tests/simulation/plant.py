"""Putting something else in the place of a module's or class's attribute, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Generator


@contextlib.contextmanager
def planted(owner: object, name: str, value: object) -> Generator[None]:
    """`owner.name` is `value` inside."""
    outer = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, outer)
