"""Flow definitions, and flow values: a flow type with its arguments, not started yet.

A flow type is a function, or a dataclass with one `@flow` method whose fields are the arguments. Classes are looked up
late, because `@dataclass(slots=True)` makes a new class after our decorators have run.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Coroutine, Generator, Mapping
from contextvars import ContextVar
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from ergon_runtime.codec import ValueCodec, for_hint
from ergon_runtime.core.flows import lane
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions.binding import NO_DEFAULT, Arguments, Parameter, Shape, parameters_of
from ergon_runtime.definitions.hints import annotations_of, hints_of, hints_of_class, source_of
from ergon_runtime.definitions.wiring import WiredSteps
from ergon_runtime.errors import DefinitionError

T_co = TypeVar("T_co", covariant=True)

current_flow: ContextVar[FlowDefinition | None] = ContextVar("ergon_current_flow", default=None)
"""The definition of the flow whose code runs."""


@dataclasses.dataclass(frozen=True, slots=True)
class FlowValue(Generic[T_co]):
    """A flow to be: its type and arguments. Give it to `invoke`, `schedule` or an `Executor`."""

    definition: FlowDefinition
    arguments: Mapping[str, Any]

    def _ergon_result(self) -> T_co:
        """Ties the type of the result to this value, for type checkers; there is nothing to call."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.definition.name}({shown})"

    if not TYPE_CHECKING:  # for type checkers it is not awaitable, which is an error where it is written

        def __await__(self) -> Generator[object, None, NoReturn]:
            name = self.definition.name
            raise TypeError(
                f"{name}(...) is a flow and cannot be awaited: in flow code use `await invoke({name}(...))`"
            )


class HasRun(Protocol[T_co]):
    """An instance of a `@flow_type` class whose `@flow` method is called run."""

    def run(self) -> FlowValue[T_co]: ...


class FlowBody(Protocol):
    """The code behind a flow type."""

    def parameters(self) -> list[Parameter]: ...
    def result_hint(self) -> Any: ...
    def value(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]: ...
    def run(self, arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Any]: ...
    def wired_steps(self) -> WiredSteps | None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Resolved:
    arguments: Arguments
    result: ValueCodec
    wired_steps: WiredSteps | None


