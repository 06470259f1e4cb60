"""What scripts must take though Lua has little room: very many arguments, large and binary ones, numbers beyond 2^53,
and a server's clock that is set back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ergon_runtime.core.flows import FlowQuery, Status
from ergon_runtime.stores.redis.store import RedisStore
from tests.stores.harness import LEASE, Bench, Clock, mail, make_store, new, signal
from tests.stores.redis.servers import run

MANY = 10_000


def on_redis(scenario: Callable[[Bench], Awaitable[None]]) -> Callable[[Path], None]:
    """Make a test of an async scenario."""

    def test(tmp_path: Path) -> None:
        async def main() -> None:
            clock = Clock()
            store = make_store("redis", tmp_path, clock)
            assert isinstance(store, RedisStore)
            await store.open()
            try:
                await scenario(Bench(store, clock))
            finally:
                await store.close()

        run(main)

    test.__name__ = scenario.__name__
    return test


@on_redis
async def test_commit_with_ten_thousand_creates_and_sends_is_applied_whole(b: Bench) -> None:
    held = await b.begin("a")
    await held.commit(b"1", creates=tuple(new(f"a/{n}", parent="a", lane="elsewhere") for n in range(MANY)))
    await held.commit(b"2", sends=tuple(mail(f"a/{n}", "signal:go", str(n)) for n in range(MANY)))
    assert len(await b.store.list(FlowQuery(parent="a", limit=2 * MANY))) == MANY
    assert [m.id for m in (await b.take(f"a/{MANY - 1}")).claim.mail] == []
    assert await b.store.send(mail("a/0", "signal:go", "0")), "it was sent that before"


@on_redis
async def test_commit_with_twenty_thousand_entries_keeps_their_order(b: Bench) -> None:
    held = await b.begin("a")
    entries = [str(n).encode() for n in range(2 * MANY)]
    await held.commit(*entries)
    assert await b.store.journal("a", 0, 3 * MANY) == entries


@on_redis
async def test_commits_of_a_mebibyte_from_many_flows_go_through_at_once(b: Bench) -> None:
    helds = [await b.begin(f"f{n}") for n in range(20)]
    entries = [secrets.token_bytes(1 << 20) for _ in helds]
    await asyncio.gather(*(held.commit(entry) for held, entry in zip(helds, entries, strict=True)))
    assert [(await b.store.journal(f"f{n}", 0, 9))[0] for n in range(20)] == entries


@on_redis
async def test_claim_of_hundreds_of_flows_gives_each_its_token(b: Bench) -> None:
    await asyncio.gather(*(b.store.create(new(f"f{n}")) for n in range(900)))
    claims = (await b.claims(limit=800)).claims
    assert len({claim.lease.token for claim in claims}) == 800


@on_redis
async def test_flow_that_waits_on_thousands_of_names_hears_and_drops_them(b: Bench) -> None:
    names = [f"n{n}" for n in range(9000)]
    await b.waiting("a", *(f"signal:{name}" for name in names))
    await asyncio.gather(*(b.store.send(signal(name, f"m-{name}")) for name in names))
    heard = 0
    while heard < len(names):
        held = await b.take("a")
        assert held.claim.mail
        heard += len(held.claim.mail)
        await held.listen(consumed=tuple(message.id for message in held.claim.mail), dropped=frozenset())
    assert await b.claimed() == []


@on_redis
async def test_every_byte_survives_in_arguments_entries_results_and_messages(b: Bench) -> None:
    every = bytes(range(256)) * 300
    held = await b.begin("a", args=every)
    await held.commit(every, note=every)
    await b.waiting("listener", "signal:go")
    await b.store.send(signal("go", body=every))
    assert (await b.take("listener")).claim.mail[0].body == every
    await held.end(every)
    row = await b.row("a")
    assert (row.args, row.result, row.note, await b.store.journal("a", 0, 9)) == (every, every, every, [every])


@pytest.mark.parametrize("due", [2**53 - 1, 2**53 + 1, 10**17, 2**63, 10**30])
def test_due_time_beyond_what_lua_counts_can_be_read(due: int, tmp_path: Path) -> None:
    async def scenario(b: Bench) -> None:
        await b.store.create(new("a", due=due))
        held = await b.begin("b")
        await held.release(Status.WAITING, due=due)
        assert [(await b.row(each)).due for each in "ab"] == [min(due, 2**53)] * 2
        assert await b.claimed() == []
        b.clock.now = 2**53 + 1
        assert await b.claimed() == ["a", "b"]

    on_redis(scenario)(tmp_path)


@on_redis
async def test_lease_of_a_clock_since_set_back_is_taken_over(b: Bench) -> None:
    await b.begin("a")
    b.clock.now -= LEASE
    assert await b.claimed() == []
    b.clock.now -= 2 * LEASE
    assert await b.claimed() == ["a"]
