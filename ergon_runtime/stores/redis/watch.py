"""Hears the store's bell over a connection of its own and rings for those who wait here.

Only a hint: when the connection fails, waits end by their timeouts, and it is opened again. One that is silent is asked
whether it still lives, as a server that vanished without a word would be waited for in vain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as Silence

from ergon_runtime.errors import StoreError
from ergon_runtime.stores.bell import Bell
from ergon_runtime.stores.redis.faults import is_passing, understood

log = logging.getLogger(__name__)

AGAIN = 0.5
"""Seconds between two tries to connect."""
QUIET = 10.0
"""Seconds of silence after which the server is asked for a sign of life, and after which it is given up."""


class Watch:
    """Listens from its making until it is closed."""

    def __init__(self, connect: Callable[[], Awaitable[Redis]], channel: str, quiet: float = QUIET) -> None:
        self.bell = Bell()
        self._connect, self._channel, self._quiet = connect, channel, quiet
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        self._closed = True
        while not self._task.done():  # a cancel that meets a timeout in redis-py is lost
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1)

    async def _listen(self) -> None:
        told = False
        while not self._closed:
            try:
                client = await self._connect()
                try:
                    with understood():
                        await self._hear(client)
                finally:
                    await client.aclose()
            except (RedisError, OSError, StoreError) as error:
                self.bell.ring()  # something may have been missed
                if not (told or is_passing(error)):
                    log.warning("no hints from the store, so that flows are noticed later: %s", error)
                    told = True
                await asyncio.sleep(AGAIN)

    async def _hear(self, client: Redis) -> None:
        heard: Any = client.pubsub()  # pyright: ignore[reportUnknownMemberType]  # the stubs leave its **kwargs open
        asked = False
        try:
            await heard.subscribe(self._channel)
            self.bell.ring()  # for what was missed until now
            while not self._closed:
                message = await heard.get_message(timeout=self._quiet)
                if message is not None:
                    asked = False
                    self.bell.ring()
                elif asked:
                    raise Silence("the server is silent")
                else:
                    asked = True
                    await heard.ping()
        finally:
            await heard.aclose()
