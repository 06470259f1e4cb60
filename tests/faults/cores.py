"""The stores that faults are put before, as synchronous operations: one call is one transaction, in virtual time.

The memory store's state and SQLite's operations are called as they are. Redis is a real server: its client lives on a
loop of another thread, which the virtual loop waits for, so that no virtual time passes meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, Protocol

from ergon_runtime.stores.memory import MemoryState
from ergon_runtime.stores.sqlite import schema
from ergon_runtime.stores.sqlite.operations import Operations
from ergon_runtime.stores.sqlite.transaction import transaction

Clock = Callable[[], int]
Token = Callable[[], str]
READS = frozenset({"get", "journal", "list", "workers", "heard", "count", "records"})


class Core(Protocol):
    """A store without faults."""

    def do(self, name: str, *args: Any) -> Any:
        """An operation of the store contract, by its name; also `heard`."""
        ...

    def token(self, flow: str) -> str | None:
        """The token of the flow's lease, now."""
        ...

    def close(self) -> None: ...


class MemoryCore:
    """The memory store."""

    def __init__(self, clock: Clock, token: Token) -> None:
        self._state = MemoryState(clock, token)

    def do(self, name: str, *args: Any) -> Any:
        return getattr(self._state, name)(*args)

    def token(self, flow: str) -> str | None:
        return self._state.flows[flow].token if flow in self._state.flows else None

    def close(self) -> None:
        """Nothing to do."""


class SQLiteCore:
    """The SQLite store's operations, on a connection in memory."""

    def __init__(self, clock: Clock, token: Token) -> None:
        self._conn = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        self._conn.execute("BEGIN IMMEDIATE")
        schema.migrate(self._conn, ":memory:")
        self._conn.execute("COMMIT")
        self._operations = Operations(self._conn, clock, token)

    def do(self, name: str, *args: Any) -> Any:
        if name in READS:
            return getattr(self._operations, name)(*args)
        if name == "claim" and (nothing := self._operations.peek(*args)) is not None:
            return nothing
        with transaction(self._conn):
            return getattr(self._operations, name)(*args)

    def token(self, flow: str) -> str | None:
        row = self._conn.execute("SELECT token FROM flow WHERE id = ?", (flow,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self._conn.close()


class RedisCore:
    """The Redis store on a real server, in a namespace of its own."""

    def __init__(self, clock: Clock, token: Token) -> None:
        from ergon_runtime.stores.redis.address import parse_redis
        from ergon_runtime.stores.redis.store import RedisStore
        from tests.redis_server import shared_server

        self._space, self._raw = secrets.randbits(64).to_bytes(8).hex(), _raw(shared_server().url)
        address = parse_redis(f"{shared_server().url}?db=2&namespace={self._space}")
        self._store = RedisStore(address, clock=clock, token=token)
        self._wait(self._store.open())

    def do(self, name: str, *args: Any) -> Any:
        if name == "heard":  # hints of another process come some time or other, and nothing depends on them
            return frozenset(), 0
        return self._wait(getattr(self._store, name)(*args))

    def token(self, flow: str) -> str | None:
        found = self._raw.hget(f"{{{self._space}}}:f:{flow}", "token")
        return None if found is None else found.decode()

    def close(self) -> None:
        self._wait(self._store.close())
        self._raw.flushdb()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, _far_loop()).result(60)


CORES: dict[str, Callable[[Clock, Token], Core]] = {"memory": MemoryCore, "sqlite": SQLiteCore, "redis": RedisCore}


@cache
def _far_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="faults-redis", daemon=True).start()
    return loop


@cache
def _raw(url: str) -> Any:
    from redis import Redis

    return Redis.from_url(f"{url}?db=2")
