"""MemoryStore: the contract over a MemoryState, for tests and for flows that need not survive the process.

A thin shell: one lock around the state, which clones share across threads and loops, and a bell for those who wait.
"""

from __future__ import annotations

import builtins
import threading
from collections.abc import Mapping, Sequence

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
from ergon_runtime.stores import rules
from ergon_runtime.stores.bell import Bell, Told
from ergon_runtime.stores.contract import StoreIdentity
from ergon_runtime.stores.memory.state import MemoryState
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record


class _Shared:
    """What all handles on one store have in common. As a context it is one transaction; it rings when it is over."""

    def __init__(self, state: MemoryState) -> None:
        self.state = state
        self.bell = Bell()
        self._lock = threading.Lock()
        self._stirred = 0

    def __enter__(self) -> MemoryState:
        self._lock.acquire()
        self._stirred = self.state.stirred
        return self.state

    def __exit__(self, *_: object) -> None:
        stirred = self.state.stirred > self._stirred
        self._lock.release()
        if stirred:
            self.bell.ring()


class MemoryStore:
    """A store in this process's memory. `clone` gives another handle on the same flows; nothing is written to disk."""

    def __init__(self, clock: rules.Clock = rules.utc_now, token: rules.TokenSource = rules.new_token) -> None:
        self._shared = _Shared(MemoryState(clock, token))
        self._told = Told()

    @property
    def state(self) -> MemoryState:
        """The state itself, for simulations and tests."""
        return self._shared.state

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: the flows live as long as any handle."""

    def clone(self) -> MemoryStore:
        """Another handle on the same flows, for another thread."""
        other = MemoryStore()
        other._shared = self._shared
        return other

    async def identity(self) -> StoreIdentity:
        return self._shared.state.identity

    async def create(self, flow: NewFlow) -> bool:
        with self._shared as state:
            return state.create(flow)

    async def claim(self, request: ClaimRequest) -> Claims:
        with self._shared as state:
            return state.claim(request)

    async def commit(self, commit: Commit) -> CommitReply:
        with self._shared as state:
            return state.commit(commit)

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        with self._shared as state:
            return state.extend(leases, length, beat)

    async def send(self, send: Send) -> bool:
        with self._shared as state:
            return state.send(send)

    async def get(self, flow_id: str) -> FlowRow | None:
        with self._shared as state:
            return state.get(flow_id)

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        with self._shared as state:
            return state.journal(flow_id, start, limit)

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        with self._shared as state:
            return state.list(query)

    async def workers(self) -> builtins.list[WorkerRow]:
        with self._shared as state:
            return state.workers()

    async def now(self) -> int:
        return self._shared.state.clock()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        """The first wait returns at once: what changed before it is not known to have been seen."""
        strokes, heard = self._told.get(worker)
        await self._shared.bell.wait(strokes, timeout)
        strokes = self._shared.bell.strokes
        with self._shared as state:
            news, heard = state.heard(worker, heard)
        self._told.note(worker, strokes, heard)
        return news

    async def prune(self, before: int) -> int:
        with self._shared as state:
            return state.prune(before)

    async def count(self, kind: Kind) -> int:
        with self._shared as state:
            return state.count(kind)

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        with self._shared as state:
            return state.records(kind, after, limit)

    async def restore(self, piece: Record | JournalPart) -> None:
        with self._shared as state:
            state.restore(piece)

    async def begin_copy(self, source: StoreIdentity) -> None:
        with self._shared as state:
            state.begin_copy(source)

    async def end_copy(self) -> None:
        with self._shared as state:
            state.end_copy()

    async def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        with self._shared as state:
            return state.add_key_check(key, check, mixed=mixed)

    async def verify(self) -> builtins.list[str]:
        with self._shared as state:
            return state.verify()
