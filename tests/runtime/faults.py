"""A memory store that goes wrong when it is told to: calls refused, answers lost, leases stolen, its worker dead."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from ergon_runtime.core.flows import Beat, ClaimRequest, Claims, Commit, CommitReply, Lease, Message
from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.memory import MemoryState, MemoryStore

T = TypeVar("T")


class Faults:
    """Calls are counted from 1. `plan` maps a call to what goes wrong: `refused`, `unanswered`, the worker `dead
    before` or `dead after` it is applied, or all its leases `stolen`; or to a function that is called first."""

    def __init__(self) -> None:
        self.plan: dict[int, str | Callable[[], object]] = {}
        self.counted: tuple[str, ...] = ("claim", "commit", "extend", "journal", "wait")
        self.calls: list[str] = []
        self.commits: list[Commit] = []
        self.died = asyncio.Event()

    async def around(self, name: str, state: MemoryState, work: Callable[[], T]) -> T:
        if self.died.is_set():
            await asyncio.Event().wait()
        fault: str | Callable[[], object] | None = None
        if name in self.counted:
            self.calls.append(name)
            fault = self.plan.get(len(self.calls))
        if callable(fault):
            fault()
        elif fault == "refused":
            raise StoreUnavailable("refused")
        elif fault == "stolen":
            steal(state)
        elif fault == "dead before":
            await self._die()
        answer = work()
        if fault == "unanswered":
            raise StoreUnavailable("the answer was lost")
        if fault == "dead after":
            await self._die()
        return answer

    async def _die(self) -> None:
        self.died.set()
        await asyncio.Event().wait()


def steal(state: MemoryState) -> None:
    """Somebody else has claimed all flows."""
    for row in state.flows.values():
        if row.token is not None:
            row.token = "the thief's"


class FaultyStore(MemoryStore):
    """A worker's handle on another memory store."""

    def __init__(self, store: MemoryStore, faults: Faults) -> None:
        super().__init__()
        self._shared, self.faults = store._shared, faults

    def clone(self) -> FaultyStore:
        return FaultyStore(self, self.faults)

    async def claim(self, request: ClaimRequest) -> Claims:
        return await self.faults.around("claim", self.state, lambda: self.state.claim(request))

    async def commit(self, commit: Commit) -> CommitReply:
        self.faults.commits.append(commit)
        reply = await self.faults.around("commit", self.state, lambda: self.state.commit(commit))
        self._shared.bell.ring()
        return reply

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return await self.faults.around("extend", self.state, lambda: self.state.extend(leases, length, beat))

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return await self.faults.around("journal", self.state, lambda: self.state.journal(flow_id, start, limit))

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        await self.faults.around("wait", self.state, lambda: None)
        return await super().wait(worker, timeout)
