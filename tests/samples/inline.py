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
from ergon_runtime.errors import LeaseLost
from ergon_runtime.stores.bell import Bell, Told
from ergon_runtime.stores.contract import StoreIdentity
from tests.runtime.rigs import store_clock
from tests.simulation.books import Core
from tests.stores.never_copied import NeverCopied

P = ParamSpec("P")
T = TypeVar("T")


class Fate:
    """What becomes of a worker's calls: here, each is answered."""

    def __init__(self) -> None:
        self.died = asyncio.Event()

    async def ask(self, work: Callable[[], T], commit: Commit | None = None) -> T:
        return work()


class Death(Fate):
    """Kills a worker at its commit number `at`, counted from 1: it hangs before or after that is applied, and so does
    whatever the worker asks of its store from then on."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        super().__init__()
        self.at, self.after, self.commits = at, after, 0
        self.lost: tuple[Commit, Callable[[], object]] | None = None
        """The commit that was not applied, and how it would have been."""

    def __str__(self) -> str:
        when = "after" if self.after else "before"
        return f"{when} its commit {self.at}" if self.at else "never"

    async def ask(self, work: Callable[[], T], commit: Commit | None = None) -> T:
        self.commits += commit is not None
        dies = commit is not None and self.commits == self.at and not self.died.is_set()
        if commit is not None and dies and not self.after:
            self.lost = commit, work
        if self.died.is_set() or (dies and not self.after):
            await self._hang()
        answer = work()
        if dies:
            await self._hang()
        return answer

    async def _hang(self) -> None:
        self.died.set()
        await asyncio.Event().wait()


class Ghost(Fate):
    """For the worker that goes on: the dead one's lost commit arrives late, after the first commit to the same flow."""

    def __init__(self, death: Death, problems: list[str]) -> None:
        super().__init__()
        self._death, self._problems = death, problems

    async def ask(self, work: Callable[[], T], commit: Commit | None = None) -> T:
        answer, lost = work(), self._death.lost
        if lost and commit is not None and commit.lease.flow == lost[0].lease.flow:
            self._death.lost, late = None, lost[1]
            try:
                late()
            except LeaseLost:
                return answer
            self._problems.append(f"{commit.lease.flow}: a dead worker's commit was applied")
        return answer


class CoreStore(NeverCopied):
    """A handle on a store's core."""

    def __init__(self, core: Core, bell: Bell | None = None, fate: Fate | None = None) -> None:
        self.core, self._bell, self._fate, self._told = core, bell or Bell(), fate or Fate(), Told()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def clone(self) -> CoreStore:
        return self.under(self._fate)

    def under(self, fate: Fate) -> CoreStore:
        """A handle for a worker with this fate."""
        return CoreStore(self.core, self._bell, fate)

    async def identity(self) -> StoreIdentity:
        return StoreIdentity(id="core", url="core://", hash_seed="0", durability="none")

    async def create(self, flow: NewFlow) -> bool:
        return await self._ask(lambda: self.core.create(flow))

    async def claim(self, request: ClaimRequest) -> Claims:
        return await self._ask(lambda: self.core.claim(request))

    async def commit(self, commit: Commit) -> CommitReply:
        return await self._ask(lambda: self.core.commit(commit), commit)

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

    async def _ask(self, work: Callable[[], T], commit: Commit | None = None) -> T:
        stirred = self.core.stirred
        try:
            return await self._fate.ask(work, commit)
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
