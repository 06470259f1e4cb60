"""Hears the store's bell over a connection of its own and rings for those who wait here.

Only a hint: when the connection fails, waits end by their timeouts, and it is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ergon_runtime.stores.bell import Bell

AGAIN = 0.5
"""Seconds between two tries to connect."""


class Watch:
    """Listens from the first wait on."""

    def __init__(self, connect: Callable[[], Awaitable[Redis]], channel: str) -> None:
        self.bell = Bell()
        self._connect, self._channel = connect, channel
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        self._closed = True
        while not self._task.done():  # a cancel that meets a timeout in redis-py is lost
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    async def _listen(self) -> None:
        while not self._closed:
            try:
                client = await self._connect()
                try:
                    await self._hear(client)
                finally:
                    await client.aclose()
            except (RedisError, OSError):
                self.bell.ring()  # something may have been missed
                await asyncio.sleep(AGAIN)

    async def _hear(self, client: Redis) -> None:
        heard = client.pubsub()
        try:
            await heard.subscribe(self._channel)
            async for _ in heard.listen():
                self.bell.ring()
        finally:
            await heard.aclose()
