"""A link under cancelled callers, lost answers, forgotten scripts, hanging servers and its own end."""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ergon_runtime.core.flows import ClaimRequest
from ergon_runtime.errors import StoreError, StoreUnavailable
from ergon_runtime.stores.redis.store import RedisStore
from tests.redis_proxy import Proxy
from tests.redis_server import shared_server
from tests.stores.harness import LANE, new
from tests.stores.harness import signal as message
from tests.stores.redis.servers import command, opened, run, server


@asynccontextmanager
async def through_a_proxy(**options: object) -> AsyncIterator[tuple[RedisStore, Proxy]]:
    proxy = Proxy(shared_server().socket)
    await proxy.start()
    try:
        async with opened(f"{proxy.url}?namespace={secrets.token_hex(6)}", **options) as store:
            yield store, proxy
    finally:
        await proxy.stop()


def test_callers_cancelled_at_random_leave_no_answer_to_others() -> None:
    async def main() -> None:
        async with through_a_proxy() as (store, proxy):
            proxy.delay = 0.001
            for n in range(50):
                await store.create(new(f"f{n}", args=str(n).encode()))
            draw, wrong = random.Random(1), list[str]()

            async def look(n: int) -> None:
                row = await store.get(f"f{n}")
                if row is None or row.args != str(n).encode():
                    wrong.append(f"f{n}")

            for _ in range(20):
                looks = [asyncio.create_task(look(draw.randrange(50))) for _ in range(50)]
                for each in draw.sample(looks, 25):
                    asyncio.get_running_loop().call_later(draw.uniform(0, 0.004), each.cancel)
                await asyncio.gather(*looks, return_exceptions=True)
            assert wrong == []

    run(main)


def test_a_cancelled_drain_leaves_no_answer_to_others_and_no_caller_waiting() -> None:
    async def main() -> None:
        async with through_a_proxy() as (store, proxy):
            await store.create(new("a", args=b"a"))
            await store.create(new("b", args=b"b"))
            proxy.delay = 0.05
            before = proxy.calls
            first = asyncio.create_task(store.get("a"))
            while proxy.calls == before:
                await asyncio.sleep(0)
            second = asyncio.create_task(store.get("a"))
            await asyncio.sleep(0)
            link = store._now_open.reads
            assert link._task is not None
            link._task.cancel()
            with pytest.raises(StoreError, match="is closed"):
                await first
            with pytest.raises(StoreError, match="is closed"):
                await second
            row = await store.get("b")
            assert row is not None
            assert row.args == b"b"

    run(main)


def test_a_timeout_amid_a_pipeline_drops_the_connection_with_its_late_answers() -> None:
    async def main() -> None:
        async with through_a_proxy(timeout=0.3, patience=0.1) as (store, proxy):
            for n in range(20):
                await store.create(new(f"f{n}", args=str(n).encode()))
            assert await store.get("f0")  # the connection is there
            proxy.delay = 0.5
            looks = [store.get(f"f{n}") for n in range(10)]
            assert {type(each) for each in await asyncio.gather(*looks, return_exceptions=True)} == {StoreUnavailable}
            proxy.delay = 0.0
            rows = await asyncio.gather(*(store.get(f"f{n}") for n in range(10, 20)))
            assert [row and row.args for row in rows] == [str(n).encode() for n in range(10, 20)]

    run(main)


def test_answers_of_a_pipeline_that_keep_coming_get_through_however_long_all_of_them_take() -> None:
    async def main() -> None:
        async with through_a_proxy(timeout=0.4, patience=0.1) as (store, proxy):
            proxy.piece = 500
            await store.create(new("a", args=b"a" * 400))
            await store.get("a")
            proxy.delay = 0.1
            rows = await asyncio.gather(*(store.get("a") for _ in range(10)))
            assert [row and row.args for row in rows] == [b"a" * 400] * 10

    run(main)


