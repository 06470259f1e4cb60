"""Behind sentinels: asks once a second who the master is, so that one that was replaced is left at once.

The old master may live on, take writes and acknowledge them for many seconds before it learns that it is replaced; what
it is told then is lost. A new connection would find the new one, so it is enough to leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from ergon_runtime.errors import StoreError
from ergon_runtime.stores.redis.link import Link
from ergon_runtime.stores.redis.servers import Servers

EVERY = 1.0
"""Seconds."""


class Succession:
    """Has the links connect anew when another server serves the address than the one connected to last."""

    def __init__(self, servers: Servers, links: Sequence[Link], every: float = EVERY) -> None:
        self._servers, self._links, self._every = servers, links, every
        self._task: asyncio.Task[None] | None = None
        if servers.address.kind == "sentinel":
            self._task = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Stop asking."""
        while self._task is not None and not self._task.done():  # a cancel that meets a timeout in redis-py is lost
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            with suppress(RedisError, OSError, StoreError):  # the next look may do better
                if await self._servers.moved():
                    for link in self._links:
                        link.leave()
