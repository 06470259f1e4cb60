"""A link: one connection to the server, on which scripts travel in pipelines.

What is asked while a pipeline is under way goes with the next one: the group commit of Redis. A caller who is cancelled
leaves no answer behind, as only the link's own task reads. redis-py's retries and repairs are not used: a connection
that failed is dropped with whatever it might still answer, and the next one is made by `connect`, which sees that it
leads to the store. What was sent is sent again here, if it may be, with a growing pause, until the deadline.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Unreached
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as Silence

from ergon_runtime.errors import StoreError
from ergon_runtime.stores.redis.faults import is_elsewhere, is_passing, is_reply, translate, understood
from ergon_runtime.stores.redis.rows import Argument
from ergon_runtime.stores.redis.scripts import Script

pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # its stub takes one
Connect: TypeAlias = Callable[[], Awaitable[Redis]]
"""Makes a connection that is known to lead to the store."""
BATCH = 200
"""Calls in one pipeline."""
BYTES = 4 << 20
"""About as many bytes in one pipeline, unless one call has more: it must get through before the timeout."""


@dataclass(slots=True)
class _Call:
    script: Script
    command: bytes
    answer: asyncio.Future[Any]


class Link:
    """Calls scripts. `prefix` is the namespace's; `store` the id of the store that is meant, None before it is known.
    `patience` is how long, in seconds, a call that may be repeated is. It belongs to one event loop."""

    def __init__(self, connect: Connect, prefix: str, store: str | None, url: str, patience: float) -> None:
        self._connect, self._url, self._patience = connect, url, patience
        self._keys = (prefix,) if store is None else (prefix, prefix + store)
        self._client: Redis | None = None
        self._waiting: deque[_Call] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = self._left = False

    async def call(self, script: Script, *args: Argument) -> Any:
        """The script's answer. Raises StoreUnavailable, which leaves open whether it was done, and StoreError."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._patience, 0.01
        command = pack(("EVALSHA", script.sha, len(self._keys), *self._keys, *args))
        while True:
            answer: asyncio.Future[Any] = loop.create_future()
            self._ask(_Call(script, command, answer))
            try:
                return await answer
            except (RedisError, OSError) as error:
                again = is_passing(error) and (script.idempotent or is_reply(error))
                if not again or loop.time() + pause > end:
                    raise translate(error, self._url) from error
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  it spreads the callers
            pause = min(2 * pause, 0.5)

    async def close(self) -> None:
        """Let what is under way end, for `patience` seconds, and close the connection; idempotent."""
        self._closed = True
        task = self._task
        try:
            if task is not None and not task.done():
                await asyncio.wait([task], timeout=self._patience)
        finally:
            while task is not None and not task.done():  # a cancel that meets a timeout in redis-py is lost
                task.cancel()
                await asyncio.wait([task], timeout=1)
            await self._drop()

    def leave(self) -> None:
        """Make another connection for the next pipeline: another server has the store now."""
        self._left = True

    def _ask(self, call: _Call) -> None:
        if self._closed:
            raise self._closing()
        self._waiting.append(call)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        batch: list[_Call] = []
        try:
            while batch := self._next():
                try:
                    await self._send(batch)
                except (RedisError, OSError, StoreError) as error:
                    _fail(batch, error)
        except BaseException:  # it is being closed, or its loop is: nobody must wait for what is not sent
            _fail([*batch, *self._waiting], self._closing())
            self._waiting.clear()
            raise

    def _next(self) -> list[_Call]:
        """The calls to send now, without those that nobody waits for any more."""
        batch: list[_Call] = []
        size = 0
        while self._waiting and len(batch) < BATCH:
            call = self._waiting[0]
            if batch and size + len(call.command) > BYTES:
                break
            self._waiting.popleft()
            if not call.answer.done():
                batch.append(call)
                size += len(call.command)
        return batch

    async def _send(self, batch: Sequence[_Call]) -> None:
        """Send a batch; scripts that the server does not know are loaded, and sent again."""
        if self._left:
            self._left = False
            await self._drop()
        client = self._client = self._client or await self._connect()
        answers = await self._pipeline(client, [call.command for call in batch])
        unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            scripts = {batch[n].script for n in unknown}
            loads = [pack(("SCRIPT", "LOAD", script.text)) for script in scripts]
            found = await self._pipeline(client, [*loads, *(batch[n].command for n in unknown)])
            refused = next((answer for answer in found[: len(loads)] if isinstance(answer, Exception)), None)
            for n, answer in zip(unknown, found[len(loads) :], strict=True):
                answers[n] = refused or answer
        for call, answer in zip(batch, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)
        if any(isinstance(answer, Exception) and is_elsewhere(answer) for answer in answers):
            await self._drop()

    async def _pipeline(self, client: Redis, commands: Sequence[bytes]) -> list[Any]:
        """The answers, errors among them. Whatever ends it early closes the connection.

        Not by redis-py's pipeline: that takes another connection than the client's own, and makes it anew unasked.
        """
        connection = client.connection
        try:
            if connection is None or not connection.is_connected:
                raise Unreached("the connection was closed")
            await connection.send_packed_command(commands)
            return await _answers(connection, len(commands))
        except BaseException:
            await self._drop()
            raise

    async def _drop(self) -> None:
        """Close the connection; the next pipeline makes another."""
        client, self._client = self._client, None
        if client is None:
            return
        with suppress(RedisError, OSError):
            if client.connection is not None:
                await client.connection.disconnect(nowait=True)
            await client.aclose()

    def _closing(self) -> StoreError:
        return StoreError(f"store {self._url} is closed; use it in its block, and shut its workers down in there")


async def _answers(connection: Any, count: int) -> list[Any]:
    """So many answers, in order. One alarm guards them all, and is put off as they come: redis-py would set one for
    each, which costs more than the answers."""
    time, patience = asyncio.get_running_loop().time, connection.socket_timeout
    found: list[Any] = []
    try:
        async with asyncio.timeout(patience) as alarm:
            with understood():
                while len(found) < count:
                    found.append(await _answer(connection))
                    if (soon := time() + patience) - (alarm.when() or 0) > patience / 10:
                        alarm.reschedule(soon)
    except TimeoutError as error:
        raise Silence(f"no answer in {patience:g} s") from error
    return found


async def _answer(connection: Any) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)  # no alarm of its own
    except ResponseError as error:
        return error


def _fail(batch: Sequence[_Call], error: Exception) -> None:
    for call in batch:
        if not call.answer.done():
            call.answer.set_exception(error)
