"""The decorators `step`, `flow` and `flow_type`.

Signatures keep parameters (ParamSpec) and the result: a step gives `Coroutine[object, None, T]`, which keeps gather's
tuple, a flow gives `FlowValue[T]`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from types import FrameType
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from ergon_runtime.core.retry import RetryPolicy, seconds
from ergon_runtime.definitions.calls import MARK, FlowFunction, FlowOptions, FlowTypeMark
from ergon_runtime.definitions.flows import ClassBody, FlowDefinition, FlowValue, check_flow_function
from ergon_runtime.definitions.hints import (
    annotations_of,
    caller,
    check_name,
    check_version,
    in_class_body,
    kept_locals,
)
from ergon_runtime.definitions.registry import registry
from ergon_runtime.definitions.steps import StepDefinition, StepFunction, StepOptions, check_step_function
from ergon_runtime.definitions.wiring import StepRef, wiring_of
from ergon_runtime.errors import DefinitionError

T = TypeVar("T")
C = TypeVar("C")
P = ParamSpec("P")


class StepDecorator(Protocol):
    """`@step(...)`, ready for its function."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Coroutine[object, None, T]]: ...
    @overload
    def __call__(self, fn: Callable[P, T], /) -> Callable[P, Coroutine[object, None, T]]: ...


class FlowDecorator(Protocol):
    """`@flow(...)`, ready for its function."""

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, FlowValue[T]]: ...


@overload
def step(fn: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Coroutine[object, None, T]]: ...
@overload
def step(fn: Callable[P, T], /) -> Callable[P, Coroutine[object, None, T]]: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    depends_on: StepRef | Sequence[StepRef] | None = None,
    inputs: Mapping[str, StepRef] | None = None,
    at_most_once: bool = False,
) -> StepDecorator: ...
def step(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    depends_on: StepRef | Sequence[StepRef] | None = None,
    inputs: Mapping[str, StepRef] | None = None,
    at_most_once: bool = False,
) -> Any:
    """Make a function or method a step: its result is recorded once, and a replay gets the record.

    `retry` says how often it is tried (default: once), `timeout` (seconds or timedelta) how long one try may take.
    `heartbeat_timeout` (likewise) is how long a try may go without calling `heartbeat()`.
    `at_most_once` records the start first; if the worker dies in it, the flow gets OutcomeUnknown, not a second try.
    For `run_dag`: `depends_on` are steps to wait for, `inputs` steps whose results become parameters.
    Works with and without parentheses, on async and plain functions. Calling a step always gives a coroutine. Raises
    DefinitionError.
    """

    def declare(function: object, frame: FrameType) -> StepFunction:
        inner = check_step_function(function)
        chosen = check_name(inner.__name__ if name is None else name, "step")
        options = StepOptions(
            name=chosen,
            retry=_policy(retry),
            timeout=_timeout("timeout", timeout),
            heartbeat_timeout=_timeout("heartbeat_timeout", heartbeat_timeout),
            at_most_once=at_most_once,
            wiring=wiring_of(chosen, depends_on, inputs),
        )
        if at_most_once and options.retry.max_attempts > 1:
            raise DefinitionError(f"step {options.name}: at_most_once and retry exclude each other; choose one")
        definition = StepDefinition(inner, options, kept_locals(frame, annotations_of(inner).values()))
        registry.add_step(definition)
        return StepFunction(definition)

    def decorate(function: object) -> StepFunction:
        return declare(function, caller())

    return decorate if fn is None else declare(fn, caller())


@overload
def flow(fn: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, FlowValue[T]]: ...
@overload
def flow(
    *, name: str | None = None, version: str | None = None, retry: RetryPolicy | None = None, keep: bool = True
) -> FlowDecorator: ...
def flow(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    version: str | None = None,
    retry: RetryPolicy | None = None,
    keep: bool = True,
) -> Any:
    """Make an async function a flow type, or an async method the code of its `@flow_type` class.

    `version` names this version of the code. `retry` says how often the flow is tried as a whole (default: once); a
    retry reuses what succeeded, unless `keep` is false. Calling the function gives a FlowValue, to be given to `invoke`
    or `schedule`. Works with and without parentheses. Raises DefinitionError.
    """

    def declare(function: object, frame: FrameType) -> FlowFunction:
        inner = check_flow_function(function)
        options = FlowOptions(
            None if name is None else check_name(name, "flow"), check_version(version), _policy(retry), keep
        )
        made = FlowFunction(inner, options, kept_locals(frame, annotations_of(inner).values()))
        if not in_class_body(frame):
            registry.add_flow(made.as_function())
        return made

    def decorate(function: object) -> FlowFunction:
        return declare(function, caller())

    return decorate if fn is None else declare(fn, caller())


@overload
def flow_type(cls: type[C], /) -> type[C]: ...
@overload
def flow_type(*, name: str | None = None, version: str | None = None) -> Callable[[type[C]], type[C]]: ...
def flow_type(cls: Any = None, /, *, name: str | None = None, version: str | None = None) -> Any:
    """Make a dataclass with one `@flow` method a flow type; its fields are the arguments.

    Stands above or below `@dataclass`. Works with and without parentheses. Raises DefinitionError.
    """

    def declare(each: object, frame: FrameType) -> type:
        if not isinstance(each, type):
            raise DefinitionError(f"@flow_type goes on a class, not on {each!r}; for a function use @flow")
        _declare_type(each, frame, name, version)
        return each

    def decorate(each: object) -> type:
        return declare(each, caller())

    return decorate if cls is None else declare(cls, caller())


def _declare_type(cls: type, frame: FrameType, name: str | None, version: str | None) -> None:
    method = _flow_method(cls)
    options = method.options
    chosen = check_name(_agreed(cls, "name", name, options.name) or cls.__name__, "flow type")
    written = [*annotations_of(cls).values(), *annotations_of(method.function).values()]
    body = ClassBody(f"flow {chosen}", cls, method.function, kept_locals(frame, written))
    definition = FlowDefinition(
        chosen,
        _agreed(cls, "version", check_version(version), options.version),
        body,
        retry=options.retry,
        keep=options.keep,
        module=cls.__module__,
        source=f"{frame.f_code.co_filename}:{frame.f_lineno}",
    )
    registry.add_flow(definition)
    setattr(cls, MARK, FlowTypeMark(definition, body))


def _flow_method(cls: type) -> FlowFunction:
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base)
    methods = [value for value in found.values() if isinstance(value, FlowFunction)]
    if len(methods) != 1:
        how = "has no @flow method" if not methods else f"has {len(methods)} @flow methods"
        raise DefinitionError(
            f"{cls.__qualname__} {how}; a @flow_type class has exactly one, such as `async def run(self)`"
        )
    return methods[0]


def _agreed(cls: type, what: str, ours: str | None, methods: str | None) -> str | None:
    if ours is not None and methods is not None and ours != methods:
        raise DefinitionError(
            f"{cls.__qualname__} has {what} {ours!r} at @flow_type and {methods!r} at @flow; give it in one place"
        )
    return methods if ours is None else ours


def _policy(retry: object) -> RetryPolicy:
    if retry is None:
        return RetryPolicy.NONE
    if not isinstance(retry, RetryPolicy):
        raise DefinitionError(f"retry= takes a RetryPolicy, such as RetryPolicy.STANDARD, not {retry!r}")
    return retry


def _timeout(option: str, timeout: float | timedelta | None) -> float | None:
    if timeout is None:
        return None
    if not seconds(timeout) > 0:
        raise DefinitionError(f"{option}= must be more than 0 seconds, not {timeout!r}")
    return seconds(timeout)
