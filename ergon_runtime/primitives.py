"""What flow code calls besides steps: sleeps, signals, child flows, time, randomness; and for the bodies of steps
`step_info` and `heartbeat`.

Each asks the machine of the flow that runs; outside flow code it refuses, and in a step's body it says which
step to open up.
"""

from __future__ import annotations

import asyncio
import math
import random as random_module
import re
import uuid
from collections.abc import Awaitable, Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar, cast, overload

from ergon_runtime.codec import UNHINTED, decode_error, digest, for_hint
from ergon_runtime.core import asking
from ergon_runtime.core.asyncio_fit import as_completed as as_completed
from ergon_runtime.core.flows import Status
from ergon_runtime.core.machine import ContinueAsNew, FlowMachine
from ergon_runtime.core.retry import seconds
from ergon_runtime.definitions import FlowDefinition, FlowValue, HasRun, current_flow, flow_value, unreadable
from ergon_runtime.errors import CodecError, DefinitionError, FlowCancelled

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[^/#\s][^/#]{0,199}")


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What a step's body may know of itself.

    `key` is the step's name within its flow, `attempt` counts from 1, `idempotency_key` stays the same over tries and
    flow retries: give it to the outer world, so that it can tell a repeated effect. `token` is that of the lease.
    `flow_attempt` counts the tries of the whole flow, from 1; `attempt` begins anew in each of them. `heartbeat` is the
    last detail that an earlier try told by `heartbeat()`, also one whose worker died; None if there is none.
    """

    flow_id: str
    key: str
    attempt: int
    idempotency_key: str
    token: str
    flow_attempt: int = 1
    heartbeat: Any = None


current_step: ContextVar[StepInfo | None] = ContextVar("ergon_current_step", default=None)
"""Set by who runs a step's body, in the body's own context."""
current_heartbeat: ContextVar[Callable[[str | None], None] | None] = ContextVar("ergon_current_heartbeat", default=None)
"""Likewise: takes what the body tells, from any thread."""
LONGEST_DETAIL = 64 * 1024
"""Bytes of a heartbeat's detail."""


def step_info() -> StepInfo:
    """The step whose body runs now. Raises DefinitionError outside a step's body."""
    info = current_step.get()
    if info is None:  # flow code runs in contexts where it is never set
        raise DefinitionError("step_info() works in the body of a step that a flow has called")
    return info


def heartbeat(detail: object = None) -> None:
    """Tell that the step whose body runs now goes on, and how far it is.

    The next try of the step gets the last `detail` as `step_info().heartbeat`; None leaves the last one as it is. It
    is stored within about a second. Counts for the step's `heartbeat_timeout`. Does nothing once the try was given up.
    Works in threads. Raises DefinitionError outside a step's body, CodecError for a detail that cannot be stored or
    takes more than 64 KiB.
    """
    info = current_step.get()
    if info is None:
        here = "and was called in flow code: move it into a step" if asking.machine_here() else "that a flow has called"
        raise DefinitionError(f"heartbeat() works in the body of a step {here}")
    text = None
    if detail is not None:
        where = f"heartbeat of step {info.key}"
        text = for_hint(UNHINTED).encode(detail, where)
        if (size := len(text.encode())) > LONGEST_DETAIL:
            raise CodecError(f"{where}: it takes {size:,} bytes, and {LONGEST_DETAIL:,} is the most; tell less")
    tell = current_heartbeat.get()
    if tell is not None:
        tell(text)


async def sleep(duration: float | timedelta, *, name: str | None = None) -> None:
    """Wait for this long (seconds or timedelta), also over restarts; `name` shows in `inspect`. Flow code only."""
    machine = flow_machine("sleep")
    delay = seconds(duration)
    if math.isnan(delay):
        raise ValueError("sleep() needs a number of seconds, not nan")
    if name is None:
        await asyncio.sleep(delay)
    else:
        await asking.timer(machine, _named("sleep", name), machine.time() + delay)


async def sleep_until(when: datetime, *, name: str = "sleep_until") -> None:
    """Wait until this moment. Raises DefinitionError if `when` has no time zone. Flow code only."""
    machine = flow_machine("sleep_until")
    if when.tzinfo is None:
        raise DefinitionError("sleep_until() needs an aware datetime, such as now() + timedelta(days=1)")
    await asking.timer(machine, _named("sleep_until", name), when.timestamp(), absolute=True)


@overload
async def wait_signal(name: str, *, timeout: float | timedelta | None = None) -> Any: ...
@overload
async def wait_signal(name: str, type: type[T], timeout: float | timedelta | None = None) -> T: ...
@overload
async def wait_signal(name: str, type: object, timeout: float | timedelta | None = None) -> Any: ...
async def wait_signal(name: str, type: Any = UNHINTED, timeout: float | timedelta | None = None) -> Any:  # noqa: A002  contract
    """Wait for a signal and give its payload. Payloads that do not fit `type` are set aside.

    Raises TimeoutError after `timeout` (seconds or timedelta). Flow code only.
    """
    machine = flow_machine("wait_signal")
    codec, where = for_hint(type), f"payload of signal {name}"
    if not 0 < len(name) <= 200:
        raise DefinitionError("a signal's name has 1 to 200 characters")

    def payload(text: str) -> Any:
        try:
            return codec.decode(text, where)
        except CodecError:  # programs send tagged values, as they know no hint; people send plain JSON
            value = for_hint(UNHINTED).decode(text, where)
            return codec.decode(codec.encode(value, where), where)

    def accepts(text: str) -> bool:
        try:
            payload(text)
        except CodecError:
            return False
        return True

    async with asyncio.timeout(None if timeout is None else seconds(timeout)):
        received = await asking.signal(machine, name, accepts)
    try:
        return payload(received.value)
    except CodecError as unfit:
        raise unreadable(machine, received.key, unfit) from None


class ChildHandle(Awaitable[T]):
    """A child flow that was asked for. Await it, as often as wanted, for its result."""

    def __init__(self, machine: FlowMachine, definition: FlowDefinition, request: asking.ChildRequest) -> None:
        self._machine, self._definition, self._request = machine, definition, request

    def __repr__(self) -> str:
        return f"ChildHandle({self.id!r})"

    @property
    def id(self) -> str:
        """The child's flow id."""
        return self._request.id

    def __await__(self) -> Generator[Any, Any, T]:
        return self.result().__await__()

    async def result(self) -> T:
        """Wait for the child's end and give its result. Raises its error, or FlowCancelled."""
        end = await self._request.end()
        if end.status is Status.CANCELLED:
            raise FlowCancelled(f"child flow {self.id} was cancelled", flow_id=self.id)
        try:
            if end.error is None:
                return cast(T, self._definition.decode_result(end.value or ""))
            error = decode_error(end.error)
        except CodecError as unfit:
            raise unreadable(self._machine, end.key, unfit) from None
        raise error


@overload
def invoke(flow: FlowValue[T], /, *, detached: bool = False) -> ChildHandle[T]: ...
@overload
def invoke(flow: HasRun[T], /, *, detached: bool = False) -> ChildHandle[T]: ...
def invoke(flow: Any, /, *, detached: bool = False) -> ChildHandle[Any]:
    """Start a child flow; await what this gives for its result.

    The child is cancelled when the await is, and when this flow ends before it, unless it is `detached`. Raises
    DefinitionError for what is no flow, CodecError for arguments that cannot be stored. Flow code only.
    """
    machine = flow_machine("invoke")
    value = flow_value(flow)
    definition = value.definition
    args = definition.encode_arguments(value)
    request = asking.ChildRequest(machine, definition.name, definition.version, digest(args), args, detached=detached)
    return ChildHandle(machine, definition, request)


def now() -> datetime:
    """The flow's time: an aware UTC datetime, the same in every replay. It moves when something awaited ends."""
    return _EPOCH + timedelta(milliseconds=flow_machine("now").now)


def random() -> random_module.Random:
    """The random generator of this part of the flow, always the same object, seeded so that replays see the same."""
    return flow_machine("random").random()


def uuid4() -> uuid.UUID:
    """A random UUID, the same in every replay."""
    return uuid.UUID(int=flow_machine("uuid4").random().getrandbits(128), version=4)


def patched(id: str) -> bool:  # noqa: A002  contract
    """Whether this flow takes the changed code: true in flows that get here for the first time, false in replays of
    older ones. Use one id per change."""
    return flow_machine("patched").patched(id)


@overload
def continue_as_new(flow: FlowValue[Any], /) -> NoReturn: ...
@overload
def continue_as_new(flow: HasRun[Any], /) -> NoReturn: ...
def continue_as_new(flow: Any, /) -> NoReturn:
    """End here and begin anew, under the same id, with these arguments and an empty journal.

    Raises DefinitionError for a flow of another type. Flow code only.
    """
    flow_machine("continue_as_new")
    value = flow_value(flow)
    here = current_flow.get()
    if here is not None and (value.definition.name, value.definition.version) != (here.name, here.version):
        raise DefinitionError(f"{here.name} cannot continue as {value.definition.name}; use invoke(..., detached=True)")
    raise ContinueAsNew(value.definition.encode_arguments(value))


def flow_machine(what: str) -> FlowMachine:
    """The machine of the flow whose code runs. Raises DefinitionError, which says where `what` works, anywhere else."""
    machine = asking.machine_here()
    if machine is not None:
        return machine
    info = current_step.get()
    if info is not None:
        raise DefinitionError(
            f"{what}() was called in step {info.key}, and works in flow code only: drop @step from that helper"
        )
    raise DefinitionError(f"{what}() works in flow code only")


def _named(what: str, name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise DefinitionError(f"{what}() cannot take the name {name!r}: give 1 to 200 characters without / and #")
