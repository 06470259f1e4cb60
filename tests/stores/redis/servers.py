"""Servers of their own for the tests of this folder, stores on them, and ways to make a server say no."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import redis as redis_py

from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.store import RedisOptions, RedisStore
from tests.redis_server import Server

T = TypeVar("T")
HASTY = RedisOptions(patience=0.3, timeout=1.0)
"""For tests that want the error, not the patience."""


@contextmanager
def server(*settings: str) -> Iterator[Server]:
    """A server that a test may treat badly: it forgets nothing when it is killed."""
    folder = Path(tempfile.mkdtemp(prefix="ergon-redis-"))
    made = Server(folder, "--appendfsync", "always", *settings)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


def command(server: Server, *parts: str | int) -> Any:
    """What the server answers to a command, over a connection of its own."""
    with redis_py.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        return client.execute_command(*parts)


@asynccontextmanager
async def opened(url: str, options: RedisOptions = HASTY, **changes: Any) -> AsyncIterator[RedisStore]:
    """A store at this address, open."""
    store = RedisStore(parse_redis(url), replace(options, **changes))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def run(main: Callable[[], Coroutine[Any, Any, T]], seconds: float = 60) -> T:
    """Run an async test, with a deadline."""

    async def bounded() -> T:
        return await asyncio.wait_for(main(), seconds)

    return asyncio.run(bounded())
