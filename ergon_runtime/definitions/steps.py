"""Step definitions, and the calls of them.

In flow code a call asks the machine for the step's record and gives what is recorded (T1); anywhere else, also inside
another step's body, a step is its plain function. The body runs on copies: the flow sees only what is recorded.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, TypeVar

from ergon_runtime.codec import ValueCodec, decode_error, digest, for_hint
from ergon_runtime.core import asking
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions.binding import Arguments, Parameter, Shape, parameters_of
from ergon_runtime.definitions.hints import Declared, annotations_of, hints_of, is_method_of, source_of
from ergon_runtime.definitions.receivers import guarded_copy
from ergon_runtime.errors import CodecError, DefinitionError, OutcomeUnknown

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What `@step(...)` was told. Timeouts are in seconds."""

    name: str
    retry: RetryPolicy
    timeout: float | None
    heartbeat_timeout: float | None
    at_most_once: bool
    wiring: Wiring | None = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """What `depends_on=` and `inputs=` were told: the steps that this one needs, and those that feed its parameters."""

    needs: tuple[str | StepDefinition, ...]
    inputs: Mapping[str, str | StepDefinition]


@dataclass(frozen=True, slots=True)
class _Resolved:
    arguments: Arguments
    result: ValueCodec


class StepDefinition:
    """A step as declared. Hints are resolved on first use, or when loading ends."""

    __slots__ = (
        "_locals",
        "_resolved",
        "_where",
        "function",
        "is_async",
        "is_method",
        "module",
        "options",
        "shape",
        "source",
    )

    def __init__(self, function: FunctionType, options: StepOptions, names: Mapping[str, Any]) -> None:
        self.function, self.options, self.is_method = function, options, False
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function))
        self.module, self.source = function.__module__, source_of(function)
        self.shape = Shape(f"step {options.name}", function, method=False)
        self._locals = dict(names)
        self._resolved: _Resolved | None = None
        self._where = f"result of step {options.name}"

    def __repr__(self) -> str:
        return f"<step {self.name} at {self.source}>"

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def retry(self) -> RetryPolicy:
        return self.options.retry

    @property
    def timeout(self) -> float | None:
        """Seconds that one try may take."""
        return self.options.timeout

    @property
    def heartbeat_timeout(self) -> float | None:
        """Seconds that one try may go without a heartbeat."""
        return self.options.heartbeat_timeout

    @property
    def at_most_once(self) -> bool:
        return self.options.at_most_once

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, without self. Raises DefinitionError for a hint that cannot be resolved."""
        return self.resolve().arguments.parameters

    @property
    def result(self) -> ValueCodec:
        """The codec of the result. Raises DefinitionError for a hint that cannot be resolved."""
        return self.resolve().result

    def in_class(self) -> None:
        """It was found to be a method: its first parameter is the receiver."""
        if not self.is_method:
            self.is_method = True
            self.shape = Shape(f"step {self.name}", self.function, method=True)

    def resolve(self) -> _Resolved:
        """Resolve the hints. Raises DefinitionError naming the step, the parameter and the hint; also for a function
        that is wired like a method."""
        if self._resolved is None:
            if self.options.wiring is not None and not self.is_method:
                raise DefinitionError(
                    f"step {self.name} at {self.source} has depends_on= or inputs= and is no method; "
                    "steps of a DAG are methods of a @flow_type class"
                )
            hints = hints_of(f"step {self.name}", self.function, self._locals)
            written = annotations_of(self.function)
            parameters = parameters_of(self.shape, lambda name: hints.resolve(written, name))
            result = for_hint(hints.resolve(written, "return"))
            self._resolved = _Resolved(Arguments(f"step {self.name}", parameters), result)
        return self._resolved

    def encode_result(self, value: object) -> str:
        """A result as JSON text. Raises CodecError."""
        return self.result.encode(value, self._where)

    def decode_result(self, text: str) -> Any:
        """A recorded result. Raises CodecError."""
        return self.result.decode(text, self._where)

    async def ask(self, machine: FlowMachine, receiver: object, values: Mapping[str, Any]) -> Any:
        """Ask for the step in flow code and give its recorded end. Raises CodecError for arguments without a text."""
        text, texts = self.resolve().arguments.encode(values)
        call = StepCall(self, guarded_copy(receiver) if self.is_method else None, dict(values), tuple(texts))
        end = await asking.step_end(
            machine, self.name, digest(text), text, call, at_most_once=self.options.at_most_once
        )
        if end.unknown:
            raise OutcomeUnknown(
                f"step {end.key} was begun and its worker was lost: find out by other means whether it took effect"
            )
        try:
            if end.error is not None:
                error = decode_error(end.error)
            else:
                return self.decode_result(end.value or "")
        except CodecError as unfit:
            raise unreadable(machine, end.key, unfit) from None
        raise error


def unreadable(machine: FlowMachine, key: str, unfit: CodecError) -> BaseException:
    """To raise in flow code: what is recorded no longer fits its hint, which blocks the flow."""
    return machine.stop(Fault(FaultKind.UNREADABLE, str(unfit), key=key, where=machine.where()))


@dataclass(frozen=True, slots=True)
class StepCall:
    """One call of a step: what its body runs on. `receiver` is None for a function; `texts` encode the arguments."""

    definition: StepDefinition
    receiver: Any
    arguments: Mapping[str, Any]
    texts: tuple[str, ...]

    def bound(self) -> Callable[[], Any]:
        """The body with its arguments, ready to be called; for an async step the call gives a coroutine.

        Each try gets its own copies of what could be changed. Raises CodecError.
        """
        definition = self.definition
        values = definition.resolve().arguments.fresh(self.arguments, self.texts)
        args, kwargs = definition.shape.split(values)
        if definition.is_method:
            args.insert(0, self.receiver)
        return functools.partial(definition.function, *args, **kwargs)


class StepFunction(Declared):
    """What `@step` leaves in place of a function. Calling it gives a coroutine, also for a sync function."""

    def __init__(self, definition: StepDefinition) -> None:
        self.definition = definition
        functools.update_wrapper(self, definition.function, updated=())

    def __repr__(self) -> str:
        return repr(self.definition)

    def __set_name__(self, owner: type, name: str) -> None:
        if is_method_of(owner, self.definition.function):
            self.definition.in_class()

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None or not self.definition.is_method:
            return self
        return MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[object, None, Any]:
        definition = self.definition
        machine = asking.machine_here()
        if machine is None and definition.is_async:
            coroutine: Coroutine[object, None, Any] = definition.function(*args, **kwargs)
            return coroutine
        receiver: object = None
        if definition.is_method:
            if not args:
                raise TypeError(f"{definition.name}() is a method and was called without an object")
            receiver, *rest = args
            args = tuple(rest)
        values = definition.shape.bind(args, kwargs)
        if machine is not None:
            return definition.ask(machine, receiver, values)
        return _plain(definition, receiver, values)


async def _plain(definition: StepDefinition, receiver: object, values: Mapping[str, Any]) -> Any:
    """A sync step outside flow code."""
    args, kwargs = definition.shape.split(values)
    if definition.is_method:
        args.insert(0, receiver)
    return definition.function(*args, **kwargs)


def check_step_function(function: object) -> FunctionType:
    """The function that `@step` was put on. Raises DefinitionError if no step can be made of it."""
    if isinstance(function, Declared):
        raise DefinitionError(f"{function!r} has two of our decorators; a function is a step or a flow, not both")
    if isinstance(function, staticmethod | classmethod):
        raise DefinitionError("@staticmethod belongs above @step, and @classmethod cannot be a step; use a function")
    if not isinstance(function, FunctionType):
        raise DefinitionError(f"@step goes on a function, not on {function!r}; write a function that calls it")
    inner = inspect.unwrap(function)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise DefinitionError(
            f"step {function.__name__} at {source_of(function)} is a generator, which cannot be stored; return a list"
        )
    return function
