"""`ergon inspect --watch`: looks at a flow until it has ended, and who is told of what they find.

The store's hints say when to look, and there is a look at least each second, since time passes anyway. A store that
cannot be reached for a while is tried again. On a terminal live.py redraws the screen; here are the watchers for pipes:
a line for each new journal entry and each change of status, or of JSON for each change of the flow.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, cast

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.render import note, say_json
from ergon_cli.screens.events import row_of
from ergon_cli.screens.look import Look, show
from ergon_cli.screens.steps import one_line
from ergon_cli.why import error_line, why_line
from ergon_runtime import Status, Store, StoreUnavailable
from ergon_runtime.view import EventReader, EventView, FlowView, Why, iso, view_flow, view_row

Json: TypeAlias = Any
LOOK = 1.0
"""Seconds between two looks, if nothing hints at a change."""
PAUSE = 0.1
"""Seconds between two looks at least: what changes very often need not be seen each time."""
SHORT = 1000
"""A journal of so many entries is read anew at each look; a longer one when it has grown."""
VOLATILE = frozenset({"updated_at", "lease_until", "heartbeat_at", "busy"})
"""Fields whose change alone is no news."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found, at the store's time `now`. `events` are those that no earlier look had."""

    flow: FlowView
    now: int
    events: tuple[EventView, ...]


class Watcher(Protocol):
    """Whoever is told."""

    async def see(self, seen: Seen) -> None:
        """A look has found this."""
        ...

    def trouble(self, said: str) -> None:
        """The store cannot be reached; told once, until the next look succeeds."""
        ...


async def watch(store: Store, flow_id: str, watcher: Watcher, timeout: float | None) -> ExitCode:
    """Watch a flow until it has ended: OK if it is completed, FLOW_FAILED if not.

    Raises CommandError: NOT_FOUND if the flow is gone, TIMEOUT after `timeout` seconds; StoreError.
    """
    seen: Seen | None = None
    limit = asyncio.timeout(timeout)
    try:
        async with limit, aclosing(looks(store, flow_id, watcher.trouble)) as found:
            async for seen in found:
                await _tell(watcher, seen)
    except TimeoutError:
        if not limit.expired():
            raise
        status = f": it is {seen.flow.status.value}" if seen is not None else ""
        said = f"flow {flow_id} has not ended in time{status}"
        raise CommandError(ExitCode.TIMEOUT, said, f"it goes on: ergon inspect {flow_id}") from None
    return ExitCode.OK if seen is not None and seen.flow.status is Status.COMPLETED else ExitCode.FLOW_FAILED


async def _tell(watcher: Watcher, seen: Seen) -> None:
    """Tell of a look, though the store has to be read once more for it and is away."""
    while True:
        try:
            await watcher.see(seen)
            return
        except StoreUnavailable as error:
            watcher.trouble(f"{error}; still watching")
            await asyncio.sleep(LOOK)


async def looks(store: Store, flow_id: str, trouble: Callable[[str], None]) -> AsyncGenerator[Seen]:
    """Looks at a flow, whenever something may have changed; the last one finds it ended."""
    eye, reachable = _Eye(store, flow_id), True
    while True:
        try:
            seen = await eye.look()
            reachable = True
        except StoreUnavailable as error:
            if reachable:
                trouble(f"{error}; still watching")
            reachable = False
            await asyncio.sleep(LOOK)
            continue
        yield seen
        if seen.flow.status.ended:
            return
        await asyncio.sleep(PAUSE)
        try:
            await store.wait("", LOOK - PAUSE)
        except StoreUnavailable:
            await asyncio.sleep(LOOK)  # the next look tells of it


class _Eye:
    """Looks at one flow, and knows what it has seen."""

    def __init__(self, store: Store, flow_id: str) -> None:
        self._store, self._id = store, flow_id
        self._reader = EventReader()
        self._events: list[EventView] = []
        """Read, but not handed on: a look may fail half-way."""
        self._last: FlowView | None = None
        self._head: str | None = None

    async def look(self) -> Seen:
        store = self._store
        row = await store.get(self._id)
        if row is None:
            raise CommandError(ExitCode.NOT_FOUND, f"flow {self._id} is gone", "it ended, and was deleted")
        now, workers = await store.now(), await store.workers()
        if self._last is None or row.length <= SHORT or row.head != self._head or row.status.ended:
            flow = await view_flow(store, row, now=now, workers=workers)
        else:
            flow = await view_row(store, row, now=now, workers=workers)
            flow = replace(flow, steps=self._last.steps, children=self._last.children)
        async for event in self._reader.read(store, row):
            self._events.append(event)
        events, self._events = tuple(self._events), []
        self._last, self._head = flow, row.head
        return Seen(flow, now, events)


class Lines:
    """Tells a pipe: rows of seq, time, commit, kind, key and words; a status is a row of kind `status`."""

    def __init__(self, look: Look, step: str | None = None) -> None:
        self._look, self._step = look, step
        self._state: object = None

    async def see(self, seen: Seen) -> None:
        rows = [row_of(event) for event in seen.events if self._step in (None, event.step)]
        flow = seen.flow
        state = (flow.status, flow.why and _kernel(flow.why))
        if state != self._state:
            self._state = state
            at = flow.updated_at if flow.status.ended else seen.now
            rows.append(("", iso(at), "", "status", "", _standing(seen)))
        if rows:
            show(rows, self._look)
            sys.stdout.flush()

    def trouble(self, said: str) -> None:
        note(said)


class JsonLines:
    """Tells a program: a line of JSON whenever something has changed. `make` gives what is told of a look: objects."""

    def __init__(self, make: Callable[[Seen], Awaitable[list[Json]]]) -> None:
        self._make = make
        self._told: Json = None

    async def see(self, seen: Seen) -> None:
        for made in await self._make(seen):
            if (lasting := _lasting(made)) != self._told:
                self._told = lasting
                say_json(made)
        sys.stdout.flush()

    def trouble(self, said: str) -> None:
        note(said)


def _standing(seen: Seen) -> str:
    """The status of a flow, and what belongs to it."""
    flow, said = seen.flow, ""
    if flow.why is not None:
        said = why_line(flow.why, seen.now)
    elif flow.error is not None:
        said = error_line(flow.error)
    elif flow.status is Status.COMPLETED:
        said = one_line(flow.result)
    return f"{flow.status.value.upper()} {said}".rstrip()


def _kernel(why: Why) -> object:
    """What of a reason is worth a line when it changes."""
    cause = why.cause and _kernel(why.cause)
    return why.kind, why.key, why.name, why.child, why.worker, why.attempt, why.due, why.message, cause


def _lasting(value: Json) -> Json:
    """A value without the fields that change by themselves."""
    match value:
        case dict():
            fields = cast("dict[str, Json]", value)
            return {name: _lasting(part) for name, part in fields.items() if name not in VOLATILE}
        case list():
            return [_lasting(part) for part in cast("Sequence[Json]", value)]
        case _:
            return value
