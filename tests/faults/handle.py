"""A process's handle on the store. Every call is counted, and one of them, or two, goes wrong as it was planned."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ergon_runtime.core.flows import (
    Beat,
    ClaimRequest,
    Claims,
    Commit,
    CommitReply,
    FlowQuery,
    FlowRow,
    Lease,
    Message,
    NewFlow,
    Send,
    WorkerRow,
)
from ergon_runtime.errors import StoreError, StoreUnavailable
from ergon_runtime.stores.contract import StoreIdentity
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.faults.world import World

LATENCY = 0.001
"""Seconds that a call takes on its way, and its answer."""
CHANGING = frozenset({"create", "commit", "send", "restore", "prune"})


class Mode(StrEnum):
    """What happens to a call. A span is twice the lease of whoever calls."""

    REFUSED = "refused"
    """It fails, and was not applied."""
    UNANSWERED = "unanswered"
    """It is applied, and fails."""
    SILENT = "silent"
    """It is applied; there is no answer for a span, then it fails."""
    SLOW = "slow"
    """It is applied, and its answer comes a span later."""
    LATE = "late"
    """It fails, and is applied two leases of a worker later."""
    PAUSED = "paused"
    """Its process stands still for a span, and then sends it."""
    DEAD_BEFORE = "dead-before"
    """Its process dies, and starts again; it was not applied."""
    DEAD_AFTER = "dead-after"
    """Its process dies, and starts again; it was applied."""


class Handle:
    """The store, as one process of a world has it. Store identities and copies are none of its business."""

    def __init__(self, world: World, process: Process, *, counted: bool = True) -> None:
        self._world, self._process, self._counted = world, process, counted
        self._heard = 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def clone(self) -> Handle:
        return Handle(self._world, self._process)

    async def identity(self) -> StoreIdentity:
        return StoreIdentity(id="faults", url="faults://", hash_seed="0", durability="none")

    async def create(self, flow: NewFlow) -> bool:
        return await self._call("create", flow)

    async def claim(self, request: ClaimRequest) -> Claims:
        return await self._call("claim", request)

    async def commit(self, commit: Commit) -> CommitReply:
        return await self._call("commit", commit)

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return await self._call("extend", leases, length, beat)

    async def send(self, send: Send) -> bool:
        return await self._call("send", send)

    async def get(self, flow_id: str) -> FlowRow | None:
        return await self._call("get", flow_id)

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return await self._call("journal", flow_id, start, limit)

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return await self._call("list", query)

    async def workers(self) -> builtins.list[WorkerRow]:
        return await self._call("workers")

    async def now(self) -> int:
        return self._world.clock()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        bell = self._world.bells.setdefault(self._process, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # wait_for of Python 3.11 may swallow a cancel
                await bell.wait()
        bell.clear()
        news, self._heard = await self._call("heard", worker, self._heard)
        return news

    async def prune(self, before: int) -> int:
        return await self._call("prune", before)

    async def count(self, kind: Kind) -> int:
        return await self._call("count", kind)

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        return await self._call("records", kind, after, limit)

    async def restore(self, piece: Record | JournalPart) -> None:
        await self._call("restore", piece)

    async def begin_copy(self, source: StoreIdentity) -> None:
        raise NotImplementedError

    async def end_copy(self) -> None:
        raise NotImplementedError

    # --- a call, and what befalls it
    async def _call(self, name: str, *args: Any) -> Any:
        world = self._world
        if not self._counted:
            return world.apply(name, args)
        mode = world.number(self._process, name)
        await asyncio.sleep(LATENCY)
        span = world.span(self._process)
        match mode:
            case Mode.REFUSED:
                raise StoreUnavailable("planned: refused")
            case Mode.LATE:
                world.post_late(lambda: self._quietly(name, args))
                raise StoreUnavailable("planned: it seemed lost on its way")
            case Mode.PAUSED:
                self._process.freeze(world.loop.now, span)
                await asyncio.sleep(LATENCY)
            case Mode.DEAD_BEFORE:
                await self._die()
            case _:
                pass
        answer = world.apply(name, args)
        if mode is Mode.DEAD_AFTER:
            await self._die()
        await asyncio.sleep(span if mode in (Mode.SILENT, Mode.SLOW) else LATENCY)
        if mode in (Mode.UNANSWERED, Mode.SILENT):
            raise StoreUnavailable("planned: the answer was lost")
        return answer

    def _quietly(self, name: str, args: tuple[Any, ...]) -> None:
        with contextlib.suppress(StoreError):
            self._world.apply(name, args)

    async def _die(self) -> None:
        self._world.kill(self._process)
        await asyncio.get_running_loop().create_future()
