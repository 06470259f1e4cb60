"""Options and arguments that are taken as they stand.

Typer hands each value to pydantic, which takes longer to load than most commands run. A value that has the type which
its parameter wants, or that was not given, needs no such help: `list`, `signal` and `cancel` load no pydantic. Typer
has no setting for it, so its classes are changed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, get_args, get_origin

from typer.core import TyperArgument, TyperOption

Process = Callable[[Any, Any, Any], Any]
"""How a parameter makes of what was given in a context what the command gets."""


@cache
def take_plainly() -> None:
    """Let parameters take what needs no conversion without Typer's help."""
    for kind in (TyperArgument, TyperOption):
        setattr(kind, "process_value", plainly(kind.process_value))  # noqa: B010  to checkers no method can be set


def plainly(process: Process) -> Process:
    """The same, but for values that need no conversion."""

    @wraps(process)
    def take(parameter: Any, context: Any, value: Any) -> Any:
        wanted: Any = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
        plain: Any
        if value is None and wanted is not None and not parameter.required:
            plain = () if get_origin(wanted) is list else None
        elif type(value) is wanted:
            plain = value
        elif value and get_origin(wanted) is list and {*map(type, value)} == {*get_args(wanted)}:
            plain = list(value)
        else:
            return process(parameter, context, value)
        return plain if parameter.callback is None else parameter.callback(context, parameter, plain)

    return take
