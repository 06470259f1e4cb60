"""A TCP proxy before a Redis server that does what networks do: delays, loses answers, cuts connections, falls silent.

It works on the loop it was started on. `Mischief` does such things at random, by a seed.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from contextlib import suppress
from pathlib import Path


class Line:
    """A client's connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.deaf = False
        """Half-open: what the server says is thrown away, and the client hears nothing more."""

    def cut(self) -> None:
        """End it as a reset."""
        for end in (self.client, self.server):
            end.transport.abort()


class Proxy:
    """Passes bytes between clients on `port`, who come over TLS if `tls` says so, and the server on a socket."""

    def __init__(self, target: Path, tls: ssl.SSLContext | None = None) -> None:
        self.target, self.tls = target, tls
        self.lines: set[Line] = set()
        self.delay = 0.0
        """Seconds that each answer takes longer."""
        self.piece = 1 << 16
        """Bytes that are passed on at once."""
        self.answer: bytes | None = None
        """Given instead of passing on a script's call."""
        self.calls = 0
        """Pieces of calls of scripts that came."""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; again on the same port after `stop`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and cut those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        for line in list(self.lines):
            line.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            answers, calls = await asyncio.open_unix_connection(str(self.target))
        except OSError:
            writer.transport.abort()
            return
        line = Line(writer, calls)
        self.lines.add(line)
        there = asyncio.create_task(self._pass_calls(reader, line))
        back = asyncio.create_task(self._pass_answers(answers, line))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.lines.discard(line)
            line.cut()
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pass_calls(self, reader: asyncio.StreamReader, line: Line) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                found = data.count(b"EVALSHA")
                self.calls += found
                if self.answer is not None and found:
                    line.client.write(self.answer * found)
                    continue
                line.server.write(data)
                await line.server.drain()

    async def _pass_answers(self, reader: asyncio.StreamReader, line: Line) -> None:
        with suppress(OSError):
            while data := await reader.read(self.piece):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not line.deaf:
                    line.client.write(data)
                    await line.client.drain()


class Mischief:
    """Does something to a proxy every now and then; `done` counts what."""

    def __init__(self, proxy: Proxy, seed: int) -> None:
        self.proxy, self.draw = proxy, random.Random(seed)
        self.done: Counter[str] = Counter()

    async def go_on(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.draw.uniform(0.02, 0.5))
            what = self.draw.choice(("cut", "cut all", "lose an answer", "half-open", "delay", "hurry", "refuse"))
            self.done[what] += 1
            await self._do(what)
        self.proxy.delay = 0.0

    async def _do(self, what: str) -> None:
        lines = sorted(self.proxy.lines, key=id)
        match what:
            case "cut all":
                self.proxy.cut()
            case "delay":
                self.proxy.delay = self.draw.choice((0.001, 0.01, 0.1))
            case "hurry":
                self.proxy.delay = 0.0
            case "refuse":
                await self.proxy.stop()
                await asyncio.sleep(self.draw.uniform(0.05, 1.0))
                await self.proxy.start()
            case _ if lines:
                line = self.draw.choice(lines)
                if what == "cut":
                    line.cut()
                    return
                line.deaf = True  # half-open: until the client gives up
                if what == "lose an answer":  # the server does what it is told, and nobody hears of it
                    await asyncio.sleep(self.draw.uniform(0.02, 0.2))
                    line.cut()
