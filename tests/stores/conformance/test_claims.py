"""What every store does: lanes, operators, fingerprints, suspects, clocks.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

from dataclasses import replace

from ergon_runtime.core.flows import ClaimRequest, Status
from tests.stores.harness import LANE, LEASE, Bench, new, on_each_store

# P1: lanes and priorities


@on_each_store
async def test_p1_order_is_priority_then_due_then_id(b: Bench) -> None:
    now = b.clock.now
    for flow, priority, due in (
        ("d", 5, now - 1),
        ("c", 5, now - 2),
        ("b", 5, now - 2),
        ("a", 9, now - 9),
        ("e", 0, now),
    ):
        await b.store.create(new(flow, priority=priority, due=due, lane=LANE if flow < "d" else "other"))
    claims = await b.claims(lanes=(LANE, "other"), limit=2)
    assert [claim.lease.flow for claim in claims.claims] == ["e", "b"]
    assert claims.next_due == now
    assert await b.claimed(lanes=("other", LANE)) == ["c", "d", "a"]


@on_each_store
async def test_p1_other_lanes_are_left_alone(b: Bench) -> None:
    await b.store.create(new(lane="other"))
    claims = await b.claims()
    assert (claims.claims, claims.next_due) == ((), None)


@on_each_store
async def test_p1_other_lanes_are_left_alone_beside_those_that_are_served(b: Bench) -> None:
    for flow, lane in (("mine", LANE), ("other", "other")):
        await b.store.create(new(flow, lane=lane))
    assert await b.claimed() == ["mine"]
    await b.take("other")
    b.clock.now += LEASE
    assert await b.claimed() == ["mine"]


@on_each_store
async def test_p1_limited_claim_takes_the_first_of_a_lane(b: Bench) -> None:
    for flow, due in (("d", 3), ("c", 2), ("b", 1), ("a", 1)):
        await b.store.create(new(flow, due=b.clock.now - 9 + due))
    assert [await b.claimed(limit=1) for _ in range(4)] == [["a"], ["b"], ["c"], ["d"]]


@on_each_store
async def test_p1_next_due_of_a_lane_is_the_end_of_its_first_lease(b: Bench) -> None:
    await b.begin("a")
    b.clock.now += 10
    await b.begin("b")
    assert (await b.claims()).next_due == b.clock.now - 10 + LEASE


@on_each_store
async def test_p1_expired_lease_takes_its_place_in_the_order(b: Bench) -> None:
    await b.begin("b")
    b.clock.now += LEASE
    await b.store.create(new("a"))
    await b.store.create(new("c", due=b.clock.now - 1))
    assert await b.claimed() == ["c", "a", "b"]


@on_each_store
async def test_p1_next_due_is_the_earliest_of_starts_timers_and_leases(b: Bench) -> None:
    await b.store.create(new("later", due=b.clock.now + 500, priority=1))
    assert (await b.claims()).next_due == b.clock.now + 500
    held = await b.begin("a")
    await held.release(Status.WAITING, due=b.clock.now + 300)
    assert (await b.claims()).next_due == b.clock.now + 300
    await b.begin("lease")
    assert (await b.claims(ids=("lease",))).next_due == b.clock.now + LEASE
    b.clock.now += 400
    assert (await b.claims(limit=0)).next_due == b.clock.now


@on_each_store
async def test_p1_ids_are_claimed_when_due_only(b: Bench) -> None:
    await b.store.create(new("later", due=b.clock.now + 9))
    await b.store.create(new("due", lane="other"))
    claims = await b.claims(ids=("later", "due", "nobody"))
    assert [claim.lease.flow for claim in claims.claims] == ["due"]
    assert claims.next_due == b.clock.now + 9


@on_each_store
async def test_claim_under_a_flow_gets_that_flow_and_those_below_it(b: Bench) -> None:
    for flow in ("a", "a/kid", "a/kid/1/kid#2", "ab", "a~2/kid", "A/kid", "other", "other/kid"):
        await b.store.create(new(flow))
    claims = await b.claims(under=("a", "other/kid"))
    assert [claim.lease.flow for claim in claims.claims] == ["a", "a/kid", "a/kid/1/kid#2", "other/kid"]
    assert await b.claimed(under=("a",)) == []
    assert await b.claimed(under=()) == []
    assert await b.claimed(ids=("ab", "other"), under=("other",)) == ["other"]


@on_each_store
async def test_claim_under_a_flow_looks_past_others_that_are_due_before(b: Bench) -> None:
    for n in range(20):
        await b.store.create(new(f"x{n}", due=b.clock.now - 9))
    await b.store.create(new("a/kid"))
    await b.store.create(new("x", due=b.clock.now + 5))
    await b.store.create(new("a/later", due=b.clock.now + 9))
    claims = await b.claims(under=("a",), limit=2)
    assert ([claim.lease.flow for claim in claims.claims], claims.next_due) == (["a/kid"], b.clock.now + 9)


@on_each_store
async def test_claim_under_a_flow_takes_over_its_leases_only(b: Bench) -> None:
    await b.begin("x")
    await b.begin("a/kid")
    b.clock.now += LEASE - 1
    assert (await b.claims(under=("a",))).next_due == b.clock.now + 1
    b.clock.now += 1
    assert await b.claimed(under=("a",)) == ["a/kid"]


# P3: operators; P4: fingerprints


@on_each_store
async def test_p3_operator_takes_any_flow_without_a_lease(b: Bench) -> None:
    await b.store.create(new("later", due=b.clock.now + 99))
    await b.waiting("waiting", "signal:go")
    await (await b.begin("blocked")).release(Status.BLOCKED)
    await (await b.begin("ended")).end()
    await b.begin("running")
    ids = ("blocked", "ended", "later", "running", "waiting", "nobody")
    got = {c.lease.flow: c.status for c in (await b.claims("op", ids=ids, operator=True)).claims}
    assert got == {
        "blocked": Status.BLOCKED,
        "ended": Status.COMPLETED,
        "later": Status.WAITING,
        "waiting": Status.WAITING,
    }


@on_each_store
async def test_p3_operator_takes_a_flow_whose_lease_has_ended(b: Bench) -> None:
    await b.begin()
    b.clock.now += LEASE
    assert (await b.take("a", operator=True)).claim.status is Status.RUNNING


@on_each_store
async def test_p3_operator_may_choose_by_status(b: Bench) -> None:
    await b.store.create(new("later", due=b.clock.now + 99))
    await b.store.create(new("now"))
    ids, statuses = ("later", "now"), (Status.WAITING, Status.BLOCKED)
    claims = await b.claims("op", ids=ids, operator=True, statuses=statuses)
    assert [claim.lease.flow for claim in claims.claims] == ["later"]


@on_each_store
async def test_p4_own_fingerprint_is_passed_over(b: Bench) -> None:
    held = await b.begin()
    await held.release(Status.BLOCKED, due=b.clock.now, fingerprint="old")
    claims = await b.claims(fingerprint="old")
    assert (claims.claims, claims.next_due) == ((), None)
    assert await b.claimed(ids=("a",), fingerprint="old") == []
    assert await b.claimed(fingerprint="new") == ["a"]


@on_each_store
async def test_p4_fingerprint_is_cleared_by_a_claim(b: Bench) -> None:
    held = await b.begin()
    await held.release(Status.BLOCKED, due=b.clock.now, fingerprint="old")
    assert await b.claimed(fingerprint="new") == ["a"]
    b.clock.now += LEASE
    assert await b.claimed(fingerprint="old") == ["a"]


@on_each_store
async def test_p4_backed_off_due_time_is_kept(b: Bench) -> None:
    held = await b.begin()
    await held.release(Status.BLOCKED, due=b.clock.now + 50, fingerprint="old")
    assert (await b.claims(fingerprint="old")).next_due is None
    assert (await b.claims(fingerprint="new")).next_due == b.clock.now + 50


# P5: suspects


async def _suspect(b: Bench, flow_id: str = "a") -> None:
    """A flow whose owners have died three times: two recoveries, and due again."""
    await b.begin(flow_id)
    for _ in range(2):
        b.clock.now += LEASE
        await b.take(flow_id)
    b.clock.now += LEASE


@on_each_store
async def test_p5_suspect_is_passed_over_but_reported(b: Bench) -> None:
    await _suspect(b)
    await b.store.create(new("good"))
    claims = await b.claims()
    assert [claim.lease.flow for claim in claims.claims] == ["good"]
    assert claims.suspects
    assert (await b.claims(ids=("a",))).suspects
    assert not (await b.claims(lanes=("other",))).suspects


@on_each_store
async def test_p5_alone_takes_one_suspect_and_nothing_else(b: Bench) -> None:
    await _suspect(b, "a")
    await b.store.create(new("good"))
    assert not (await b.claims(ids=("good",), alone=True)).claims
    claims = await b.claims(alone=True)
    assert [(c.lease.flow, c.recoveries, c.deaths) for c in claims.claims] == [("a", 3, 0)]
    assert not claims.suspects


@on_each_store
async def test_p5_death_while_alone_counts_and_a_release_forgets(b: Bench) -> None:
    await _suspect(b)
    for deaths in (0, 1, 2):
        held = await b.take("a", alone=True)
        assert (held.claim.recoveries, held.claim.deaths) == (3 + deaths, deaths)
        b.clock.now += LEASE
    assert (await b.row()).deaths == 2
    await held.release(Status.PENDING)
    row = await b.row()
    assert (row.recoveries, row.deaths) == (0, 0)
    held = await b.take("a")
    b.clock.now += LEASE
    assert (await b.take("a")).claim.deaths == 0


@on_each_store
async def test_p5_second_suspect_is_reported_to_the_one_alone(b: Bench) -> None:
    await b.store.create(new("a"))
    await b.store.create(new("b"))
    for _ in range(3):
        await b.claims()
        b.clock.now += LEASE
    claims = await b.claims(alone=True)
    assert [claim.lease.flow for claim in claims.claims] == ["a"]
    assert claims.suspects


# P6: clocks


@on_each_store
async def test_p6_claim_states_the_time(b: Bench) -> None:
    held = await b.begin()
    assert held.claim.now == await b.store.now() == b.clock.now


@on_each_store
async def test_p6_lease_too_far_ahead_counts_as_expired(b: Bench) -> None:
    await b.begin()
    b.clock.now -= LEASE
    assert await b.claimed() == []
    b.clock.now -= 1
    assert await b.claimed() == ["a"]


@on_each_store
async def test_p6_each_lease_is_measured_by_its_own_length(b: Bench) -> None:
    await b.store.create(new("long"))
    await b.take("long", lease=10 * LEASE)
    await b.begin("short")
    b.clock.now -= LEASE + 1
    assert await b.claimed() == ["short"]


@on_each_store
async def test_p1_claim_by_id_with_lanes_takes_only_flows_of_those_lanes(b: Bench) -> None:
    await b.store.create(new("a"))
    mine = ClaimRequest("w", LEASE, 9, lanes=("elsewhere",), ids=("a",))
    assert (await b.store.claim(mine)).claims == ()
    assert len((await b.store.claim(replace(mine, lanes=(LANE,)))).claims) == 1
