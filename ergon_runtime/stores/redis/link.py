"""A link: one connection to the server, on which scripts travel in pipelines.

What is asked while a pipeline is under way goes with the next one: the group commit of Redis. A caller who is cancelled
leaves no answer behind, as only the link's own task reads. redis-py's retries are off: what was sent is sent again here,
if it may be, with a growing pause, until the deadline.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from ergon_runtime.errors import StoreError, StoreUnavailable
from ergon_runtime.stores.redis.faults import is_elsewhere, is_passing, translate
from ergon_runtime.stores.redis.rows import Argument
from ergon_runtime.stores.redis.scripts import Script

Connect: TypeAlias = Callable[[], Awaitable[Redis]]
"""Makes a connection that is known to lead to the store."""
BATCH = 200
"""Calls in one pipeline."""


@dataclass(slots=True)
class _Call:
    script: Script
    args: Sequence[Argument]
    answer: asyncio.Future[Any]


class Link:
    """Calls scripts. `patience` is how long, in seconds, a call that may be repeated is."""

    def __init__(self, connect: Connect, prefix: str, url: str, patience: float) -> None:
        self._connect, self._prefix, self._url, self._patience = connect, prefix, url, patience
        self._client: Redis | None = None
        self._waiting: deque[_Call] = deque()
        self._task: asyncio.Task[None] | None = None

    async def call(self, script: Script, *args: Argument) -> Any:
        """The script's answer. Raises StoreUnavailable, which leaves open whether it was done, and StoreError."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._patience, 0.01
        while True:
            answer: asyncio.Future[Any] = loop.create_future()
            self._waiting.append(_Call(script, args, answer))
            if self._task is None or self._task.done():
                self._task = loop.create_task(self._drain())
            try:
                return await answer
            except (RedisError, OSError) as error:
                if not (script.idempotent and is_passing(error)) or loop.time() + pause > end:
                    raise translate(error, self._url) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  it spreads the callers
            pause = min(2 * pause, 0.5)

    async def close(self) -> None:
        """Let what is under way end, and close the connection."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self._task])
        for call in self._waiting:
            call.answer.cancel()
        await self._drop()

    async def _drop(self) -> None:
        """Close the connection; the next pipeline makes another."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(RedisError, OSError):
                await client.aclose()

    async def _drain(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._send(batch)
            except (RedisError, OSError, StoreError) as error:
                await self._drop()
                _fail(batch, error)
            except BaseException:
                _fail(batch, StoreUnavailable(f"store {self._url} is being closed"))
                raise

    async def _send(self, batch: Sequence[_Call]) -> None:
        """Send a batch; scripts that the server does not know are loaded, and sent again."""
        client = self._client = self._client or await self._connect()
        answers = await self._pipeline(client, batch)
        unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            for script in {batch[n].script for n in unknown}:
                await client.script_load(script.text)
            for n, answer in zip(unknown, await self._pipeline(client, [batch[n] for n in unknown]), strict=True):
                answers[n] = answer
        for call, answer in zip(batch, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)
        if any(isinstance(answer, Exception) and is_elsewhere(answer) for answer in answers):
            await self._drop()

    async def _pipeline(self, client: Redis, batch: Sequence[_Call]) -> list[Any]:
        pipe = client.pipeline(transaction=False)
        for call in batch:
            pipe.execute_command("EVALSHA", call.script.sha, 1, self._prefix, *call.args)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers


def _fail(batch: Sequence[_Call], error: Exception) -> None:
    for call in batch:
        if not call.answer.done():
            call.answer.set_exception(error)
