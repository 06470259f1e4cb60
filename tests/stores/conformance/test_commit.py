"""What every store does: who may commit, and what a commit writes.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ergon_runtime.core.flows import FlowQuery, Lease, Status
from ergon_runtime.errors import Conflict, LeaseLost
from ergon_runtime.stores.records import FlowRecord, Kind
from tests.stores.copies import pieces
from tests.stores.harness import LEASE, Bench, mail, new, on_each_store, signal

# R3 and C1: tokens and heads


@on_each_store
async def test_r3_other_token_with_equal_head_loses(b: Bench) -> None:
    """The head alone would hide it: both owners stand at the same commit."""
    stale = await b.begin()
    b.clock.now += LEASE
    fresh = await b.take("a")
    assert fresh.head == stale.head
    with pytest.raises(LeaseLost):
        await stale.commit(b"stale")
    assert await b.store.journal("a", 0, 10) == []
    await fresh.commit(b"fresh")
    assert await b.store.journal("a", 0, 10) == [b"fresh"]


@on_each_store
async def test_r3_tokens_are_compared_for_equality_never_for_order(b: Bench) -> None:
    held = await b.begin()
    right = held.claim.lease.token
    for wrong in ("", "0", "~", f"{right}0", right[:-1]):
        lease = Lease("a", wrong)
        with pytest.raises(LeaseLost):
            await b.store.commit(replace(held.next(b"wrong"), lease=lease))
        assert not await b.store.extend([lease], LEASE)
    assert (await b.row()).length == 0


@on_each_store
async def test_r3_other_head_with_equal_token_loses(b: Bench) -> None:
    held = await b.begin()
    stale = held.next(b"stale")
    await held.commit(b"one")
    with pytest.raises(LeaseLost):
        await b.store.commit(stale)
    with pytest.raises(LeaseLost):
        await b.store.commit(replace(stale, start=1))
    assert await b.store.journal("a", 0, 10) == [b"one"]


@on_each_store
async def test_r9_commit_with_a_lease_of_another_length_holds_for_as_long(b: Bench) -> None:
    held = await b.begin()
    await held.apply(replace(held.next(b"one"), lease_length=3 * LEASE))
    b.clock.now += 2 * LEASE
    assert await b.claimed() == []
    assert await b.store.verify() == []
    await held.apply(replace(held.next(b"two"), lease_length=LEASE // 2))
    b.clock.now += LEASE // 2
    assert await b.claimed() == ["a"]


@on_each_store
async def test_r3_released_flow_takes_no_commit(b: Bench) -> None:
    held = await b.begin()
    await held.listen("signal:go")
    with pytest.raises(LeaseLost):
        await held.commit(b"late")


@on_each_store
async def test_r3_lost_commit_writes_nothing_at_all(b: Bench) -> None:
    stale = await b.begin()
    await b.store.create(new("x"))
    b.clock.now += LEASE
    await b.take("a")
    with pytest.raises(LeaseLost):
        await stale.end(creates=(new("child"),), sends=(signal("go"), mail("x", "cancel")))
    assert await b.store.get("child") is None
    assert (await b.take("x")).claim.mail == ()
    assert (await b.row()).status is Status.RUNNING


@on_each_store
async def test_r3_unknown_flow_is_lost(b: Bench) -> None:
    held = await b.begin()
    with pytest.raises(LeaseLost):
        await b.store.commit(replace(held.next(), lease=Lease("nobody", "t")))


@on_each_store
async def test_c3_commit_that_changes_no_wait_may_still_say_all_else(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go", "signal:on"}))
    for message in ("m", "n"):
        await b.store.send(signal("go", message, to="a"))
    await held.commit(creates=(new("child"),), dropped=frozenset())
    await held.commit(sends=(signal("there", to="child"),), dropped=frozenset())
    assert (await b.row("child")).status is Status.PENDING
    reply = await held.commit(aside=("m",), dropped=frozenset())
    assert [message.id for message in reply.mail] == ["n"]
    assert [message.id for message in (await b.row()).aside] == ["m"]
    assert (await held.commit(consumed=("n",), dropped=frozenset())).mail == ()
    (_, child) = await pieces(b.store, Kind.FLOWS)
    assert isinstance(child, FlowRecord)
    assert child.sent == (("signal:there", "m"),)


@on_each_store
async def test_c1_resent_commit_is_applied_once(b: Bench) -> None:
    held = await b.begin()
    commit = held.next(b"one", sends=(signal("go", "s"),), waits=frozenset({"signal:go"}))
    first = await b.store.commit(commit)
    assert await b.store.commit(commit) == first
    assert await b.store.journal("a", 0, 10) == [b"one"]
    assert first.held
    assert [message.id for message in first.mail] == ["s"]


@on_each_store
async def test_c1_resent_release_says_not_held(b: Bench) -> None:
    held = await b.begin()
    commit = held.next(b"one", status=Status.WAITING, release=True)
    assert not (await b.store.commit(commit)).held
    assert not (await b.store.commit(commit)).held
    assert (await b.row()).length == 1


@on_each_store
async def test_c1_resend_after_another_claim_says_not_held(b: Bench) -> None:
    held = await b.begin()
    commit = held.next(b"one")
    await b.store.commit(commit)
    b.clock.now += LEASE
    await b.take("a")
    assert not (await b.store.commit(commit)).held


@on_each_store
async def test_c1_expired_lease_that_nobody_took_still_writes(b: Bench) -> None:
    held = await b.begin()
    b.clock.now += 10 * LEASE
    assert (await held.commit(b"one")).held
    assert (await b.row()).due == b.clock.now + LEASE


# C2, C3, R4: what a commit writes


@on_each_store
async def test_r4_journal_is_dense_and_read_in_pages(b: Bench) -> None:
    held = await b.begin()
    await held.commit(b"0", b"1", b"2")
    await held.commit()
    await held.commit(b"3", b"\x00\xff")
    assert (await b.row()).length == 5
    assert await b.store.journal("a", 1, 3) == [b"1", b"2", b"3"]
    assert await b.store.journal("a", 4, 10) == [b"\x00\xff"]
    assert await b.store.journal("nobody", 0, 10) == []


@on_each_store
async def test_r4_start_that_is_not_the_length_loses(b: Bench) -> None:
    held = await b.begin()
    with pytest.raises(LeaseLost):
        await b.store.commit(replace(held.next(b"x"), start=1))
    assert (await b.row()).length == 0


@on_each_store
async def test_p2_claim_returns_head_and_length(b: Bench) -> None:
    held = await b.begin()
    await held.commit(b"0", b"1")
    await held.listen("signal:go", due=b.clock.now, base=1)
    again = (await b.take("a")).claim
    assert (again.head, again.length, again.base, again.status) == (held.head, 2, 1, Status.WAITING)


@on_each_store
async def test_c3_commit_sets_the_row(b: Bench) -> None:
    held = await b.begin()
    b.clock.now += 7
    await held.commit(note=b"why", fingerprint="f", waits=frozenset({"signal:go", "cancel"}))
    row = await b.row()
    assert (row.note, row.fingerprint, row.updated, row.due) == (b"why", "f", b.clock.now, b.clock.now + LEASE)
    assert [(wait.channel, wait.since, wait.reserved) for wait in row.waits] == [("signal:go", b.clock.now, False)]
    await held.release(Status.WAITING, due=b.clock.now + 9)
    row = await b.row()
    assert (row.note, row.fingerprint, row.due, row.owner) == (b"why", None, b.clock.now + 9, None)
    assert row.waits == ()


@on_each_store
async def test_c3_kept_wait_keeps_its_age(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    since = b.clock.now
    b.clock.now += 5
    await held.commit(waits=frozenset({"signal:go", "signal:stop"}))
    assert [(w.channel, w.since) for w in (await b.row()).waits] == [("signal:go", since), ("signal:stop", since + 5)]


@on_each_store
async def test_c3_creates_are_in_the_commit(b: Bench) -> None:
    held = await b.begin()
    await held.commit(b"x", creates=(new("a/c", parent="a"), new("a/d", parent="a", due=b.clock.now + 9)))
    assert [(r.id, r.parent, r.status) for r in await b.store.list(FlowQuery(parent="a"))] == [
        ("a/d", "a", Status.WAITING),
        ("a/c", "a", Status.PENDING),
    ]


@on_each_store
async def test_c3_conflicting_create_writes_nothing(b: Bench) -> None:
    held = await b.begin()
    await b.store.create(new("taken", args=b"other"))
    refused = held.next(b"x", creates=(new("free"), new("taken")), sends=(signal("go"),), note=b"n")
    before = await b.row()
    with pytest.raises(Conflict) as caught:
        await b.store.commit(refused)
    assert caught.value.flow_id == "taken"
    assert await b.store.get("free") is None
    assert await b.row() == before
    assert (await held.commit(waits=frozenset({"signal:go"}))).mail == ()


@on_each_store
async def test_c3_contradictory_commit_is_refused(b: Bench) -> None:
    held = await b.begin()
    for wrong in (held.next(release=True), held.next(status=Status.WAITING)):
        with pytest.raises(ValueError, match="lease"):
            await b.store.commit(wrong)


@on_each_store
async def test_c4_commit_and_extend_answer_with_new_mail(b: Bench) -> None:
    held = await b.begin()
    assert (await held.commit(waits=frozenset({"signal:go"}))).mail == ()
    await b.store.send(signal("go", "own", to="a"))
    await b.store.send(signal("go", "named"))
    await b.store.send(mail("a", "cancel", "stop"))
    seen = await b.store.extend([held.claim.lease], LEASE)
    assert [message.id for message in seen["a"]] == ["own", "stop", "named"]
    assert (await held.commit(waits=frozenset({"signal:go"}))).mail == seen["a"]
