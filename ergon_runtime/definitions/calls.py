"""What `@flow` leaves in place of a function, and how flow values and definitions are got from what people pass."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, TypeGuard

from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions.flows import ClassBody, FlowDefinition, FlowValue, FunctionBody
from ergon_runtime.definitions.hints import Declared, check_name, source_of
from ergon_runtime.definitions.receivers import plain_class
from ergon_runtime.definitions.steps import StepFunction
from ergon_runtime.definitions.wiring import WiredSteps
from ergon_runtime.errors import DefinitionError

MARK = "__ergon_flow_type__"
"""The attribute in which a flow type class keeps its definition."""


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What `@flow(...)` was told."""

    name: str | None
    version: str | None
    retry: RetryPolicy
    keep: bool


class FlowTypeMark:
    """A class's definition. It hears of it when the class is made again, as `@dataclass(slots=True)` does."""

    def __init__(self, definition: FlowDefinition, body: ClassBody) -> None:
        self.definition, self.body = definition, body

    def __set_name__(self, owner: type, name: str) -> None:
        self.body.cls = owner


class FlowFunction(Declared):
    """A `@flow` function, or the `@flow` method of a class. Calling it gives a FlowValue."""

    def __init__(self, function: FunctionType, options: FlowOptions, names: Mapping[str, Any]) -> None:
        self.function, self.options = function, options
        self.definition: FlowDefinition | None = None
        self._names = names
        self._bind: Any = None
        functools.update_wrapper(self, function, updated=())

    def __repr__(self) -> str:
        return repr(self.definition) if self.definition else f"<flow method {self.function.__qualname__}>"

    def as_function(self) -> FlowDefinition:
        """Define a flow type of its own, since it is no method."""
        function, options = self.function, self.options
        name = check_name(options.name or function.__name__, "flow")
        body = FunctionBody(f"flow {name}", function, self._names)
        self._bind = body.shape.bind
        self.definition = FlowDefinition(
            name,
            options.version,
            body,
            retry=options.retry,
            keep=options.keep,
            module=function.__module__,
            source=source_of(function),
        )
        return self.definition

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None or self.definition is not None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> FlowValue[Any]:
        if self.definition is not None:
            return FlowValue(self.definition, self._bind(args, kwargs))
        if not args:
            raise TypeError(f"{self.function.__qualname__}() is a method and was called without an object")
        receiver, *rest = args
        if rest or kwargs:
            raise TypeError(
                f"{self.function.__qualname__}() takes no arguments; the fields of the object are the arguments"
            )
        return _value_of(receiver)


def flow_value(flow: object) -> FlowValue[Any]:
    """The flow value that was passed, or that an instance of a flow type stands for. Raises DefinitionError."""
    if _is_value(flow):
        return flow
    name = getattr(flow, "__name__", type(flow).__name__)
    if isinstance(flow, MethodType) and isinstance(flow.__func__, FlowFunction):
        raise DefinitionError(f"{name} is a flow method: call it, or pass the object that it belongs to")
    if isinstance(flow, StepFunction):
        raise DefinitionError(f"{name} is a step, not a flow: in flow code use `await {name}(...)`")
    if isinstance(flow, FlowFunction):
        raise DefinitionError(f"{name} is a flow: call it, {name}(...)")
    if isinstance(flow, type):
        how = f"is a flow type: make one, {name}(...)" if MARK in vars(flow) else "is a class; pass a flow"
        raise DefinitionError(f"{name} {how}")
    return _value_of(flow)


def flow_definition(flow: object) -> FlowDefinition:
    """The definition of a `@flow` function, a `@flow_type` class, flow value or instance. Raises DefinitionError."""
    if isinstance(flow, FlowDefinition):
        return flow
    if isinstance(flow, FlowFunction):
        if flow.definition is None:
            raise DefinitionError(f"{flow.function.__qualname__} is a flow method; pass its @flow_type class")
        return flow.definition
    if isinstance(flow, type):
        return _mark_of(flow).definition
    return flow_value(flow).definition


def wired_steps(flow: object) -> WiredSteps:
    """The step methods of a `@flow_type` class's object. Raises DefinitionError for what is none."""
    mark = vars(plain_class(flow)).get(MARK)
    found = mark.definition.wired_steps if isinstance(mark, FlowTypeMark) else None
    if found is None:
        raise DefinitionError(f"run_dag takes the object of a @flow_type class, as in run_dag(self), not {flow!r}")
    return found


def _is_value(flow: object) -> TypeGuard[FlowValue[Any]]:
    return isinstance(flow, FlowValue)


def _value_of(instance: object) -> FlowValue[Any]:
    mark = _mark_of(plain_class(instance))
    mark.definition.resolve()
    return FlowValue(mark.definition, mark.body.fields_of(instance))


def _mark_of(cls: type) -> FlowTypeMark:
    mark = vars(cls).get(MARK)
    if isinstance(mark, FlowTypeMark):
        return mark
    if any(isinstance(value, FlowFunction) for base in cls.__mro__ for value in vars(base).values()):
        raise DefinitionError(
            f"{cls.__qualname__} has a @flow method, but is no flow type: put @flow_type on the class"
        )
    raise DefinitionError(
        f"a flow is wanted, not {cls.__qualname__}: pass a call of a @flow function or an object of a @flow_type class"
    )
