"""What every store does: creating and claiming flows.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

import asyncio

import pytest

from ergon_runtime.core.flows import Message, Status
from ergon_runtime.errors import Conflict
from tests.stores.harness import LEASE, Bench, new, on_each_store

# R1: create


@on_each_store
async def test_r1_create_again_changes_nothing(b: Bench) -> None:
    assert await b.store.create(new())
    before = await b.row()
    b.clock.now += 5
    assert not await b.store.create(new(seed="other", priority=1))
    assert await b.row() == before


@on_each_store
async def test_r1_create_with_other_type_args_or_parent_conflicts(b: Bench) -> None:
    await b.store.create(new())
    for other in (new(type="U"), new(args=b"[]"), new(parent="p")):
        with pytest.raises(Conflict):
            await b.store.create(other)


@on_each_store
async def test_r1_create_delayed_waits_until_due(b: Bench) -> None:
    await b.store.create(new(due=b.clock.now + 50))
    assert (await b.row()).status is Status.WAITING
    claims = await b.claims()
    assert (claims.claims, claims.next_due) == ((), b.clock.now + 50)
    b.clock.now += 50
    assert await b.claimed() == ["a"]


@on_each_store
async def test_r1_create_of_ended_child_sends_its_result_again(b: Bench) -> None:
    child = await b.begin("c", parent="p")  # its parent does not exist yet: the result is lost
    await child.end(b"42")
    parent = await b.begin("p")
    await parent.commit(waits=frozenset({"child:c"}))
    reply = await parent.commit(waits=frozenset({"child:c"}), creates=(new("c", parent="p"),))
    assert reply.mail == (Message("result c", "child:c", b"42"),)
    reply = await parent.commit(consumed=("result c",), creates=(new("c", parent="p"),), waits=frozenset({"child:c"}))
    assert reply.mail == ()


@on_each_store
async def test_r1_concurrent_creates_make_one_flow(b: Bench) -> None:
    made = await asyncio.gather(*(b.store.create(new()) for _ in range(20)))
    assert sorted(made) == [False] * 19 + [True]


# R2: claim


@on_each_store
async def test_r2_claim_tells_all_and_draws_new_tokens(b: Bench) -> None:
    await b.store.create(new(version="2", parent="p", due=b.clock.now - 5))
    first = (await b.take("a")).claim
    assert (first.type, first.version, first.args, first.seed, first.parent) == ("T", "2", b"{}", "seed", "p")
    assert (first.status, first.head, first.length, first.base) == (Status.PENDING, None, 0, 0)
    assert (first.started, first.now, first.due, first.mail) == (b.clock.now, b.clock.now, b.clock.now - 5, ())
    row = await b.row()
    assert (row.status, row.owner, row.due) == (Status.RUNNING, "w", b.clock.now + LEASE)
    b.clock.now += LEASE
    second = (await b.take("a", worker="v")).claim
    assert second.lease.token != first.lease.token
    assert (second.started, second.now, second.status) == (first.started, b.clock.now, Status.RUNNING)


@on_each_store
async def test_r2_leased_flow_is_not_claimed_before_its_lease_ends(b: Bench) -> None:
    await b.begin()
    b.clock.now += LEASE - 1
    assert await b.claimed() == []
    assert await b.claimed(ids=("a",)) == []
    b.clock.now += 1
    assert await b.claimed() == ["a"]


@on_each_store
async def test_r2_recoveries_count_until_a_release(b: Bench) -> None:
    held = await b.begin()
    for recoveries in (1, 2):
        b.clock.now += LEASE
        held = await b.take("a", alone=held.claim.recoveries >= 2)
        assert held.claim.recoveries == recoveries
    await held.commit()
    assert (await b.row()).recoveries == 2
    await held.release(Status.PENDING, due=b.clock.now)
    assert (await b.row()).recoveries == 0


@on_each_store
async def test_r2_recoveries_are_forgotten_when_the_flow_gets_on(b: Bench) -> None:
    await b.begin()
    b.clock.now += LEASE
    held = await b.take("a")
    assert held.claim.recoveries == 1
    await held.commit(b"progress")
    assert (await b.row()).recoveries == 0
