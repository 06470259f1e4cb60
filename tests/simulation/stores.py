"""ChaosStore: the store as a worker sees it on a bad day. Every call is slow; the worker may be killed or frozen in it,
before or after it is applied; its answer may be lost, it may fail unapplied, and a copy of it may arrive much later.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections import Counter
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
from tests.simulation.options import Options
from tests.stores.never_copied import NeverCopied

T = TypeVar("T")


class Weather(Protocol):
    """What a store needs of the simulation around it."""

    loop: SimLoop
    random: Random
    stats: Counter[str]
    lease: float
    """Seconds."""
    options: Options

    @property
    def core(self) -> Core:
        """The store's core; commits and claims pass the auditors first."""
        ...

    def stormy(self, chance: float, kind: str) -> bool:
        """Whether something of this kind happens now that has this chance in a storm."""
        ...

    def count(self, what: str) -> None: ...
    def kill(self, process: Process) -> None: ...
    def clock(self) -> int: ...


class Pipe:
    """Calls that arrive together, one after the other. The connection may break between two of them: those before it
    were applied, and their answers are lost; those after it were not."""

    def __init__(self, weather: Weather) -> None:
        self.arrives = weather.loop.now + weather.random.random() * 0.03
        self.calls, self.lost = 0, False
        self._breaks = weather.random.randint(1, 4) if weather.stormy(0.05, "lost replies") else 0

    def cut(self, weather: Weather) -> bool:
        """Whether the next call finds the connection broken."""
        self.calls += 1
        if self.calls == self._breaks:
            weather.count("pipelines cut")
            self.lost = True
        return self.lost


class Hints:
    """Tells the processes that something may have changed: late, and not always. Also has their pipelines."""

    def __init__(self) -> None:
        self.bells: dict[Process, asyncio.Event] = {}
        self._pipes: dict[Process, Pipe] = {}
        self.last_commit: tuple[float, str] | None = None
        """When and whose it was."""

    def pipe(self, process: Process, weather: Weather) -> Pipe:
        """The one that leaves next."""
        pipe = self._pipes.get(process)
        if pipe is None or pipe.arrives <= weather.loop.now:
            pipe = self._pipes[process] = Pipe(weather)
        return pipe

    def forget(self, process: Process) -> None:
        """It is dead."""
        self.bells.pop(process, None)
        self._pipes.pop(process, None)

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
        return await self._call(lambda core: self._commit(core, commit), again=True)

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
        self._refuse()
        return self._weather.clock()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        self._refuse()
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
        weather, random = self._weather, self._weather.random
        pipe = await self._travel()
        if pipe is not None and pipe.cut(weather):
            raise StoreUnavailable("simulated: the pipeline was cut")
        if weather.stormy(0.01, "kills"):
            await self._die()
        if weather.stormy(0.02, "pauses"):
            weather.count("pauses")
            self._process.freeze(weather.loop.now, weather.lease * random.uniform(0.5, 2))
            await asyncio.sleep(0.001)
        self._refuse()
        answer = self._apply(work)
        if weather.stormy(0.01, "kills"):
            await self._die()
        if again and weather.stormy(0.03, "late duplicates"):
            weather.count("late duplicates")
            weather.loop.post(None, random.randint(10, 3000) / 1000, self._quietly, work)
        if weather.stormy(0.03, "lost replies"):
            weather.count("lost replies")
            rare = weather.lease * 2 if random.random() < 0.1 else 0.1
            await asyncio.sleep(random.choice([0.05, 0.5, rare]))
            raise StoreUnavailable("simulated: the answer was lost")
        if weather.stormy(0.015, "slow calls"):
            weather.count("slow answers")
            await asyncio.sleep(random.uniform(0.1, 1.2) * weather.lease)
        elif pipe is not None or random.random() < 0.5:
            await asyncio.sleep(random.random() * 0.03)
        if pipe is not None and pipe.lost:
            raise StoreUnavailable("simulated: the pipeline's answers were lost")
        return answer

    def _refuse(self) -> None:
        if self._weather.stormy(0.01, "refused calls"):
            self._weather.count("refused calls")
            raise StoreUnavailable("simulated: refused")

    def _commit(self, core: Core, commit: Commit) -> CommitReply:
        here = self._weather.loop.now, self._process.name
        self._weather.stats["commits in a pipeline"] += here == self._hints.last_commit
        self._hints.last_commit = here
        return core.commit(commit)

    async def _travel(self) -> Pipe | None:
        """On the way to the store. In a pipeline, what a process asks within some time arrives together."""
        weather = self._weather
        if weather.stormy(0.01, "slow calls"):
            weather.count("slow calls")
            await asyncio.sleep(weather.random.uniform(0.1, weather.lease))
        if not weather.options.pipelined:
            await asyncio.sleep(weather.random.random() * 0.015)
            return None
        pipe = self._hints.pipe(self._process, weather)
        await asyncio.sleep(max(0.0, pipe.arrives - weather.loop.now))
        return pipe

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
