"""A person: what a script does with flows, by the ways that programs and commands have.

A script is begun again from its first line when a call fails, or when the person's process dies, until it has come to
its end: so each line can be done twice. What a person looks at is no call of the store.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ergon_runtime.client import FlowHandle, Scheduler
from ergon_runtime.core.entries import SignalReceived
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.worker import RunningWorker
from tests.faults.handle import Handle
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.faults.world import World

LOOK = 0.01


class Person:
    """What scripts have in hand."""

    def __init__(self, world: World, process: Process) -> None:
        self.world, self.store = world, Handle(world, process)
        self.scheduler = Scheduler(self.store)

    async def start(self, flow: Any, id: str = "f", **options: Any) -> FlowHandle[Any]:  # noqa: A002  as schedule
        """Schedule a flow."""
        return await self.scheduler.schedule(flow, id=id, **options)

    async def signal(self, name: str, payload: object = None, *, to: str | None = None, key: str | None = None) -> None:
        """Send a signal, once: its dedupe id is `key`, or else made of what it says."""
        key = key or f"{to} {payload}"
        if to is None:
            await self.scheduler.signal(name, payload, id=key)
        else:
            await self.scheduler.handle(to).signal(name, payload, id=key)

    async def cancel(self, flow: str) -> None:
        """Cancel a flow, unless it has ended."""
        await self.scheduler.handle(flow).cancel()

    async def retry(self, flow: str = "f", **options: Any) -> None:
        """Retry a flow, or free it, as long as it stands still."""
        while (row := self.row(flow)) is not None and row.status in (Status.FAILED, Status.BLOCKED, Status.CANCELLED):
            try:
                await self.scheduler.retry(flow, **options)
            except OperatorRefused:  # it has moved on meanwhile
                await self.sleep(0.5)
            else:
                return

    async def fork(self, flow: str, step: str, name: str, **options: Any) -> None:
        """Fork a flow, unless that has been done to its end."""
        while (row := self.row(name)) is None or row.status is Status.BLOCKED:
            try:
                await self.scheduler.fork(flow, from_step=step, id=name, **options)
            except OperatorRefused:
                await self.sleep(0.5)

    # --- looking, and waiting
    def row(self, flow: str = "f") -> FlowRow | None:
        return self.world.core.do("get", flow)

    def received(self, flow: str = "f") -> list[object]:
        """The signals that a flow has recorded."""
        entries = [record.entry for record in self.world.effects.journal(flow)]
        return [json.loads(entry.value) for entry in entries if isinstance(entry, SignalReceived)]

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, look: Callable[[], object]) -> None:
        """Wait until it is so."""
        while not look():
            await asyncio.sleep(LOOK)

    async def catch(self, look: Callable[[], object]) -> None:
        """Wait until it is so, and lose no time; but not for long."""
        for _ in range(200):
            if look():
                return
            await asyncio.sleep(LOOK / 40)

    async def stands(self, status: Status, flow: str = "f") -> None:
        """Wait until the flow has this status, or has ended."""
        await self.until(lambda: (row := self.row(flow)) and (row.status is status or row.status.ended))

    async def waits(self, channel: str, flow: str = "f") -> None:
        """Wait until the flow waits on this channel, or stands still."""

        def look() -> bool:
            row = self.row(flow)
            return row is not None and (over(row) or any(wait.channel == channel for wait in row.waits))

        await self.until(look)

    async def begun(self, step: str, flow: str = "f") -> None:
        """Wait until a body of this step has begun, or the flow stands still."""

        def look() -> bool:
            row = self.row(flow)
            begun = any((effect.flow, effect.key) == (flow, step) for effect in self.world.effects.all)
            return begun or (row is not None and over(row))

        await self.until(look)

    # --- the world around
    def mark(self, name: str) -> None:
        """Change the world outside: flow code may look for marks, as a new version of it would differ."""
        self.world.effects.marks.add(name)

    async def once(self, name: str, act: Callable[[], Awaitable[None] | None]) -> None:
        """Do something that is done by hand, once."""
        if name not in self.world.effects.marks:
            self.mark(name)
            if (work := act()) is not None:
                await work

    def kill(self, slot: int = 0) -> None:
        """Kill a worker; another starts in its place."""
        self.world.kill(self.world.slots[slot].process)

    async def replace(self, slot: int = 0, fingerprint: str | None = None, *, abort: bool = False) -> None:
        """Drain a worker, or stop it at once, and start another in its place, which may run other code."""
        place = self.world.slots[slot]
        if fingerprint is not None:
            place.fingerprint = fingerprint
        await self.world.stop(place, RunningWorker.abort if abort else RunningWorker.shutdown)
        self.world.boot(place)


def over(row: FlowRow) -> bool:
    """Whether a flow goes on only if a person does something."""
    return row.status.ended or row.status is Status.BLOCKED
