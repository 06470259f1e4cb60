"""A new connection sees whether the store is the one that was opened, and whether the server was started anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ergon_runtime.core.flows import Claim, ClaimRequest, Commit
from ergon_runtime.errors import LeaseLost, StoreCorrupt
from ergon_runtime.stores.redis.store import RedisStore
from tests.redis_server import Server
from tests.stores.harness import LANE, new, signal
from tests.stores.redis.servers import command, opened, run, server

LONG = 3_600_000


@asynccontextmanager
async def own_store() -> AsyncIterator[tuple[Server, RedisStore]]:
    with server() as own:
        async with opened(own.url) as store:
            yield own, store


async def claims(store: RedisStore) -> tuple[Claim, ...]:
    return (await store.claim(ClaimRequest("w", LONG, 10, (LANE,)))).claims


def restart(own: Server) -> None:
    own.kill()
    own.start()


def test_leases_are_void_after_a_restart_and_nobody_is_blamed() -> None:
    async def main() -> None:
        async with own_store() as (own, store):
            await store.create(new("a"))
            (old,) = await claims(store)
            for _ in range(3):  # several starts before anybody claims are no more than one
                restart(own)
                await store.now()
                await store.send(signal("nothing"))
            with pytest.raises(LeaseLost):
                await store.commit(Commit("c", old.lease, None, 0, LONG, entries=(b"1",)))
            (again,) = await claims(store)
            assert (again.lease.flow, again.recoveries, again.deaths) == ("a", 0, 0)
            assert await claims(store) == ()
            assert (await store.commit(Commit("c", again.lease, None, 0, LONG, entries=(b"1",)))).held

    run(main)


def test_leases_stand_when_only_the_connection_was_cut() -> None:
    async def main() -> None:
        async with own_store() as (own, store):
            await store.create(new("a"))
            (claim,) = await claims(store)
            command(own, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert (await store.commit(Commit("c", claim.lease, None, 0, LONG, entries=(b"1",)))).held

    run(main)


@pytest.mark.parametrize("cut", [False, True], ids=["connected", "reconnecting"])
@pytest.mark.parametrize("swapped", [False, True], ids=["emptied", "swapped"])
def test_another_server_or_an_emptied_one_is_refused_and_nothing_is_written(cut: bool, swapped: bool) -> None:
    async def main() -> None:
        async with own_store() as (own, store):
            await store.create(new("a"))
            await store.get("a")
            command(own, "FLUSHALL")
            if swapped:
                async with opened(own.url) as other:
                    await other.create(new("b"))
            if cut:
                command(own, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            before = sorted(command(own, "KEYS", "*"))
            for call in (store.create(new("c")), store.get("a"), claims(store), store.extend([], LONG), store.prune(9)):
                with pytest.raises(StoreCorrupt, match="emptied or swapped"):
                    await call
            assert sorted(command(own, "KEYS", "*")) == before

    run(main)


def test_a_store_opened_again_in_an_emptied_server_is_a_new_one() -> None:
    async def main() -> None:
        async with own_store() as (own, store):
            command(own, "FLUSHALL")
            async with opened(own.url) as other:
                assert (await other.identity()).id != (await store.identity()).id

    run(main)


def test_two_stores_of_one_process_arrive_at_once_after_a_restart() -> None:
    async def main() -> None:
        async with own_store() as (own, store), opened(own.url) as other:
            await store.create(new("a"))
            (old,) = await claims(store)
            restart(own)
            await asyncio.gather(store.prune(0), other.prune(0))
            found = await asyncio.gather(claims(store), claims(other))
            (again,) = [claim for each in found for claim in each]
            assert again.lease.token != old.lease.token
            await asyncio.gather(store.get("a"), other.get("a"))  # their reading connections arrive late
            assert (await store.commit(Commit("c", again.lease, None, 0, LONG, entries=(b"1",)))).held

    run(main)
