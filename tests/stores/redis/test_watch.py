"""The watch hears the bell, comes back after a cut, and gives up a server that vanished without a word."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.servers import Servers
from ergon_runtime.stores.redis.watch import Watch
from tests.redis_proxy import Proxy
from tests.redis_server import shared_server
from tests.stores.redis.servers import command, run


@asynccontextmanager
async def watched(quiet: float = 10.0) -> AsyncIterator[tuple[Watch, Proxy, Callable[[], object]]]:
    """A watch through a proxy, and what rings its bell."""
    proxy, channel = Proxy(shared_server().socket), secrets.token_hex(6)
    await proxy.start()
    connect = Servers(parse_redis(proxy.url), 1.0).connect
    watch = Watch(partial(connect, listens=True), channel, quiet)
    try:
        yield watch, proxy, partial(command, shared_server(), "PUBLISH", channel, "")
    finally:
        await watch.close()
        await proxy.stop()


async def heard(watch: Watch, ring: Callable[[], object]) -> None:
    """Ring until it is heard: whether it listens by now is not to be seen otherwise."""
    while not ring():
        await asyncio.sleep(0.01)
    strokes = watch.bell.strokes
    while watch.bell.strokes == strokes:
        ring()
        await asyncio.sleep(0.01)


def test_the_bell_is_heard_also_after_a_cut() -> None:
    async def main() -> None:
        async with watched() as (watch, proxy, ring):
            await heard(watch, ring)
            proxy.cut()
            await heard(watch, ring)

    run(main)


def test_a_server_that_vanished_without_a_word_is_given_up_and_found_again() -> None:
    async def main() -> None:
        async with watched(quiet=0.1) as (watch, proxy, ring):
            await heard(watch, ring)
            (line,) = proxy.lines
            line.deaf = True
            while line in proxy.lines:
                await asyncio.sleep(0.01)
            await heard(watch, ring)

    run(main)


def test_a_silent_server_that_lives_is_kept() -> None:
    async def main() -> None:
        async with watched(quiet=0.05) as (watch, proxy, ring):
            await heard(watch, ring)
            lines, strokes = set(proxy.lines), watch.bell.strokes
            while watch.bell.strokes < strokes + 4:  # each answer to a question rings too
                await asyncio.sleep(0.01)
            assert proxy.lines == lines

    run(main)


def test_a_watch_outlives_what_a_person_must_put_right() -> None:
    async def main() -> None:
        tried = asyncio.Event()

        async def refuse() -> None:
            tried.set()
            raise StoreUnavailable("correct the address")

        watch = Watch(refuse, "c")  # type: ignore[arg-type]  # it connects never
        await tried.wait()
        tried.clear()
        await tried.wait()
        await watch.close()

    run(main)
