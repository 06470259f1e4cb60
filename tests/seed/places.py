"""What the tests of this folder share: stores, workers on them, workers that die, waiting.

The tests here hold the defects, each proven there, of the library that Ergon starts from: d01 to d29. Each shows the
right behaviour; its first line says what went wrong. Those that need no process of their own run on every store in
STORES.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime import RunningWorker, Scheduler, Store, StoreUnavailable, Worker, open_store
from ergon_runtime.core.entries import unpack
from ergon_runtime.core.flows import Beat, ClaimRequest, Claims, Commit, CommitReply, FlowRow, Lease, Message
from tests.redis_server import new_namespace

STORES = ("memory", "sqlite", "redis")
"""The kinds of stores on which the tests run."""
PATIENCE = 60.0
"""Seconds after which a test has failed."""
LEASE = 0.8
"""Seconds that a dead worker's flows stay with it."""

Scenario = Callable[[Store], Awaitable[None]]


def address(kind: str, folder: Path) -> str:
    """Where no store is yet."""
    match kind:
        case "memory":
            return "memory://"
        case "redis":
            return new_namespace()
        case _:
            return f"sqlite:///{folder}/ergon.db"


def on_each_store(scenario: Scenario) -> Callable[[str, Path], None]:
    """Make a test of an async scenario, run once per kind of store."""

    @pytest.mark.parametrize("kind", STORES)
    def test(kind: str, tmp_path: Path) -> None:
        async def main() -> None:
            async with asyncio.timeout(PATIENCE), open_store(address(kind, tmp_path)) as store:
                await scenario(store)

        asyncio.run(main())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test


@asynccontextmanager
async def working(store: Store, *flows: object, **settings: Any) -> AsyncIterator[RunningWorker]:
    """A worker that serves these flows until the end of the block."""
    worker = await Worker(store, **settings).register(*flows).start()
    try:
        yield worker
    finally:
        await worker.shutdown()


async def run_all(store: Store, *flows: Any, serve: Sequence[object], **settings: Any) -> list[Any]:
    """Schedule flows, run them in one worker, and give their results."""
    handles = [await Scheduler(store).schedule(each) for each in flows]
    async with working(store, *serve, **settings):
        return [await handle.result() for handle in handles]


async def row_of(store: Store, flow_id: str) -> FlowRow:
    row = await store.get(flow_id)
    assert row is not None
    return row


async def stands(store: Store, flow_id: str, status: str) -> FlowRow:
    """Wait until the flow has this status."""
    await until(lambda: _has(store, flow_id, status))
    return await row_of(store, flow_id)


async def _has(store: Store, flow_id: str, status: str) -> bool:
    return (await row_of(store, flow_id)).status == status


async def asked_for(store: Store, flow_id: str) -> None:
    """Wait until the flow has asked for its timer; it waits, or is over already where the machine is slow."""
    await until(lambda: _is_past(store, flow_id))


async def _is_past(store: Store, flow_id: str) -> bool:
    return (await row_of(store, flow_id)).status in ("waiting", "completed")


async def listens(store: Store, flow_id: str, channel: str) -> None:
    """Wait until the flow waits on a channel, and no worker holds it."""

    async def there() -> bool:
        row = await row_of(store, flow_id)
        return row.status == "waiting" and any(wait.channel == channel for wait in row.waits)

    await until(there)


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Let others run until the condition holds; the test's deadline bounds it."""
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        await asyncio.sleep(0.005)


async def kinds(store: Store, flow_id: str) -> list[str]:
    """The journal in short: `kind key` of each entry but the first."""
    rows = await store.journal(flow_id, 0, 1000)
    return [f"{unpack(row, seq).entry.kind} {unpack(row, seq).entry.key}" for seq, row in enumerate(rows)][1:]


class Mortal:
    """A worker's handle on a store; the worker dies at its commit number `at`, before or after that is applied, as by
    kill -9: nothing of it reaches the store from then on. 0: never."""

    def __init__(self, store: Store, at: int = 0, *, after: bool = False) -> None:
        self._store, self._at, self._after = store, at, after
        self.commits: list[Commit] = []
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim(self, request: ClaimRequest) -> Claims:
        await self._alive()
        return await self._store.claim(request)

    async def commit(self, commit: Commit) -> CommitReply:
        await self._alive()
        self.commits.append(commit)
        if len(self.commits) == self._at:
            if self._after:
                await self._store.commit(commit)
            self.dead = True
            await self._alive()
        return await self._store.commit(commit)

    def clone(self) -> Any:
        return _Renewals(self._store.clone(), self)

    async def _alive(self) -> None:
        if self.dead:
            await asyncio.Event().wait()


class _Renewals:
    """The handle on which leases are renewed, in a thread of its own."""

    def __init__(self, store: Store, owner: Mortal) -> None:
        self._store, self._owner = store, owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        if self._owner.dead:
            raise StoreUnavailable("this worker is dead")
        return await self._store.extend(leases, length, beat)


async def die_at_each_commit(store: Store, life: Callable[[Any, int], Awaitable[None]]) -> int:
    """Play a life again and again, its worker dying at the first commit, at the second, and so on until it outlives
    the flow; each time before the commit is applied and after. How many deaths there were."""
    deaths = 0
    for at in range(1, 100):
        before = deaths
        for after in (False, True):
            mortal = Mortal(store, at, after=after)
            await life(mortal, deaths)
            deaths += mortal.dead
        if deaths == before:
            return deaths
    raise AssertionError("the flow never ends")
