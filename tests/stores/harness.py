"""What store tests share: a clock that the test moves, a store of each kind, and short words for the usual steps."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime.core.flows import (
    Claim,
    ClaimRequest,
    Claims,
    Commit,
    CommitReply,
    FlowRow,
    Message,
    NewFlow,
    Send,
    Status,
)
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.store import RedisStore
from ergon_runtime.stores.sqlite import SQLiteStore
from tests.encryption import as_told, encrypted
from tests.redis_groups import shared_cluster
from tests.redis_server import shared_server

LANE = "default:T:"
LEASE = 1000
KINDS = ("memory", "sqlite", "redis", "cluster", "encrypted")
"""`encrypted` is one in memory."""


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


def make_store(kind: str, folder: Path, clock: Clock, token: Callable[[], str] | None = None) -> Store:
    store = _plain_store(kind, folder, clock, token or map("t{}".format, itertools.count()).__next__)
    return encrypted(store) if kind == "encrypted" else as_told(store)


def _plain_store(kind: str, folder: Path, clock: Clock, source: Callable[[], str]) -> Store:
    match kind:
        case "memory" | "encrypted":
            return MemoryStore(clock, source)
        case "redis":
            address = parse_redis(f"{shared_server().url}?namespace={secrets.token_hex(8)}")
            return RedisStore(address, clock=clock, token=source)
        case "cluster":
            address = parse_redis(f"redis+cluster://{shared_cluster().hosts}?namespace={secrets.token_hex(8)}")
            return RedisStore(address, clock=clock, token=source)
        case _:
            return SQLiteStore(folder / "store.db", clock=clock, token=source)


def new(flow_id: str = "a", **changes: Any) -> NewFlow:
    plain: dict[str, Any] = {"type": "T", "version": None, "lane": LANE, "args": b"{}", "seed": "seed"}
    return NewFlow(id=flow_id, **(plain | changes))


def signal(name: str, message_id: str = "m", to: str | None = None, body: bytes = b"1") -> Send:
    return Send(to, Message(message_id, f"signal:{name}", body))


def mail(to: str, channel: str, message_id: str = "m", body: bytes = b"1") -> Send:
    return Send(to, Message(message_id, channel, body))


@dataclass
class Held:
    """A claimed flow, as its owner goes on with it."""

    bench: Bench
    claim: Claim
    head: str | None = None
    length: int = 0
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def next(self, *entries: bytes, **changes: Any) -> Commit:
        """The commit that would come next."""
        number = f"{self.claim.lease.token}.{next(self.numbers)}"
        return Commit(number, self.claim.lease, self.head, self.length, LEASE, entries=entries, **changes)

    async def apply(self, commit: Commit) -> CommitReply:
        reply = await self.bench.store.commit(commit)
        self.head, self.length = commit.id, self.length + len(commit.entries)
        return reply

    async def commit(self, *entries: bytes, **changes: Any) -> CommitReply:
        return await self.apply(self.next(*entries, **changes))

    async def listen(self, *channels: str, **changes: Any) -> CommitReply:
        """Suspend until a message comes."""
        return await self.release(Status.WAITING, waits=frozenset(channels), **changes)

    async def release(self, status: Status, **changes: Any) -> CommitReply:
        return await self.commit(status=status, release=True, **changes)

    async def end(self, result: bytes = b"done", status: Status = Status.COMPLETED, **changes: Any) -> CommitReply:
        return await self.commit(status=status, release=True, result=result, **changes)


@dataclass
class Bench:
    """A store under test and its clock."""

    store: Store
    clock: Clock

    async def claims(self, worker: str = "w", **changes: Any) -> Claims:
        plain: dict[str, Any] = {"lease": LEASE, "limit": 100}
        if "ids" not in changes:
            plain["lanes"] = (LANE,)
        return await self.store.claim(ClaimRequest(worker=worker, **(plain | changes)))

    async def claimed(self, **changes: Any) -> list[str]:
        """The ids that a claim gets, in order."""
        return [claim.lease.flow for claim in (await self.claims(**changes)).claims]

    async def take(self, flow_id: str, **changes: Any) -> Held:
        """Claim one flow by id."""
        (claim,) = (await self.claims(ids=(flow_id,), **changes)).claims
        return Held(self, claim, claim.head, claim.length)

    async def begin(self, flow_id: str = "a", **changes: Any) -> Held:
        """Create a flow and claim it."""
        await self.store.create(new(flow_id, **changes))
        return await self.take(flow_id)

    async def waiting(self, flow_id: str, *channels: str) -> Held:
        """Create a flow that waits on channels."""
        held = await self.begin(flow_id)
        await held.listen(*channels)
        return held

    async def row(self, flow_id: str = "a") -> FlowRow:
        row = await self.store.get(flow_id)
        assert row is not None
        return row


Scenario = Callable[[Bench], Awaitable[None]]


def on_each_store(scenario: Scenario) -> Callable[[str, Path], None]:
    """Make a test of an async scenario, run once per kind of store."""

    @pytest.mark.parametrize("kind", KINDS)
    def test(kind: str, tmp_path: Path) -> None:
        async def run() -> None:
            clock = Clock()
            store = make_store(kind, tmp_path, clock)
            await store.open()
            try:
                await scenario(Bench(store, clock))
            finally:
                await store.close()

        asyncio.run(run())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test
