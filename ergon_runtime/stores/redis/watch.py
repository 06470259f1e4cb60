"""Hears the store's bell over a connection of its own and rings for those who wait here.

Only a hint: when the connection fails, waits end by their timeouts, and it is opened again.
"""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ergon_runtime.stores.bell import Bell

AGAIN = 0.5
"""Seconds between two tries to connect."""


class Watch:
    """Listens from the first wait on."""

    def __init__(self, client: Redis, channel: str) -> None:
        self.bell = Bell()
        self._client, self._channel = client, channel
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        self._closed = True
        while not self._task.done():  # a cancel that meets a timeout in redis-py is lost
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)
        await self._client.aclose()

    async def _listen(self) -> None:
        while not self._closed:
            heard = self._client.pubsub()
            try:
                await heard.subscribe(self._channel)
                async for _ in heard.listen():
                    self.bell.ring()
            except (RedisError, OSError):
                self.bell.ring()  # something may have been missed
                await asyncio.sleep(AGAIN)
            finally:
                await heard.aclose()