class FlowDefinition:
    """A flow type as declared: `name`, `version`, `retry`, `keep`, `module`, `source` (file:line), parameters, codecs.

    Hints are resolved on first use, or when loading ends; until then nothing raises.
    """

    __slots__ = ("_body", "_resolved", "_where", "keep", "module", "name", "retry", "source", "version")

    def __init__(
        self,
        name: str,
        version: str | None,
        body: FlowBody,
        *,
        retry: RetryPolicy,
        keep: bool,
        module: str,
        source: str,
    ) -> None:
        self.name, self.version, self.retry, self.keep = name, version, retry, keep
        self.module, self.source = module, source
        self._body = body
        self._resolved: _Resolved | None = None
        self._where = f"result of flow {name}"

    def __repr__(self) -> str:
        version = f" version {self.version}" if self.version else ""
        return f"<flow {self.name}{version} at {self.source}>"

    @property
    def lane(self) -> str:
        """The lane in which flows of this type wait."""
        return lane(self.name, self.version)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters in order of declaration. Raises DefinitionError for a hint that cannot be resolved."""
        return self.resolve().arguments.parameters

    @property
    def result(self) -> ValueCodec:
        """The codec of the result. Raises DefinitionError for a hint that cannot be resolved."""
        return self.resolve().result

    @property
    def wired_steps(self) -> WiredSteps | None:
        """The step methods and their DAG; None for a function. Raises DefinitionError for a DAG that cannot run."""
        return self.resolve().wired_steps

    def resolve(self) -> _Resolved:
        """Resolve the hints and the DAG. Raises DefinitionError naming the flow, the parameter and the hint."""
        if self._resolved is None:
            arguments = Arguments(f"flow {self.name}", self._body.parameters())
            result = for_hint(self._body.result_hint())
            self._resolved = _Resolved(arguments, result, self._body.wired_steps())
        return self._resolved

    def value(self, **arguments: Any) -> FlowValue[Any]:
        """A flow of this type with these arguments, checked as a call would. Raises what the call raises."""
        return FlowValue(self, self._body.value(arguments))

    def encode_arguments(self, value: FlowValue[Any] | Mapping[str, Any]) -> str:
        """Arguments as a JSON object in order of declaration, defaults filled in.

        Raises CodecError for a value that cannot be stored, DefinitionError for missing or unknown arguments.
        """
        given = value.arguments if isinstance(value, FlowValue) else value
        filled = dict(given)
        for parameter in self.parameters:
            if parameter.name not in filled:
                if parameter.required:
                    raise DefinitionError(f"flow {self.name} needs an argument {parameter.name!r}")
                filled[parameter.name] = parameter.filled()
        if unknown := filled.keys() - {parameter.name for parameter in self.parameters}:
            raise DefinitionError(f"flow {self.name} takes no argument {min(unknown)!r}")
        return self.resolve().arguments.encode(filled)[0]

    def start(self, args: str) -> Coroutine[Any, Any, Any]:
        """The flow code on stored arguments, which are read at once. Raises CodecError if they no longer fit."""
        return self._run(self.resolve().arguments.decode(args))

    async def _run(self, arguments: Mapping[str, Any]) -> Any:
        current_flow.set(self)
        return await self._body.run(arguments)

    def encode_result(self, value: object) -> str:
        """A result as JSON text. Raises CodecError."""
        return self.result.encode(value, self._where)

    def decode_result(self, text: str) -> Any:
        """A stored result. Raises CodecError."""
        return self.result.decode(text, self._where)


class FunctionBody:
    """A flow type that is a function."""

    __slots__ = ("_function", "_locals", "_owner", "_written", "shape")

    def __init__(self, owner: str, function: FunctionType, names: Mapping[str, Any]) -> None:
        self._owner, self._function, self._locals = owner, function, dict(names)
        self.shape = Shape(owner, function, method=False)

    def parameters(self) -> list[Parameter]:
        return parameters_of(self.shape, self._hint)

    def result_hint(self) -> Any:
        return self._hint("return")

    def value(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.shape.bind((), arguments)

    def run(self, arguments: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        args, kwargs = self.shape.split(arguments)
        coroutine: Coroutine[Any, Any, Any] = self._function(*args, **kwargs)
        return coroutine

    def wired_steps(self) -> None:
        return None

    def _hint(self, name: str) -> Any:
        return hints_of(self._owner, self._function, self._locals).resolve(annotations_of(self._function), name)


class ClassBody:
    """A flow type that is a dataclass; `cls` is the class that was made last."""

    __slots__ = ("_function", "_locals", "_owner", "cls")

    def __init__(self, owner: str, cls: type, function: FunctionType, names: Mapping[str, Any]) -> None:
        self._owner, self._function, self._locals = owner, function, dict(names)
        self.cls = cls

    def parameters(self) -> list[Parameter]:
        if not dataclasses.is_dataclass(self.cls):
            raise DefinitionError(f"{self._owner} is no dataclass; put @dataclass on the class")
        shape = Shape(self._owner, self._function, method=True)
        if shape.names:
            raise DefinitionError(
                f"{self._owner}: its @flow method takes {shape.names[0]!r}; make it a field, fields are the arguments"
            )
        for parameter in inspect.signature(self.cls).parameters.values():
            if parameter.name not in self.cls.__dataclass_fields__ or _is_init_only(self.cls, parameter.name):
                raise DefinitionError(
                    f"{self._owner}: {parameter.name} is no field, so it would not be stored; make it one"
                )
        return [self._parameter(field) for field in dataclasses.fields(self.cls) if field.init]

    def result_hint(self) -> Any:
        return hints_of(self._owner, self._function, self._locals).resolve(annotations_of(self._function), "return")

    def value(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.fields_of(self.cls(**arguments))

    def fields_of(self, instance: object) -> Mapping[str, Any]:
        """The arguments that an instance holds."""
        return {field.name: getattr(instance, field.name) for field in dataclasses.fields(self.cls) if field.init}

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        return await self._function(self.cls(**arguments))

    def wired_steps(self) -> WiredSteps:
        return WiredSteps(self._owner, self.cls)

    def _parameter(self, field: dataclasses.Field[Any]) -> Parameter:
        factory: object = field.default_factory
        has_default = field.default is not dataclasses.MISSING
        hint = self._hint(field.name)
        return Parameter(
            field.name,
            hint,
            for_hint(hint),
            required=not callable(factory) and not has_default,
            default=field.default if has_default else NO_DEFAULT,
            factory=factory if callable(factory) else None,
        )

    def _hint(self, name: str) -> Any:
        for base in self.cls.__mro__:
            written = annotations_of(base)
            if name in written:
                return hints_of_class(self._owner, base, self._locals).resolve(written, name)
        return hints_of_class(self._owner, self.cls, self._locals).resolve({}, name)


def _is_init_only(cls: type, name: str) -> bool:
    return name not in {field.name for field in dataclasses.fields(cls)}


def check_flow_function(function: object) -> FunctionType:
    """The function that `@flow` was put on. Raises DefinitionError if no flow can be made of it."""
    if not isinstance(function, FunctionType):
        hint = "; for a class use @flow_type" if isinstance(function, type) else ""
        raise DefinitionError(f"@flow goes on an async function, not on {function!r}{hint}")
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise DefinitionError(f"flow {function.__name__} at {source_of(function)} is not async; write `async def`")
    return function
