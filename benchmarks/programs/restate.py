"""Restate, as its documentation writes a program: a service under Hypercorn, `ctx.run` for steps, Restate's own server.

`--variant` is the path of restate-server. The program serves the service in a process of its own (`serve PORT`), starts
the server in the place, registers the service and then calls it, by so many connections at once, over the server's
Unix socket. The calls are the only way to start flows, so the figure holds their scheduling. The server syncs its log
to disk (`rocksdb-disable-wal-fsync = false`, its default).
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import hypercorn
import hypercorn.asyncio
import restate

from benchmarks.programs.common import FLOW_STEPS, Order, Watch, emit_rate, order, versions

AT_ONCE = 1000
NODE = "bench"
OPTIONS = ("--no-logo", "--listen-mode", "unix", "--node-name", NODE)
PATIENCE = 60
"""Seconds for the server to begin."""

bench = restate.Service("bench")


async def work(n: int) -> int:
    return n + 1


@bench.handler()
async def in_turn(context: restate.Context, steps: int) -> int:
    n = 0
    for _ in range(steps):
        n = await context.run_typed("work", work, n=n)
    return n


def serve(port: int) -> None:
    """Serve the flows, until killed."""
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = 2**31 - 1
    asyncio.run(hypercorn.asyncio.serve(restate.app([bench]), config))  # type: ignore[arg-type]  # its stubs disagree


async def main(asked: Order) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder, server = Path(asked.place), [asked.variant, *OPTIONS, "--base-dir", asked.place]
    config = subprocess.run([*server, "--dump-config"], capture_output=True, text=True, timeout=PATIENCE).stdout
    synced = config.count("rocksdb-disable-wal-fsync = false")
    service = [sys.executable, "-m", "benchmarks.programs.restate", "serve", str(port)]
    flows, steps = (1, asked.count) if asked.work == "T2" else (asked.count, FLOW_STEPS)
    with running(service, folder / "service.log"), running(server, folder / "server.log"):
        await register(folder, port)
        watch = Watch()
        await call_all(folder, flows, steps)
        settings = {**versions("restate-sdk", "hypercorn"), "flows_at_once": AT_ONCE, "synced_logs": synced}
        settings["restate"] = subprocess.run(
            [asked.variant, "--version"], capture_output=True, text=True
        ).stdout.split()[-1]
        emit_rate(asked, " + scheduling", "steps", flows * steps, watch.read(), **settings)


async def register(folder: Path, port: int) -> None:
    """Wait for the server, and name the service to it."""
    end, body = time.monotonic() + PATIENCE, {"uri": f"http://127.0.0.1:{port}"}
    while True:
        try:
            said = await Connection.call_once(folder / NODE / "admin.sock", "/deployments", body)
            if said < 300:
                break
        except OSError:
            pass
        assert time.monotonic() < end, f"Restate does not begin; see {folder}/server.log"
        await asyncio.sleep(0.2)
    while (
        await Connection.call_once(folder / NODE / "ingress.sock", "/bench/in_turn", 1) != 200
    ):  # it learns of the service
        assert time.monotonic() < end, "Restate does not know the service"
        await asyncio.sleep(0.2)


async def call_all(folder: Path, flows: int, steps: int) -> None:
    left = iter(range(flows))

    async def caller() -> None:
        connection = await Connection.open(folder / NODE / "ingress.sock")
        for _ in left:
            status = await connection.call("/bench/in_turn", steps)
            assert status == 200, f"Restate answered {status}"
        connection.close()

    await asyncio.gather(*(caller() for _ in range(min(AT_ONCE, flows))))


class Connection:
    """HTTP over a Unix socket, with as little work of ours as can be: it is not what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, path: Path) -> Connection:
        return cls(*await asyncio.open_unix_connection(path))

    @classmethod
    async def call_once(cls, path: Path, target: str, body: object) -> int:
        connection = await cls.open(path)
        try:
            return await connection.call(target, body)
        finally:
            connection.close()

    async def call(self, target: str, body: object) -> int:
        """Post a value; the answer's status."""
        text = json.dumps(body)
        self._writer.write(
            f"POST {target} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"content-length: {len(text)}\r\n\r\n{text}".encode()
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        assert length, f"an answer without a length: {head!r}"
        await self._reader.readexactly(int(length))
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        self._writer.close()


@contextmanager
def running(command: list[str], log: Path) -> Generator[None]:
    """A process, killed at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        asyncio.run(main(order()))
