"""The Redis store of a simulation: the product's own store and scripts, on a real server, over a blocking connection.

The store's coroutines are run to their ends on the spot, since nothing in them waits. The scripts take virtual time
where they would read the server's clock, and count where they would ring the bell.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import redis

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
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record
from ergon_runtime.stores.redis import scripts
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.rows import Argument
from ergon_runtime.stores.redis.scripts import Script
from ergon_runtime.stores.redis.store import SCHEMA, RedisStore
from tests.redis_server import shared_server

T = TypeVar("T")

TIME = "redis.call('TIME')"
VIRTUAL = "redis.call('HMGET', P .. 'virtual', 'seconds', 'micros')"
RING = "redis.call('PUBLISH', P .. 'bell', '')"
COUNT = "redis.call('HINCRBY', P .. 'virtual', 'rings', 1)"
"""What stands in the scripts, and what stands there instead."""
NAME = "simulated"
"""Of the namespace and of the store."""
DATABASE = 1
"""Of the shared server: simulations have it for themselves, one after the other."""


@cache
def connection() -> redis.Redis:
    """The one connection of this process."""
    return redis.Redis(unix_socket_path=str(shared_server().socket), db=DATABASE, protocol=2)


@cache
def loaded(script: Script) -> str:
    """The SHA-1 by which the server knows a script in virtual time."""
    text = script.text.replace(TIME, VIRTUAL).replace(RING, COUNT)
    assert VIRTUAL in text
    assert COUNT in text
    sha: Any = connection().script_load(text)
    return str(sha)


class _InlineStore(RedisStore):
    """The store, on the connection of this process instead of its own."""

    def __init__(self, clock: Callable[[], int], token: Callable[[], str]) -> None:
        super().__init__(parse_redis(f"unix:///simulated?namespace={NAME}"), token=token)
        self._virtual_clock = clock
        self.rings = 0
        """How often something changed that somebody may wait for."""
        connection().flushdb()
        loaded.cache_clear()  # another test of this process may have flushed the server's scripts since
        self._call(scripts.OPEN, (), (SCHEMA, NAME, "0", "run"))

    async def _write(self, script: Script, *args: Argument) -> Any:
        return self._call(script, (self._prefix + NAME,), args)

    async def _read(self, script: Script, *args: Argument) -> Any:
        return self._call(script, (self._prefix + NAME,), args)

    def _call(self, script: Script, store: tuple[str, ...], args: Sequence[Argument]) -> Any:
        keys = self._prefix, *store
        seconds, millis = divmod(self._virtual_clock(), 1000)
        clock = self._prefix + "virtual"
        pipe = connection().pipeline(transaction=False)
        pipe.hset(clock, mapping={"seconds": seconds, "micros": millis * 1000})
        pipe.evalsha(loaded(script), len(keys), *keys, "", *args)
        pipe.hget(clock, "rings")
        _, answer, rings = pipe.execute()
        self.rings = int(rings or 0)
        return answer


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for something")


class _Calls:
    """The store's operations, synchronous."""

    def __init__(self, store: _InlineStore) -> None:
        self._store = store

    @property
    def stirred(self) -> int:
        return self._store.rings

    def create(self, flow: NewFlow) -> bool:
        return at_once(self._store.create(flow))

    def claim(self, request: ClaimRequest) -> Claims:
        return at_once(self._store.claim(request))

    def commit(self, commit: Commit) -> CommitReply:
        return at_once(self._store.commit(commit))

    def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return at_once(self._store.extend(leases, length, beat))

    def send(self, send: Send) -> bool:
        return at_once(self._store.send(send))

    def get(self, flow_id: str) -> FlowRow | None:
        return at_once(self._store.get(flow_id))

    def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return at_once(self._store.journal(flow_id, start, limit))

    def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return at_once(self._store.list(query))

    def workers(self) -> builtins.list[WorkerRow]:
        return at_once(self._store.workers())

    def heard(self, worker: str, since: int) -> tuple[frozenset[str], int]:
        counter, flows = at_once(self._store._read(scripts.HEARD, worker, since))
        return frozenset(flow.decode() for flow in flows), counter

    def prune(self, before: int) -> int:
        return at_once(self._store.prune(before))

    def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        return at_once(self._store.records(kind, after, limit))

    def restore(self, piece: Record | JournalPart) -> None:
        at_once(self._store.restore(piece))


class RedisBooks:
    """The Redis store, on a server that this process has for itself."""

    def __init__(self, clock: Callable[[], int], token: Callable[[], str]) -> None:
        self.core = _Calls(_InlineStore(clock, token))

    def token(self, flow: str) -> str | None:
        found: Any = connection().hget(f"{{{NAME}}}:f:{flow}", "token")
        return None if found is None else found.decode()

    def close(self) -> None:
        connection().flushdb()
