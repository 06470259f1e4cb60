"""What scripts promise beyond the suite: one call per operation, the server's clock, ids kept apart, the schema."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

import pytest
from redis.asyncio import Redis

from ergon_runtime.errors import SchemaMismatch, StoreUnavailable
from ergon_runtime.stores import rules
from ergon_runtime.stores.redis import scripts
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.link import Link
from ergon_runtime.stores.redis.store import RedisStore
from tests.redis_server import shared_server
from tests.stores.harness import Bench, Clock, mail, new
from tests.stores.redis.servers import run


def store_now(space: str, clock: Clock | None = None) -> RedisStore:
    return RedisStore(parse_redis(f"{shared_server().url}?namespace={space}"), clock=clock)


def test_k3_death_after_any_call_of_an_end_leaves_no_parent_without_the_result() -> None:
    async def end(left: int) -> bool:
        """Die after so many calls; whether the end was answered."""
        store = store_now(secrets.token_hex(8), clock := Clock())
        await store.open()
        b = Bench(store, clock)
        parent = await b.begin("a")
        await parent.listen("child:a/1", creates=(new("a/1", parent="a"),))
        child = await b.take("a/1")
        with pytest.MonkeyPatch.context() as patch:
            _let_through(left, patch)
            try:
                await child.end()
                answered = True
            except StoreUnavailable:
                answered = False
        ended = (await b.row("a/1")).status.ended
        assert await b.claimed(ids=("a",)) == (["a"] if ended else [])
        await store.close()
        return answered

    async def main() -> None:
        counts = itertools.count()
        while not await end(left := next(counts)):
            pass
        assert left, "an end without a call"

    run(main)


def _let_through(left: int, patch: pytest.MonkeyPatch) -> None:
    real, numbers = Link.call, itertools.count()

    async def call(self: Link, script: scripts.Script, *args: Any) -> Any:
        if next(numbers) < left:
            return await real(self, script, *args)
        raise StoreUnavailable("dead")

    patch.setattr(Link, "call", call)


def test_r12_time_is_the_servers_whatever_the_hosts_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "utc_now", lambda: 4711)

    async def main() -> None:
        store = store_now(secrets.token_hex(8))
        await store.open()
        b = Bench(store, Clock())
        held = await b.begin("a")
        row = await b.row("a")
        server = Redis(unix_socket_path=str(shared_server().socket))
        seconds, _ = await server.time()  # type: ignore[misc]  # the stubs know no answer
        await server.aclose()
        assert all(abs(each - seconds * 1000) < 60_000 for each in (row.created, held.claim.now, await store.now()))
        await store.close()

    run(main)


def test_r6_ids_that_run_together_are_not_taken_for_each_other() -> None:
    async def main() -> None:
        store = store_now(secrets.token_hex(8), Clock())
        await store.open()
        b = Bench(store, Clock())
        await b.waiting("a", "signal:go:b", "signal:go")
        for channel, message in (("signal:go:b", "c"), ("signal:go", "b:c")):
            assert await store.send(mail("a", channel, message))
        assert len((await b.take("a")).claim.mail) == 2
        await store.close()

    run(main)


def test_newer_schema_is_a_mismatch() -> None:
    async def main() -> None:
        space = secrets.token_hex(8)
        store = store_now(space)
        await store.open()
        await store.close()
        server = Redis(unix_socket_path=str(shared_server().socket))
        await server.hset(f"{{{space}}}:meta", "schema", "999")  # type: ignore[misc]  # as above
        await server.aclose()
        with pytest.raises(SchemaMismatch, match="Upgrade ergon-runtime"):
            await store_now(space).open()

    run(main)
