"""The store behind sentinels: it finds the master, and follows the service when another server takes over."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ergon_runtime.core.flows import Claim, ClaimRequest
from ergon_runtime.errors import LeaseLost, StoreCorrupt, StoreUnavailable
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.servers import Servers
from ergon_runtime.stores.redis.store import RedisStore
from tests.redis_groups import SERVICE, Guarded, Node, guarded, silent, until
from tests.stores.harness import LANE, new
from tests.stores.redis.servers import opened, run
from tests.stores.redis.test_clusters import PATIENT, Load, first_commit, missing


@pytest.fixture(scope="module")
def service() -> Iterator[Guarded]:
    with guarded() as made:
        yield made


@pytest.fixture
def settled(service: Guarded) -> Guarded:
    """The service, whatever the test before did to it."""
    until(service.settled, "the sentinels' agreement")
    return service


def address(hosts: str, name: str, service: str = SERVICE, more: str = "") -> str:
    return f"redis+sentinel://{hosts}/{service}/0?namespace={name}{more}"


# Finding --------------------------------------------------------------------------------------------------------------


def test_master_is_found_though_a_sentinel_is_dead_and_one_is_silent(settled: Guarded) -> None:
    async def main() -> None:
        hosts = f"127.0.0.1:1,{place},{settled.sentinels[1].place}"
        servers = Servers(parse_redis(address(hosts, "n")), 60)
        for _ in range(3):  # each search begins with another one
            client = await servers.connect()
            assert client.connection_pool.connection_kwargs["port"] == settled.master().port
            await client.aclose()

    with silent() as place:
        run(main, 20)


def test_service_that_no_sentinel_guards_is_told_with_those_that_there_are(settled: Guarded) -> None:
    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="guard no service 'order', but orders: correct the address"):
            async with opened(address(settled.hosts, "n", service="order")):
                pass

    run(main)


def test_server_named_as_a_sentinel_is_told(settled: Guarded) -> None:
    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="are no sentinels: name the sentinels, or write redis://"):
            async with opened(address(settled.master().place, "n")):
                pass

    run(main)


def test_sentinels_that_are_all_dead_are_told() -> None:
    async def main() -> None:
        with pytest.raises(StoreUnavailable, match=r"cannot be reached: .*127.0.0.1:1"):
            async with opened(address("127.0.0.1:1", "n")):
                pass

    run(main)


def test_passwords_of_sentinels_and_servers_are_told_apart() -> None:
    servers = ("--requirepass", "kept", "--masterauth", "kept")
    sentinels = ("requirepass asked", f"sentinel auth-pass {SERVICE} kept")
    logins = {"login": {"password": "kept"}, "sentinel_login": {"password": "asked"}}
    with guarded(*servers, sentinel_settings=sentinels, **logins) as made:

        async def main() -> None:
            both = address(f":kept@{made.hosts}", "n", more="&sentinel_password=asked")
            async with opened(both) as store:
                assert await store.create(new())
            for wrong, told in (
                (address(f":kept@{made.hosts}", "n"), r"set \?sentinel_password="),
                (address(f":kept@{made.hosts}", "n", more="&sentinel_password=kept"), r"set \?sentinel_password="),
                (address(made.hosts, "n", more="&sentinel_password=asked"), "into the store's address"),
            ):
                with pytest.raises(StoreUnavailable, match=told) as caught:
                    async with opened(wrong):
                        pass
                assert "kept" not in str(caught.value)
                assert "asked" not in str(caught.value)

        run(main)


class Liar:
    """A sentinel that names whom it is told to, whatever others know."""

    def __init__(self, names: Node) -> None:
        self.names = names

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            port = str(self.names.port)
            writer.write(f"*2\r\n$9\r\n127.0.0.1\r\n${len(port)}\r\n{port}\r\n".encode())
        writer.close()

    async def stop(self) -> None:
        self._server.close()


def test_replica_that_a_sentinel_calls_the_master_is_not_read(settled: Guarded) -> None:
    """As a sentinel does that was cut off during a failover."""
    replica = next(node for node in settled.servers if node is not settled.master())

    async def main() -> None:
        async with opened(address(settled.hosts, "n"), PATIENT):
            pass
        settled.master().wait_for_replicas(2)
        liar = Liar(replica)
        place = await liar.start()
        with pytest.raises(StoreUnavailable, match="the server is a replica, which takes no writes"):
            async with opened(address(place, "n"), read_only=True):
                pass
        both = address(f"{place},{settled.sentinels[0].place}", "n")
        async with opened(both, PATIENT, create=False) as store:
            assert await store.get("a") is None
        await liar.stop()

    run(main)


def test_master_that_was_replaced_is_left_though_it_goes_on(settled: Guarded, tmp_path: Path) -> None:
    """The other one is empty here, which shows that it was gone to."""
    other = Node(tmp_path / "other")

    async def main() -> None:
        liar = Liar(settled.master())
        async with opened(address(await liar.start(), "n")) as store:
            await store.create(new())
            assert await store.get("a") is not None  # reads have a connection of their own
            liar.names = other
            with pytest.raises(StoreCorrupt, match="gone, or another is in its place"):
                await _read_on(store)
        await liar.stop()

    try:
        other.start()
        run(main)
    finally:
        other.kill()


async def _read_on(store: RedisStore) -> None:
    while True:
        await store.get("a")
        await asyncio.sleep(0.02)


async def claimed(store: RedisStore) -> Claim:
    """The one flow, for ten minutes. A claim whose answer is lost is not repeated but by whoever asked for it."""
    while True:
        with suppress(StoreUnavailable):
            (claim,) = (await store.claim(ClaimRequest("w", 600_000, 1, lanes=(LANE,)))).claims
            return claim


# Failover -------------------------------------------------------------------------------------------------------------


def ask_for_failover(service: Guarded) -> None:
    old = service.master()
    until(lambda: service.sentinels[0].run("SENTINEL FAILOVER", SERVICE), "the agreement to a failover")
    until(lambda: service.master() is not old and service.master().role == "master", "the failover")
    until(lambda: old.role == "slave", "the old master's new role")


def test_failover_that_is_asked_for_is_followed_and_the_old_master_is_left(settled: Guarded) -> None:
    async def main() -> None:
        async with opened(address(settled.hosts, "asked"), PATIENT) as store:
            load = Load(store)
            await load.during(lambda: ask_for_failover(settled))
            seen = await missing(store, load.accepted)
            assert len(seen) < len(load.accepted)
            assert load.accepted[-1] not in seen
            async with opened(address(settled.hosts, "asked"), PATIENT, read_only=True) as reader:
                assert await missing(reader, load.accepted) == seen

    run(main)


def test_killed_master_is_replaced_and_its_leases_are_void(settled: Guarded) -> None:
    async def main() -> None:
        async with opened(address(settled.hosts, "killed"), PATIENT) as store:
            await store.create(new())
            claim = await claimed(store)
            old = settled.master()
            old.wait_for_replicas(2)
            old.kill()
            await asyncio.to_thread(until, lambda: settled.master() is not old, "the failover")
            again = await claimed(store)
            assert again.recoveries == 0
            with pytest.raises(LeaseLost):
                await store.commit(first_commit(claim.lease))
            await store.commit(first_commit(again.lease))
            old.start("--replicaof", "127.0.0.1", str(settled.master().port))

    run(main)


def test_master_that_was_paused_and_replaced_is_left_when_it_comes_back(settled: Guarded) -> None:
    """It wakes believing that it is the master, and still has our connections."""

    async def main() -> None:
        async with opened(address(settled.hosts, "paused"), PATIENT) as store:
            await store.create(new("before"))
            old = settled.master()
            old.wait_for_replicas(2)
            old.signal(signal.SIGSTOP)
            try:
                await asyncio.to_thread(until, lambda: settled.master() is not old, "the failover")
                assert await store.create(new("after"))
            finally:
                old.signal(signal.SIGCONT)
            await asyncio.to_thread(until, lambda: old.role == "slave", "the old master's new role")
            assert await store.create(new("at-the-end"))
            assert await missing(store, ["before", "after", "at-the-end"]) == []
            await asyncio.to_thread(until, settled.settled, "the agreement")
            assert all(_has(node, "paused", "after") for node in settled.servers)

    run(main)


def _has(node: Node, name: str, flow: str) -> bool:
    return bool(node.run("EXISTS", f"{{{name}}}:f:{flow}"))
