"""ChaosStore: the store as a worker sees it on a bad day. Every call is slow; the worker may be killed or frozen in it,
before or after it is applied; its answer may be lost, it may fail unapplied, and a copy of it may arrive much later.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Protocol, TypeVar

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
from ergon_runtime.stores.records import JournalPart, Record
from tests.simulation.books import Core
from tests.simulation.loop import Process, SimLoop
from tests.stores.never_copied import NeverCopied

T = TypeVar("T")


class Weather(Protocol):
    """What a store needs of the simulation around it."""

    loop: SimLoop
    random: Random
    lease: float
    """Seconds."""

    @property
    def core(self) -> Core:
        """The store's core; commits and claims pass the auditors first."""
        ...

    def stormy(self, chance: float) -> bool:
        """Whether something happens now that has this chance in a storm."""
        ...

    def count(self, what: str) -> None: ...
    def kill(self, process: Process) -> None: ...
    def clock(self) -> int: ...


class Hints:
    """Tells the processes that something may have changed: late, and not always."""

    def __init__(self) -> None:
        self.bells: dict[Process, asyncio.Event] = {}

    def spread(self, weather: Weather) -> None:
        """Something has changed."""
        for process, bell in list(self.bells.items()):
            if weather.random.random() < 0.5:
                weather.loop.post(process, weather.random.randint(0, 30) / 1000, bell.set)


class InOrder(frozenset[str]):
    """Ids that are gone through alike under every hash seed."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))


class ChaosStore(NeverCopied):
    """A handle of one process on the store."""

    def __init__(self, weather: Weather, process: Process, hints: Hints) -> None:
        self._weather, self._process, self._hints = weather, process, hints
        self._heard = 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def clone(self) -> ChaosStore:
        return ChaosStore(self._weather, self._process, self._hints)

    async def identity(self) -> StoreIdentity:
        return StoreIdentity(id="simulated", url="simulation://", hash_seed="0", durability="none")

    async def create(self, flow: NewFlow) -> bool:
        return await self._call(lambda core: core.create(flow), again=True)

    async def claim(self, request: ClaimRequest) -> Claims:
        return await self._call(lambda core: core.claim(request))

    async def commit(self, commit: Commit) -> CommitReply:
        return await self._call(lambda core: core.commit(commit), again=True)

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return await self._call(lambda core: core.extend(leases, length, beat))

    async def send(self, send: Send) -> bool:
        return await self._call(lambda core: core.send(send), again=True)

    async def get(self, flow_id: str) -> FlowRow | None:
        return await self._call(lambda core: core.get(flow_id))

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return await self._call(lambda core: core.journal(flow_id, start, limit))

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return await self._call(lambda core: core.list(query))

    async def workers(self) -> builtins.list[WorkerRow]:
        return await self._call(lambda core: core.workers())

    async def now(self) -> int:
        return self._weather.clock()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        bell = self._hints.bells.setdefault(self._process, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # wait_for of Python 3.11 may swallow a cancel
                await bell.wait()
        bell.clear()
        news, self._heard = self._weather.core.heard(worker, self._heard)
        return InOrder(news) if self._weather.random.random() < 0.8 else frozenset()

    async def restore(self, piece: Record | JournalPart) -> None:
        await self._call(lambda core: core.restore(piece), again=True)

    async def prune(self, before: int) -> int:
        return await self._call(lambda core: core.prune(before))

    async def _call(self, work: Callable[[Core], T], *, again: bool = False) -> T:
        """One call over the network; `again`: it is idempotent, so that a copy of it may arrive late."""
        weather = self._weather
        random = weather.random
        await asyncio.sleep(random.random() * 0.015)
        if weather.stormy(0.01):
            await self._die()
        if weather.stormy(0.02):
            weather.count("pauses")
            self._process.freeze(weather.loop.now, weather.lease * random.uniform(0.5, 2))
            await asyncio.sleep(0.001)
        if weather.stormy(0.01):
            weather.count("refused calls")
            raise StoreUnavailable("simulated: refused")
        answer = self._apply(work)
        if weather.stormy(0.01):
            await self._die()
        if again and weather.stormy(0.03):
            weather.count("late duplicates")
            weather.loop.post(None, random.randint(10, 3000) / 1000, self._quietly, work)
        if weather.stormy(0.03):
            weather.count("lost replies")
            rare = weather.lease * 2 if random.random() < 0.1 else 0.1
            await asyncio.sleep(random.choice([0.05, 0.5, rare]))
            raise StoreUnavailable("simulated: the answer was lost")
        if random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.03)
        return answer

    def _apply(self, work: Callable[[Core], T]) -> T:
        core = self._weather.core
        before = core.stirred
        try:
            return work(core)
        finally:
            if core.stirred != before:
                self._hints.spread(self._weather)

    def _quietly(self, work: Callable[[Core], object]) -> None:
        try:
            self._apply(work)
        except StoreError:
            return

    async def _die(self) -> None:
        self._weather.kill(self._process)
        await asyncio.get_running_loop().create_future()
