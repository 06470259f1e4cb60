"""What other programs do with flows: schedule them, signal them, cancel them, wait for their results."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar, cast, overload

from pydantic import BaseModel

from ergon_runtime.codec import UNHINTED, allow, decode_error, describe_error, for_hint, is_error_loaded
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import FLOW_ID as FLOW_ID
from ergon_runtime.core.flows import FlowQuery, FlowRow, NewFlow, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.core.retry import seconds
from ergon_runtime.definitions import FlowDefinition, FlowValue, HasRun, flow_value, registry
from ergon_runtime.errors import (
    CodecError,
    DefinitionError,
    FlowBlocked,
    FlowCancelled,
    FlowFailed,
    FlowNotFound,
    StoreCorrupt,
)
from ergon_runtime.journal import MAX_ENTRIES
from ergon_runtime.mail import cancel_flow, send_signal_text
from ergon_runtime.operators import fork_flow, live_children, plan_fork, plan_retry, retry_flow
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.rules import CHILD, WAITS
from ergon_runtime.worker import RunningWorker, Worker

T = TypeVar("T")

LOOK = 0.5
"""Seconds between two looks of an Executor for what keeps its flow from going on."""


class FlowHandle(Generic[T]):
    """A flow by its id, for those who wait for it."""

    def __init__(
        self, store: Store, flow_id: str, definition: FlowDefinition | None = None, hint: object = UNHINTED
    ) -> None:
        self.id = flow_id
        self._store, self._definition, self._codec = store, definition, for_hint(hint)

    def __repr__(self) -> str:
        return f"FlowHandle({self.id!r})"

    async def status(self) -> Status:
        """Where the flow stands. Raises FlowNotFound."""
        return (await self._row()).status

    async def result(self, timeout: float | timedelta | None = None) -> T:
        """Wait for the flow's end and give its result.

        Raises the flow's own error; FlowFailed if that error's class is not loaded here; FlowCancelled; FlowNotFound;
        TimeoutError after `timeout` (seconds or timedelta).
        """
        outcome = await self.outcome(timeout)
        if outcome.status is Status.CANCELLED:
            raise FlowCancelled(f"flow {self.id} was cancelled", flow_id=self.id)
        if outcome.error is not None:
            raise _error(self.id, outcome.error)
        where = f"result of flow {self.id}"
        if outcome.value is None:
            raise CodecError(f"{where}: the store has neither a value nor an error")
        if self._definition is not None:
            return cast(T, self._definition.decode_result(outcome.value))
        return cast(T, self._codec.decode(outcome.value, where))

    async def outcome(self, timeout: float | timedelta | None = None) -> Outcome:
        """Wait for the flow's end, and give how it ended as it is stored. Raises FlowNotFound, StoreCorrupt,
        TimeoutError."""
        end = None if timeout is None else time.monotonic() + seconds(timeout)
        while not (row := await self._row()).status.ended:
            left = 1.0 if end is None else min(1.0, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"flow {self.id} is still {row.status} after {seconds(timeout or 0):g} s")
            await self._store.wait("", left)
        try:
            return Outcome.unpack(row.result or b"")
        except ValueError as error:
            raise StoreCorrupt(f"flow {self.id}: {error}; the store is damaged") from error

    async def signal(self, name: str, payload: object = None, *, id: str | None = None) -> bool:  # noqa: A002  contract
        """Send a signal to this flow's mailbox; False if the flow has ended or is not there.

        With `id`, signals of this name and id count once, however often they are sent. Raises CodecError for the
        payload, DefinitionError for the name.
        """
        return await send_signal(self._store, name, payload, flow=self.id, message_id=id)

    async def cancel(self) -> bool:
        """Ask the flow to end; False if it has ended already. Its `finally` blocks may still run steps. Raises
        FlowNotFound."""
        return await cancel_flow(self._store, self.id)

    async def _row(self) -> FlowRow:
        return await find_flow(self._store, self.id)


class Scheduler:
    """Schedules flows into a store, and finds those that are there. `version` is the one that `schedule` takes unless
    it is told another; without one it is that of the flow passed."""

    def __init__(self, store: Store, *, version: str | None = None) -> None:
        self._store, self._version = store, version

    @overload
    async def schedule(
        self,
        flow: FlowValue[T],
        /,
        *,
        id: str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        version: str | None = None,
    ) -> FlowHandle[T]: ...
    @overload
    async def schedule(
        self,
        flow: HasRun[T],
        /,
        *,
        id: str | None = None,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        version: str | None = None,
    ) -> FlowHandle[T]: ...
    async def schedule(
        self,
        flow: Any,
        /,
        *,
        id: str | None = None,  # noqa: A002  contract
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        version: str | None = None,
    ) -> FlowHandle[Any]:
        """Accept a flow: from now on it will end, whatever dies.

        `id` names it (default: a new one, which begins with the time); the same id with the same flow is the same flow.
        It starts after `delay` (seconds or timedelta) or `at` an aware time. With `version` it is that version of the
        flow type. Raises Conflict when the id is another flow's, DefinitionError for an id, time or version that cannot
        be, CodecError for an argument that cannot be stored, StoreUnavailable.
        """
        value = flow_value(flow)
        wanted = version or self._version
        definition = value.definition if wanted is None else registry.find(value.definition.name, wanted)
        args = definition.encode_arguments(value)
        handle, _ = await create_flow(self._store, definition, args, id, await self._due(delay, at))
        return handle

    @overload
    def handle(self, flow_id: str) -> FlowHandle[Any]: ...
    @overload
    def handle(self, flow_id: str, type: type[T]) -> FlowHandle[T]: ...
    @overload
    def handle(self, flow_id: str, type: object) -> FlowHandle[Any]: ...
    def handle(self, flow_id: str, type: Any = None) -> FlowHandle[Any]:  # noqa: A002  contract
        """A handle on a flow by its id; `type` is the hint of its result. Nothing is asked of the store yet."""
        return FlowHandle(self._store, flow_id, hint=UNHINTED if type is None else type)

    async def signal(self, name: str, payload: object = None, *, id: str | None = None) -> bool:  # noqa: A002  contract
        """Send a signal to whichever flow waits longest on the name; kept until one does. With `id`, signals of this
        name and id count once. Raises CodecError for the payload, DefinitionError for the name."""
        return await send_signal(self._store, name, payload, flow=None, message_id=id)

    async def retry(self, flow_id: str, *, from_step: str | None = None, adopt: bool = False) -> FlowHandle[Any]:
        """Retry a flow that has failed or was cancelled, or free one that is blocked; what succeeded is kept. With
        `from_step`, a key as `ergon inspect` shows it, what was recorded from its first entry on is not. `adopt` lets
        changed code take over a blocked flow. Raises FlowNotFound, OperatorRefused."""
        plan = await plan_retry(self._store, await find_flow(self._store, flow_id), from_step=from_step, adopt=adopt)
        await retry_flow(self._store, plan)
        return self.handle(flow_id)

    async def fork(
        self,
        flow_id: str,
        *,
        from_step: str,
        id: str | None = None,  # noqa: A002  contract
        args: str | None = None,
        results: Mapping[str, str] | None = None,
        signals: bool = True,
    ) -> FlowHandle[Any]:
        """Make a flow of its own that remembers what this one has recorded before a step, whatever its status.

        `args` (all of them) and `results` (by key) are JSON texts, as stored, that take the place of the recorded ones.
        Without `signals` the fork waits for its own. Raises FlowNotFound, OperatorRefused.
        """
        row, text = await find_flow(self._store, flow_id), None if args is None else args.encode()
        plan = await plan_fork(
            self._store, row, from_step=from_step, new_id=id, args=text, results=results, signals=signals
        )
        return self.handle(await fork_flow(self._store, plan))

    async def list(self, *, status: Status | None = None, limit: int = 100) -> list[FlowRow]:
        """At most `limit` flows, newest first, of one status or of all."""
        return await self._store.list(FlowQuery(statuses=(status,) if status else (), limit=limit))

    async def _due(self, delay: float | timedelta | None, at: datetime | None) -> int | None:
        if delay is not None and at is not None:
            raise DefinitionError("give delay= or at=, not both")
        if at is not None:
            if at.tzinfo is None:
                raise DefinitionError("at= must be an aware datetime, such as datetime.now(UTC) + timedelta(hours=1)")
            return round(at.astimezone(UTC).timestamp() * 1000)
        if delay is not None:
            return await self._store.now() + round(seconds(delay) * 1000)
        return None


class Executor(Generic[T]):
    """Runs one flow in this process to its end, with its timers and children. It is a worker that claims that flow
    only."""

    @overload
    def __init__(self, flow: FlowValue[T], store: Store, *, id: str | None = None) -> None: ...
    @overload
    def __init__(self, flow: HasRun[T], store: Store, *, id: str | None = None) -> None: ...
    def __init__(self, flow: Any, store: Store, *, id: str | None = None) -> None:  # noqa: A002  contract
        self._flow, self._store, self._id = flow, store, id

    async def run(self) -> T:
        """Schedule the flow if it is not there, run it, and give its result.

        Raises what `FlowHandle.result` raises, and FlowBlocked when the flow, or a child that it waits for, is blocked
        under the code that is loaded here.
        """
        handle, running = await self.start()
        async with running:
            over = asyncio.create_task(handle.outcome())
            blocked = asyncio.create_task(self._blocked(handle.id, running))
            try:
                await asyncio.wait((over, blocked), return_when=asyncio.FIRST_COMPLETED)
                if not over.done():
                    raise blocked.result()
                over.result()
                return await handle.result()
            finally:
                over.cancel()
                blocked.cancel()
                await asyncio.gather(over, blocked, return_exceptions=True)

    async def _blocked(self, flow_id: str, running: RunningWorker) -> FlowBlocked:
        """Wait until the flow cannot go on here."""
        while True:
            await asyncio.sleep(LOOK)
            row = await self._culprit(flow_id, running.engine.fingerprint)
            if row is not None:
                why: dict[str, str] = read_note(row.note).get("why") or {}
                message = why.get("message", "the reason was not recorded")
                return FlowBlocked(row.id, why.get("kind", "unreadable"), message)

    async def _culprit(self, flow_id: str, fingerprint: str) -> FlowRow | None:
        """The blocked flow that this one is, or waits for and for nothing else, unless this code may try it again."""
        row = await self._store.get(flow_id)
        if row is not None and row.status is Status.BLOCKED:
            return row if row.due is None or row.fingerprint == fingerprint else None
        if row is None or row.status is not Status.WAITING or row.due is not None or len(row.waits) >= WAITS:
            return None
        found: FlowRow | None = None
        for wait in row.waits:
            child = wait.channel.removeprefix(CHILD)
            found = await self._culprit(child, fingerprint) if child != wait.channel else None
            if found is None:
                return None  # something else may wake it
        return found

    async def start(
        self, *, concurrency: int = 100, lease: float = 15.0, max_entries: int = MAX_ENTRIES
    ) -> tuple[FlowHandle[T], RunningWorker]:
        """Schedule the flow if it is not there and begin to run it: its handle, and the worker, to be shut down."""
        handle: FlowHandle[T] = await Scheduler(self._store).schedule(self._flow, id=self._id)
        worker = Worker(self._store, concurrency=concurrency, lease=lease, max_entries=max_entries)
        return handle, await worker.register(self._flow).register_all().start(only=[handle.id])


async def find_flow(store: Store, flow_id: str) -> FlowRow:
    """A flow as it stands. Raises FlowNotFound."""
    row = await store.get(flow_id)
    if row is None:
        raise FlowNotFound(flow_id)
    return row


def new_flow_id() -> str:
    """An id that nobody has. It begins with the time, so that new flows lie side by side in a store: in a large one
    each would otherwise lie in pages of its own."""
    return f"{time.time_ns() // 1_000_000:011x}{secrets.token_hex(5)}"


async def create_flow(
    store: Store, definition: FlowDefinition, args: str, flow_id: str | None = None, due: int | None = None
) -> tuple[FlowHandle[Any], bool]:
    """Create a flow from encoded arguments, to start at `due` (milliseconds; None: now); False: it was there already.

    Raises DefinitionError for an id that is not allowed, Conflict, StoreUnavailable.
    """
    if flow_id is not None and not FLOW_ID.fullmatch(flow_id):
        raise DefinitionError(
            f"{flow_id!r} cannot be a flow id: begin with a letter or digit, then up to 199 of A-Z a-z 0-9 . _ : @ = -"
        )
    registry.resolve()
    flow = NewFlow(
        id=flow_id or new_flow_id(),
        type=definition.name,
        version=definition.version,
        lane=definition.lane,
        args=args.encode(),
        seed=secrets.token_hex(8),
        due=due,
    )
    created = await store.create(flow)
    return FlowHandle(store, flow.id, definition), created


async def send_signal(
    store: Store, name: str, payload: object, *, flow: str | None, message_id: str | None = None
) -> bool:
    """Send a signal, its payload by the tagged codec. Raises CodecError, DefinitionError for the name."""
    registry.resolve()
    if is_dataclass(payload) or isinstance(payload, BaseModel | Enum):
        allow(type(payload))  # the caller has it in hand, wherever it is defined
    text = for_hint(UNHINTED).encode(payload, f"payload of signal {name}")
    return await send_signal_text(store, name, text, flow=flow, message_id=message_id)


async def live_descendants(store: Store, flow_id: str) -> list[str]:
    """The ids of a flow's children that have not ended, of their children, and so on."""
    found: list[str] = []
    for child in await live_children(store, flow_id):
        found += [child, *await live_descendants(store, child)]
    return found


def _error(flow_id: str, text: str) -> BaseException:
    if is_error_loaded(text):
        return decode_error(text)
    view = describe_error(text)
    return FlowFailed(f"{view.type}: {view.message}", flow_id=flow_id, error_type=view.type)