def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice() -> None:
    async def main() -> None:
        async with through_a_proxy(patience=5.0) as (store, proxy):
            await store.create(new("a"))
            for line in proxy.lines:
                line.deaf = True
            before = proxy.calls
            sent = asyncio.create_task(store.send(message("go", to="a")))
            while proxy.calls == before:
                await asyncio.sleep(0.001)
            proxy.cut()
            assert await sent
            assert command(shared_server(), "SCARD", f"{store._prefix}s:a") == 1

    run(main)


def test_a_claim_whose_answer_was_lost_is_not_sent_again() -> None:
    async def main() -> None:
        async with through_a_proxy(patience=5.0) as (store, proxy):
            await store.create(new("a"))
            for line in proxy.lines:
                line.deaf = True
            before = proxy.calls
            asked = asyncio.create_task(store.claim(ClaimRequest("w", 1000, 1, (LANE,))))
            while proxy.calls == before:
                await asyncio.sleep(0.001)
            proxy.cut()
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await asked
            assert proxy.calls == before + 1

    run(main)


def test_a_claim_that_was_refused_is_sent_again() -> None:
    async def main() -> None:
        async with through_a_proxy(patience=5.0) as (store, proxy):
            await store.create(new("a"))
            proxy.answer = b"-BUSY Redis is busy running a script.\r\n"
            before = proxy.calls
            asked = asyncio.create_task(store.claim(ClaimRequest("w", 1000, 1, (LANE,))))
            while proxy.calls < before + 2:
                await asyncio.sleep(0.001)
            proxy.answer = None
            assert [claim.lease.flow for claim in (await asked).claims] == ["a"]

    run(main)


def test_scripts_that_were_flushed_are_loaded_again_amid_a_run() -> None:
    async def main() -> None:
        with server() as own:
            async with opened(own.url) as store:
                for n in range(20):
                    created = asyncio.gather(*(store.create(new(f"{n}.{k}")) for k in range(20)))
                    await asyncio.to_thread(command, own, "SCRIPT", "FLUSH")
                    assert await created == [True] * 20
                assert command(own, "ZCARD", f"{store._prefix}all") == 400

    run(main)


def test_a_hanging_server_is_given_up_and_its_callers_are_told() -> None:
    async def main() -> None:
        with server() as own:
            async with opened(own.url, timeout=0.3, patience=0.1) as store:
                assert own.process is not None
                own.process.send_signal(signal.SIGSTOP)
                try:
                    with pytest.raises(StoreUnavailable, match="cannot be reached: Timeout"):
                        await store.get("a")
                finally:
                    own.process.send_signal(signal.SIGCONT)
                assert await store.get("a") is None

    run(main)


def test_a_store_closed_amid_calls_ends_them_and_leaves_nothing() -> None:
    async def main() -> None:
        with server() as own:
            store_cm = opened(own.url, timeout=30.0, patience=0.2)
            store = await store_cm.__aenter__()
            assert own.process is not None
            own.process.send_signal(signal.SIGSTOP)
            calls = [asyncio.create_task(store.get(str(n))) for n in range(300)]
            await asyncio.sleep(0)
            await store_cm.__aexit__(None, None, None)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(each) for each in answers} == {StoreError}
            assert _ours() == set()
            own.process.send_signal(signal.SIGCONT)
        gc.collect()  # an unclosed connection is a ResourceWarning, and that an error

    run(main)


def _ours() -> set[asyncio.Task[object]]:
    """Tasks of the store's."""
    return {
        task
        for task in asyncio.all_tasks()
        if str(task.get_coro()).startswith(("<coroutine object Link", "<coroutine object Watch"))
    }


def test_thousands_of_calls_at_once_are_all_answered() -> None:
    async def main() -> None:
        async with opened(f"{shared_server().url}?namespace={secrets.token_hex(6)}", patience=20.0) as store:
            created = await asyncio.gather(*(store.create(new(f"f{n}")) for n in range(3000)))
            assert created == [True] * 3000
            await store.close()
            with pytest.raises(StoreError, match="not open"):
                await store.get("f1")

    run(main)
