"""Where a definition stands, what it is called, and what its hints mean.

Hints are resolved late, when everything they name exists. Of the frame around a definition made inside a function only
the names that its hints use are kept, so that no frame outlives its call for our sake.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FrameType, FunctionType, SimpleNamespace
from typing import Any

from ergon_runtime.codec import UNHINTED
from ergon_runtime.errors import DefinitionError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
VERSION = re.compile(r"[A-Za-z0-9_.-]{1,50}")
_UNRESOLVABLE = (NameError, AttributeError, TypeError, ValueError, SyntaxError, LookupError)


class Declared:
    """Base of what our decorators leave in place of a function."""


def is_method_of(owner: type, function: FunctionType) -> bool:
    """Whether a function in a class's namespace was written there, or is a method by its first parameter's name."""
    code: CodeType = inspect.unwrap(function).__code__
    written = function.__qualname__.rpartition(".")[0] == owner.__qualname__
    return written or (code.co_argcount > 0 and code.co_varnames[0] == "self")


def check_name(name: object, what: str) -> str:
    """A name that can be stored and typed. Raises DefinitionError."""
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise DefinitionError(
        f"{name!r} cannot name a {what}: give name= with a letter or _ first, then up to 99 of A-Z a-z 0-9 _ . -"
    )


def check_version(version: object) -> str | None:
    """A version, or None for none. Raises DefinitionError."""
    if version is None or (isinstance(version, str) and VERSION.fullmatch(version)):
        return version
    raise DefinitionError(f"{version!r} cannot be a version: give a string of 1 to 50 of A-Z a-z 0-9 _ . -")


def source_of(function: FunctionType) -> str:
    """`file:line` of a function, below whatever decorates it."""
    code: CodeType = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def caller() -> FrameType:
    """The frame that applies a decorator: the caller of our caller."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    if frame is None:
        raise DefinitionError("definitions need a Python with stack frames, such as CPython")
    return frame


def in_class_body(frame: FrameType) -> bool:
    """Whether a frame runs the body of a class."""
    return not frame.f_code.co_flags & inspect.CO_OPTIMIZED and "__qualname__" in frame.f_locals


def kept_locals(frame: FrameType, annotations: Iterable[object]) -> dict[str, Any]:
    """What annotations name among the locals around a definition; empty at module level."""
    names = {name for annotation in annotations for name in _names(annotation)}
    found: dict[str, Any] = {}
    here: FrameType | None = frame
    while here is not None and here.f_code.co_name != "<module>":
        around = here.f_locals
        for name in names - found.keys():
            if name in around:
                found[name] = around[name]
        if here.f_code.co_flags & inspect.CO_OPTIMIZED:  # a function; class bodies are not, and are looked out of
            break
        here = here.f_back
    return found


def annotations_of(thing: FunctionType | type) -> dict[str, Any]:
    """The annotations of a function or class as they were written, its own only."""
    return dict(inspect.get_annotations(inspect.unwrap(thing) if isinstance(thing, FunctionType) else thing))


def _names(annotation: object) -> Iterator[str]:
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        try:
            yield from compile(annotation.strip(), "<hint>", "eval").co_names
        except SyntaxError:
            return
    else:
        for part in typing.get_args(annotation):
            yield from _names(part)


class Hints:
    """The hints of one definition: `owner` names it in errors; `names` are locals, looked at before the globals."""

    __slots__ = ("_globals", "_locals", "_owner")

    def __init__(self, owner: str, module_names: dict[str, Any], names: Mapping[str, Any]) -> None:
        self._owner, self._globals, self._locals = owner, module_names, dict(names)

    def resolve(self, annotations: Mapping[str, Any], name: str) -> Any:
        """The hint of one parameter, or of `return`; UNHINTED if it has none. Raises DefinitionError naming both."""
        if name not in annotations:
            return UNHINTED
        annotation = annotations[name]
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            hint = typing.get_type_hints(holder, self._globals, self._locals, include_extras=True)[name]
        except _UNRESOLVABLE as error:
            part = "the result" if name == "return" else f"parameter {name}"
            shown = annotation if isinstance(annotation, str) else repr(annotation)
            raise DefinitionError(
                f"{self._owner}: the hint {shown!r} of {part} cannot be resolved ({error}); import or define its names "
                "where the code runs, not only under TYPE_CHECKING"
            ) from error
        return hint


def hints_of(owner: str, function: FunctionType, names: Mapping[str, Any]) -> Hints:
    """The hints of a function: its globals, its type parameters and the locals kept for it."""
    inner = inspect.unwrap(function)
    parameters: tuple[Any, ...] = getattr(inner, "__type_params__", ())
    return Hints(owner, inner.__globals__, {p.__name__: p for p in parameters} | dict(names))


def hints_of_class(owner: str, cls: type, names: Mapping[str, Any]) -> Hints:
    """The hints of a class's own fields; the class may name itself."""
    module = sys.modules.get(cls.__module__)
    return Hints(owner, vars(module) if module else {}, {cls.__name__: cls} | dict(names))
