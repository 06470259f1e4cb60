"""Stores and step bodies without threads, for virtual time: a store's synchronous core called on the loop itself, and
an executor that runs what it is given at once."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

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
from ergon_runtime.stores.bell import Bell, Told
from ergon_runtime.stores.contract import StoreIdentity
from tests.runtime.rigs import store_clock
from tests.simulation.books import Core

P = ParamSpec("P")
T = TypeVar("T")


class Death:
    """Kills a worker at its commit number `at`, counted from 1: it hangs before or after that is applied, and so does
    whatever the worker asks of its store from then on."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.at, self.after, self.commits = at, after, 0
        self.died = asyncio.Event()

    async def ask(self, work: Callable[[], T], *, commit: bool = False) -> T:
        self.commits += commit
        dies = commit and self.commits == self.at
        if self.died.is_set() or (dies and not self.after):
            await self._hang()
        answer = work()
        if dies:
            await self._hang()
        return answer

    async def _hang(self) -> None:
        self.died.set()
        await asyncio.Event().wait()


class CoreStore:
    """A handle on a store's core."""

    def __init__(self, core: Core, bell: Bell | None = None, death: Death | None = None) -> None:
        self.core, self._bell, self._death, self._told = core, bell or Bell(), death or Death(), Told()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def clone(self) -> CoreStore:
        return CoreStore(self.core, self._bell, self._death)

    def mortal(self, death: Death) -> CoreStore:
        """A handle for a worker that will die."""
        return CoreStore(self.core, self._bell, death)

    async def identity(self) -> StoreIdentity:
        return StoreIdentity(id="core", url="core://", hash_seed="0", durability="none")

    async def create(self, flow: NewFlow) -> bool:
        return await self._ask(lambda: self.core.create(flow))

    async def claim(self, request: ClaimRequest) -> Claims:
        return await self._ask(lambda: self.core.claim(request))

    async def commit(self, commit: Commit) -> CommitReply:
        return await self._ask(lambda: self.core.commit(commit), commit=True)

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return await self._ask(lambda: self.core.extend(leases, length, beat))

    async def send(self, send: Send) -> bool:
        return await self._ask(lambda: self.core.send(send))

    async def get(self, flow_id: str) -> FlowRow | None:
        return self.core.get(flow_id)

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return self.core.journal(flow_id, start, limit)

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return self.core.list(query)

    async def workers(self) -> builtins.list[WorkerRow]:
        return self.core.workers()

    async def now(self) -> int:
        return store_clock()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        strokes, heard = self._told.get(worker)
        await self._bell.wait(strokes, timeout)
        strokes = self._bell.strokes
        news, heard = self.core.heard(worker, heard)
        self._told.note(worker, strokes, heard)
        return news

    async def prune(self, before: int) -> int:
        return self.core.prune(before)

    async def _ask(self, work: Callable[[], T], *, commit: bool = False) -> T:
        stirred = self.core.stirred
        try:
            return await self._death.ask(work, commit=commit)
        finally:
            if self.core.stirred != stirred:
                self._bell.ring()


class InlineExecutor(Executor):
    """Runs a function when it is submitted, in the thread that submits it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future
