"""The store in a cluster: it finds the node of its slot, and follows it through moves and failovers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from ergon_runtime.core.flows import ClaimRequest, Commit, Lease
from ergon_runtime.errors import LeaseLost, StoreUnavailable
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.discovery import Nodes
from ergon_runtime.stores.redis.servers import Servers
from ergon_runtime.stores.redis.store import RedisOptions, RedisStore
from tests.redis_groups import Cluster, Node, cluster, silent, slot_of, until
from tests.redis_server import executables
from tests.stores.harness import LANE, LEASE, new
from tests.stores.redis.servers import opened, run

PATIENT = RedisOptions(patience=30, timeout=2)


def name_on(cluster: Cluster, node: Node) -> str:
    """A new name whose slot the node has."""
    return next(name for n in itertools.count() if cluster.owner(name := f"n{n}-{time.monotonic_ns()}") is node)


def address(cluster: Cluster, name: str, login: str = "") -> str:
    return f"redis+cluster://{login}{cluster.hosts}?namespace={name}"


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


class Load:
    """Creates flows, one after the other, until it is ended; `accepted` are those that the store took."""

    def __init__(self, store: RedisStore, prefix: str = "f") -> None:
        self.accepted: list[str] = []
        self._store, self._prefix = store, prefix
        self._ended = False

    async def run(self) -> None:
        while not self._ended:
            flow = f"{self._prefix}{len(self.accepted)}"
            await self._store.create(new(flow))
            self.accepted.append(flow)

    async def during(self, act: Callable[[], Any]) -> None:
        """Go on from before `act` until after it."""
        task = asyncio.create_task(self.run())
        await self.more(task)
        await asyncio.to_thread(act)
        await self.more(task)
        self._ended = True
        await task

    async def more(self, task: asyncio.Task[None]) -> None:
        enough = len(self.accepted) + 20
        while len(self.accepted) < enough and not task.done():
            await asyncio.sleep(0.005)


def first_commit(lease: Lease) -> Commit:
    return Commit(f"c-{lease.token}", lease, None, 0, LEASE, entries=(b"entry",))


async def missing(store: RedisStore, flows: list[str]) -> list[str]:
    return [flow for flow in flows if await store.get(flow) is None]


# Finding --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", executables(), ids=lambda path: "/".join(Path(path).parts[-3:]))
def test_node_of_the_slot_is_found_from_any_node_of_each_server(program: str) -> None:
    with cluster(program=program) as made:
        names = [name_on(made, node) for node in made.masters]

        async def main() -> None:
            for asked, name in itertools.product(made.masters, names):
                async with opened(f"redis+cluster://{asked.place}?namespace={name}") as store:
                    await store.create(new())

        run(main)
        with suppress(RedisError):  # since 7.0 they can be told to keep their hosts to themselves
            for node in made.masters:
                node.run("CONFIG SET", "cluster-preferred-endpoint-type", "unknown-endpoint")
        run(main)


@pytest.mark.parametrize("host", [b"", None, b"?", "", "?"])
def test_host_that_is_not_told_is_the_one_that_was_asked(host: bytes | str | None) -> None:
    class Client:
        async def execute_command(self, *_: str) -> object:
            return [[0, 9999, [host, 7001, b"id"]], [10000, 16383, [b"10.0.0.2", 7002, b"id", []]]]

        async def aclose(self) -> None:
            pass

    async def main() -> None:
        for name, found in (("a", ("10.0.0.2", 7002)), ("b", ("10.0.0.9", 7001))):
            asked = parse_redis(f"redis+cluster://10.0.0.9:7000?namespace={name}")
            assert await Nodes(asked, lambda *_: Client()).find() == found  # type: ignore[arg-type,return-value]

    assert (slot_of("a") >= 10000, slot_of("b") >= 10000) == (True, False)
    run(main)


def test_dead_node_named_first_is_passed_over(three: Cluster) -> None:
    async def main() -> None:
        url = f"redis+cluster://127.0.0.1:1,{three.hosts}?namespace={name_on(three, three.masters[2])}"
        async with opened(url) as store:
            assert await store.create(new())

    run(main)


def test_silent_node_named_first_does_not_hold_up_the_others(three: Cluster) -> None:
    async def main() -> None:
        url = f"redis+cluster://{place},{three.hosts}?namespace={name_on(three, three.masters[1])}"
        servers = Servers(parse_redis(url), 60)
        client = await servers.connect()
        await client.aclose()

    with silent() as place:
        run(main, 20)


def test_user_and_password_are_given_to_each_node() -> None:
    rights = ("user", "worker", "on", ">s3cret", "allcommands", "allkeys", "allchannels")
    with cluster() as made:
        for node in made.masters:
            node.run("ACL SETUSER", *rights[1:])
            node.run("ACL SETUSER", "default", "off")

        async def main() -> None:
            for owner in range(3):
                name = next(f"n{n}" for n in itertools.count() if slot_of(f"n{n}") // 5462 == owner)
                async with opened(address(made, name, "worker:s3cret@")) as store:
                    assert await store.create(new())
            with pytest.raises(StoreUnavailable, match="put it into the store's address"):
                async with opened(address(made, "n")):
                    pass

        run(main)


def test_server_outside_a_cluster_is_told(tmp_path: Path) -> None:
    async def main(place: str) -> None:
        with pytest.raises(StoreUnavailable, match="in no cluster: write redis://"):
            async with opened(f"redis+cluster://{place}"):
                pass

    node = Node(tmp_path / "server")
    try:
        node.start()
        run(lambda: main(node.place))
    finally:
        node.kill()


# Bell -----------------------------------------------------------------------------------------------------------------


def test_bell_is_heard_also_after_the_slot_has_moved(three: Cluster) -> None:
    name = name_on(three, three.masters[0])

    async def rings(one: RedisStore, other: RedisStore, flow: str) -> None:
        await one.wait("w", 0)
        started = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(one.wait("w", 50))
        await asyncio.sleep(0)
        await other.create(new(flow))
        await waiting
        assert asyncio.get_running_loop().time() - started < 40

    async def main() -> None:
        async with opened(address(three, name), PATIENT) as one, opened(address(three, name), PATIENT) as other:
            await rings(one, other, "a")
            await asyncio.to_thread(three.move, name, three.masters[1])
            await rings(one, other, "b")

    run(main)


# Moving ---------------------------------------------------------------------------------------------------------------


def test_moved_slot_is_followed_and_a_move_under_way_is_waited_out(three: Cluster) -> None:
    name, target = name_on(three, three.masters[0]), three.masters[2]
    half_done = list[str]()

    async def ask_hastily() -> None:
        async with opened(address(three, name)) as hasty:
            await hasty.create(new("meanwhile"))

    def meanwhile() -> None:
        with pytest.raises(StoreUnavailable) as caught:
            run(ask_hastily)
        half_done.append(str(caught.value))

    async def main() -> None:
        async with opened(address(three, name), PATIENT) as store:
            load = Load(store)
            await load.during(lambda: three.move(name, target, meanwhile))
            assert "moving the namespace's slot; wait" in half_done[0]
            assert await missing(store, load.accepted) == []
            assert await store.get("meanwhile") is None

    run(main)
    assert three.owner(name) is target


def test_lease_is_void_after_a_move_and_its_flow_taken_over_at_once(three: Cluster) -> None:
    name = name_on(three, three.masters[1])

    async def main() -> None:
        async with opened(address(three, name), PATIENT) as store:
            await store.create(new())
            request = ClaimRequest("w", 600_000, 1, lanes=(LANE,))
            (claim,) = (await store.claim(request)).claims
            await asyncio.to_thread(three.move, name, three.masters[2])
            with pytest.raises(LeaseLost):
                await store.commit(first_commit(claim.lease))
            (again,) = (await store.claim(request)).claims
            assert again.recoveries == 0
            await store.commit(first_commit(again.lease))

    run(main)


# Outages --------------------------------------------------------------------------------------------------------------


def test_cluster_that_is_down_is_told_and_works_again_when_it_is_up() -> None:
    with cluster() as made:
        owner, other = made.masters[0], made.masters[1]
        name = name_on(made, owner)

        async def main() -> None:
            async with opened(address(made, name)) as store:
                other.kill()
                await asyncio.to_thread(until, lambda: owner.run("CLUSTER INFO")["cluster_state"] == "fail", "its end")
                with pytest.raises(StoreUnavailable, match="the cluster is down: look at its nodes"):
                    await store.create(new())
                other.start()
                await asyncio.to_thread(until, made.ready, "the cluster")
                assert await store.create(new())

        run(main)


def _has_replicas(node: Node) -> bool:
    role = node.run("ROLE")
    return role[0] == "master" and bool(role[2])


def test_replica_that_takes_over_is_followed() -> None:
    """First when asked to, which loses nothing; then for a killed master: what it had copied is there."""
    with cluster(replicas=1) as made:
        first, second = made.masters[0], made.replicas[0]
        name = name_on(made, first)

        def switch() -> None:
            second.run("CLUSTER FAILOVER")
            until(lambda: made.owner(name) is second, "the failover")

        def kill() -> None:
            second.kill()
            until(lambda: made.owner(name) is first, "the failover")

        async def main() -> None:
            async with opened(address(made, name), PATIENT) as store:
                load = Load(store)
                await load.during(switch)
                assert await missing(store, load.accepted) == []
                await asyncio.to_thread(until, lambda: _has_replicas(second), "the other's return")
                second.wait_for_replicas(1, f"{{{name}}}:copied")
                await Load(store, "later").during(kill)
                assert await missing(store, load.accepted) == []

        run(main)
