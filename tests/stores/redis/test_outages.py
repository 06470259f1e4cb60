"""Each refusal of a server: said with what to do about it, and no flow fails of it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from pathlib import Path

import pytest

from ergon_runtime import Scheduler, Worker, flow, step
from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.redis.store import RedisStore
from tests.redis_proxy import Proxy
from tests.redis_server import shared_server
from tests.stores.harness import new
from tests.stores.redis.outages import REAL, Outage, give_slots, lose_slots, mend_disk, spoil_disk
from tests.stores.redis.servers import command, opened, run, server

on_each_outage = pytest.mark.parametrize("outage", REAL, ids=lambda outage: outage.name)
REPLIES = {
    "LOADING Redis is loading the dataset in memory": "still loading",
    "MOVED 1234 127.0.0.1:1": r"redis\+cluster",
    "ASK 1234 127.0.0.1:1": "moving",
    "TRYAGAIN Multiple keys request during rehashing of slot": "moving",
    "CLUSTERDOWN The cluster is down": "CLUSTER INFO",
    "NOREPLICAS Not enough good replicas to write.": "min-replicas-to-write",
    "MASTERDOWN Link with MASTER is down": "name the master",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)": "changed its role",
    "NOPERM this user has no permissions to run the 'evalsha' command": "Rights",
    "ERR Error running script (call to f_1): @script:1: -READONLY You can't write to a replica.": "name the master",
    "OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:1.": "raise maxmemory",
    "MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.": "its disk",
}
"""What servers of some versions say, which the server here may not."""
here: dict[str, asyncio.Event] = {}
runs: list[str] = []


@step
async def before() -> str:
    runs.append("before")
    return "before"


@step
async def during() -> str:
    runs.append("during")
    here["begun"].set()
    await here["over"].wait()
    return "during"


@step
async def after() -> str:
    runs.append("after")
    return "after"


@flow
async def three_steps() -> list[str]:
    return [await before(), await during(), await after()]


@on_each_outage
def test_an_outage_is_told_with_what_to_do_and_passes(outage: Outage) -> None:
    async def main() -> None:
        with server(*outage.settings) as own:
            async with opened(own.url) as store:
                await asyncio.to_thread(outage.begin, own)
                if outage.says:
                    with pytest.raises(StoreUnavailable, match=outage.says):
                        await store.create(new("a"))
                await asyncio.to_thread(outage.end, own)
                await patiently(store, "b")

    run(main)


@on_each_outage
def test_a_flow_amid_an_outage_completes_after_it(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with server(*outage.settings) as own:
            async with opened(own.url) as store:
                here.update(begun=asyncio.Event(), over=asyncio.Event())
                runs.clear()
                worker = await Worker(store, lease=30).register(three_steps).start()
                try:
                    handle = await Scheduler(store).schedule(three_steps())
                    await here["begun"].wait()
                    await asyncio.to_thread(outage.begin, own)
                    here["over"].set()
                    while outage.says and not troubles(caplog):
                        await asyncio.sleep(0.01)
                    await asyncio.to_thread(outage.end, own)
                    assert await handle.result(timeout=30) == ["before", "during", "after"]
                    assert runs.count("before") == 1
                finally:
                    here["over"].set()
                    await worker.shutdown()

    caplog.set_level(logging.INFO, "ergon_runtime")
    run(main)


def troubles(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "store unavailable" in each.getMessage()]


async def patiently(store: RedisStore, flow_id: str) -> None:
    while True:
        try:
            await store.create(new(flow_id))
        except StoreUnavailable:
            await asyncio.sleep(0.01)
        else:
            return


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_is_told_with_what_to_do(reply: str) -> None:
    async def main() -> None:
        proxy = Proxy(shared_server().socket)
        await proxy.start()
        try:
            async with opened(f"{proxy.url}?namespace={secrets.token_hex(6)}", patience=0.05) as store:
                proxy.answer = f"-{reply}\r\n".encode()
                before = proxy.calls
                with pytest.raises(StoreUnavailable, match=REPLIES[reply]):
                    await asyncio.gather(*(store.get(str(n)) for n in range(5)))
                passing = not reply.startswith("NOPERM")
                assert (proxy.calls - before > 5) is passing, "passing ones are tried again, others not"
                proxy.answer = None
                assert await store.create(new("a"))
        finally:
            await proxy.stop()

    run(main)


def test_a_cluster_without_the_slot_is_down_until_it_is_back() -> None:
    async def main() -> None:
        with server("--cluster-enabled", "yes", "--port", "0") as own:
            command(own, "CLUSTER", "ADDSLOTS", *range(16384))
            while "cluster_state:ok" not in command(own, "CLUSTER", "INFO"):
                await asyncio.sleep(0.01)
            async with opened(own.url) as store:
                lose_slots(own)
                with pytest.raises(StoreUnavailable, match="CLUSTER INFO"):
                    await store.create(new("a"))
                give_slots(own)
                await patiently(store, "a")

    run(main)


def test_a_server_that_cannot_save_takes_nothing_until_it_can(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        with server("--appendonly", "no", "--dir", str(folder)) as own:
            async with opened(own.url, allow_volatile=True) as store:
                spoil_disk(own, folder)
                with pytest.raises(StoreUnavailable, match="its disk"):
                    await store.create(new("a"))
                mend_disk(own)
                assert await store.create(new("a"))

    run(main)
