"""What every store does, rule by rule (the rules stand in the store contract). One suite for all, nothing skipped."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ergon_runtime.core.flows import Beat, FlowQuery, Lease, Message, Send, Status
from ergon_runtime.errors import Conflict, LeaseLost
from tests.stores.harness import LANE, LEASE, Bench, mail, new, on_each_store, signal

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
    b.clock.now += 1
    assert await b.claimed() == ["a"]


@on_each_store
async def test_r2_recoveries_count_until_a_release(b: Bench) -> None:
    held = await b.begin()
    for recoveries in (1, 2):
        b.clock.now += LEASE
        held = await b.take("a", alone=held.claim.recoveries >= 2)
        assert held.claim.recoveries == recoveries
    await held.commit(b"progress")
    assert (await b.row()).recoveries == 2
    await held.release(Status.PENDING, due=b.clock.now)
    assert (await b.row()).recoveries == 0


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


# C5 and R7: waking


@on_each_store
async def test_r7_message_on_a_channel_waited_on_makes_due_at_once(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    assert await b.claimed() == []
    b.clock.now += 5
    assert await b.store.send(signal("go", to="a"))
    assert (await b.row()).due == b.clock.now
    assert await b.claimed() == ["a"]


@on_each_store
async def test_r7_other_mail_never_makes_due(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("stop", to="a"))
    await b.store.send(mail("a", "child:x"))
    assert (await b.row()).due is None
    assert await b.claimed() == []


@on_each_store
async def test_r7_release_with_mail_present_is_due_at_once(b: Bench) -> None:
    held = await b.begin()
    await b.store.send(signal("go", to="a"))
    reply = await held.listen("signal:go", due=b.clock.now + 99)
    assert [message.id for message in reply.mail] == ["m"]
    assert (await b.row()).due == b.clock.now


@on_each_store
async def test_r7_release_with_other_mail_waits(b: Bench) -> None:
    held = await b.begin()
    await b.store.send(signal("stop", to="a"))
    await held.listen("signal:go", due=b.clock.now + 99)
    assert (await b.row()).due == b.clock.now + 99


@on_each_store
async def test_r7_mail_leaves_an_earlier_due_time(b: Bench) -> None:
    held = await b.begin()
    await held.listen("signal:go", due=b.clock.now + 5)
    b.clock.now += 9
    await b.store.send(signal("go"))
    assert (await b.row()).due == b.clock.now - 4


@on_each_store
async def test_r7_cancel_wakes_without_being_named(b: Bench) -> None:
    held = await b.begin()
    await held.release(Status.WAITING, due=b.clock.now + 99)
    await b.store.send(mail("a", "cancel", "stop"))
    held = await b.take("a")
    assert [message.id for message in held.claim.mail] == ["stop"]


@on_each_store
async def test_r7_cancel_wakes_a_delayed_start(b: Bench) -> None:
    await b.store.create(new(due=b.clock.now + 99))
    await b.store.send(mail("a", "cancel"))
    assert await b.claimed() == ["a"]


@on_each_store
async def test_r7_mail_never_makes_a_blocked_flow_due(b: Bench) -> None:
    held = await b.begin()
    await b.store.send(mail("a", "cancel", "first"))
    await held.release(Status.BLOCKED, waits=frozenset({"signal:go"}), note=b"diverged")
    await b.store.send(signal("go", to="a"))
    await b.store.send(mail("a", "cancel", "second"))
    row = await b.row()
    assert (row.status, row.due, row.waits) == (Status.BLOCKED, None, ())


@on_each_store
async def test_r7_mail_does_not_touch_a_lease(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    await b.store.send(signal("go", to="a"))
    assert (await b.row()).due == b.clock.now + LEASE


@on_each_store
async def test_r7_pending_release_without_due_is_due_now(b: Bench) -> None:
    held = await b.begin()
    await held.release(Status.PENDING)
    assert await b.claimed() == ["a"]


@on_each_store
async def test_c5_message_is_consumed_by_the_commit_that_names_it(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "one", to="a"))
    held = await b.take("a")
    await held.commit(b"x", consumed=("one",))
    await held.listen("signal:go")
    assert (await b.row()).due is None


@on_each_store
async def test_c5_consuming_what_is_not_there_loses(b: Bench) -> None:
    held = await b.begin()
    for wrong in (held.next(b"x", consumed=("ghost",)), held.next(b"x", aside=("ghost",))):
        with pytest.raises(LeaseLost):
            await b.store.commit(wrong)
    assert (await b.row()).length == 0


@on_each_store
async def test_c5_children_have_channels_of_their_own(b: Bench) -> None:
    parent = await b.begin("p")
    await parent.commit(creates=(new("c", parent="p"), new("d", parent="p")))
    await parent.listen("child:c")
    await (await b.take("d")).end(b"D")
    assert (await b.row("p")).due is None
    await (await b.take("c")).end(b"C")
    parent = await b.take("p")
    assert parent.claim.mail == (Message("result c", "child:c", b"C"),)
    reply = await parent.commit(consumed=("result c",), waits=frozenset({"child:d"}))
    assert reply.mail == (Message("result d", "child:d", b"D"),)


# R5: ends


@on_each_store
async def test_r5_end_clears_the_row(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    reply = await held.end(b"42", Status.FAILED, waits=frozenset({"signal:go"}), due=b.clock.now)
    row = await b.row()
    assert (row.status, row.result, row.owner, row.due, row.waits) == (Status.FAILED, b"42", None, None, ())
    assert not reply.held
    assert await b.claimed() == await b.claimed(ids=("a",)) == []


@on_each_store
async def test_r5_ended_flow_refuses_messages_but_childrens_results(b: Bench) -> None:
    parent = await b.begin("p")
    await parent.commit(creates=(new("c", parent="p"),))
    await parent.end()
    assert not await b.store.send(signal("go", to="p"))
    assert not await b.store.send(mail("p", "cancel"))
    await (await b.take("c")).end(b"C")
    assert (await b.row("p")).status is Status.COMPLETED
    reopened = await b.take("p", operator=True)
    reply = await reopened.commit(waits=frozenset({"child:c"}))
    assert [message.body for message in reply.mail] == [b"C"]


@on_each_store
async def test_r5_operator_reopens_an_ended_flow(b: Bench) -> None:
    held = await b.begin()
    await b.store.send(mail("a", "cancel", "stop"))
    await held.end(b"bad", Status.FAILED)
    reopened = await b.take("a", operator=True)
    assert (reopened.claim.status, reopened.claim.mail) == (Status.FAILED, ())
    assert await b.store.prune(b.clock.now + 1) == 0
    await reopened.commit(b"retried")
    row = await b.row()
    assert (row.status, row.result) == (Status.RUNNING, None)


# R6 and S3: once per id


@on_each_store
async def test_r6_send_again_is_taken_once(b: Bench) -> None:
    held = await b.begin()
    for body in (b"1", b"2"):
        assert await b.store.send(signal("go", "m", to="a", body=body))
    reply = await held.commit(waits=frozenset({"signal:go"}))
    assert [message.body for message in reply.mail] == [b"1"]


@on_each_store
async def test_r6_id_belongs_to_target_and_channel(b: Bench) -> None:
    held = await b.begin()
    await b.begin("b")
    for send in (signal("go", to="a"), signal("go", to="b"), signal("stop", to="a"), signal("go")):
        assert await b.store.send(send)
    reply = await held.commit(waits=frozenset({"signal:go", "signal:stop"}))
    assert [message.channel for message in reply.mail] == ["signal:go", "signal:stop", "signal:go"]


@on_each_store
async def test_r6_send_to_nobody_is_not_taken(b: Bench) -> None:
    assert not await b.store.send(signal("go", to="nobody"))
    assert not await b.store.send(Send(None, Message("m", "cancel", b"")))
    await b.store.create(new("nobody"))
    assert await b.store.send(signal("go", to="nobody"))


@on_each_store
async def test_s3_id_outlives_consumption_and_the_flow(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "once"))
    await (await b.take("a")).end(consumed=("once",))
    assert await b.store.send(signal("go", "once"))
    held = await b.waiting("b", "signal:go")
    assert (await b.row(held.claim.lease.flow)).due is None


@on_each_store
async def test_s3_id_of_a_name_lasts_until_prune(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "used"))
    await (await b.take("a")).end(consumed=("used",))
    await b.store.send(signal("go", "kept"))
    b.clock.now += 10
    await b.store.prune(b.clock.now)
    for message_id in ("used", "kept"):
        await b.store.send(signal("go", message_id, body=b"again"))
    held = await b.begin("b")
    reply = await held.commit(waits=frozenset({"signal:go"}))
    assert [(message.id, message.body) for message in reply.mail] == [("kept", b"1")]
    reply = await held.commit(consumed=("kept",), waits=frozenset({"signal:go"}))
    assert [(message.id, message.body) for message in reply.mail] == [("used", b"again")]


# R8, R9, R10


@on_each_store
async def test_r8_payloads_are_opaque_bytes(b: Bench) -> None:
    odd = bytes(range(256)) + "\N{SNOWMAN}".encode()
    held = await b.begin("fl\N{LATIN SMALL LETTER O WITH DIAERESIS}w", args=odd)
    flow = held.claim.lease.flow
    await b.store.send(signal("go", to=flow, body=odd))
    reply = await held.commit(odd, b"", waits=frozenset({"signal:go"}))
    assert reply.mail[0].body == odd
    await held.end(odd, note=odd)
    row = await b.row(flow)
    assert (row.args, row.result, row.note, await b.store.journal(flow, 0, 9)) == (odd, odd, odd, [odd, b""])


@on_each_store
async def test_r9_waiting_flow_has_no_owner(b: Bench) -> None:
    held = await b.waiting("a", "signal:go")
    row = await b.row()
    assert (row.status, row.owner, row.due) == (Status.WAITING, None, None)
    assert await b.store.extend([held.claim.lease], LEASE) == {}


@on_each_store
async def test_r10_identity_states_durability_and_stays(b: Bench) -> None:
    identity = await b.store.identity()
    assert identity.durability
    assert 0 <= int(identity.hash_seed) < 2**32
    other = b.store.clone()
    await other.open()
    assert await other.identity() == identity
    await other.close()


@on_each_store
async def test_r10_clone_sees_what_was_acknowledged(b: Bench) -> None:
    other = b.store.clone()
    await other.open()
    await b.store.create(new())
    assert await other.get("a") == await b.row()
    await other.close()


# S1: names


@on_each_store
async def test_s1_named_signal_goes_to_the_longest_waiter(b: Bench) -> None:
    for flow in ("b", "a", "c"):
        await b.waiting(flow, "signal:go")
    for message_id in ("1", "2"):
        await b.store.send(signal("go", message_id))
    got = {c.lease.flow: [m.id for m in c.mail] for c in (await b.claims()).claims}
    assert got == {"b": ["1"], "a": ["2"]}
    assert (await b.row("b")).waits[0].reserved
    assert not (await b.row("c")).waits[0].reserved


@on_each_store
async def test_s1_named_signal_is_kept_until_one_listens(b: Bench) -> None:
    for message_id in ("1", "2"):
        assert await b.store.send(signal("go", message_id))
    held = await b.begin()
    reply = await held.commit(waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["1"]
    reply = await held.commit(consumed=("1",), waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["2"]


@on_each_store
async def test_s1_own_mail_comes_before_reserved_and_in_order(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    await b.store.send(signal("go", "named"))
    for message_id in ("z", "y"):
        await b.store.send(signal("go", message_id, to="a"))
    reply = await held.commit(waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["z", "y", "named"]


@on_each_store
async def test_s1_next_wait_queues_anew(b: Bench) -> None:
    first = await b.begin("a")
    await first.commit(waits=frozenset({"signal:go"}))
    await b.waiting("b", "signal:go")
    await b.store.send(signal("go", "1"))
    await first.commit(consumed=("1",), waits=frozenset({"signal:go"}))
    await b.store.send(signal("go", "2"))
    assert [c.lease.flow for c in (await b.claims()).claims] == ["b"]


@on_each_store
async def test_s1_consuming_own_mail_ends_the_wait_and_returns_the_reserved(b: Bench) -> None:
    first = await b.begin("a")
    await first.commit(waits=frozenset({"signal:go"}))
    await b.waiting("b", "signal:go")
    await b.store.send(signal("go", "named"))
    await b.store.send(signal("go", "own", to="a"))
    reply = await first.commit(consumed=("own",), waits=frozenset({"signal:go"}))
    assert reply.mail == ()
    assert [m.id for m in (await b.take("b")).claim.mail] == ["named"]


@on_each_store
async def test_s1_one_reservation_per_wait(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "1"))
    await b.store.send(signal("go", "2"))
    assert [m.id for m in (await b.take("a")).claim.mail] == ["1"]


@on_each_store
async def test_s1_names_do_not_mix_and_other_channels_are_no_names(b: Bench) -> None:
    await b.waiting("a", "signal:go", "child:x")
    await b.store.send(signal("stop"))
    await b.store.send(Send(None, Message("m", "child:x", b"")))
    assert (await b.row()).due is None


# S2: reservations are given back


@on_each_store
async def test_s2_dropped_wait_gives_the_message_to_the_next_waiter(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.waiting("b", "signal:go")
    await b.store.send(signal("go", "1"))
    held = await b.take("a")
    reply = await held.listen("signal:other")
    assert reply.mail == ()
    assert [m.id for m in (await b.take("b")).claim.mail] == ["1"]


@on_each_store
async def test_s2_end_gives_the_message_back_to_its_old_place(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "1"))
    await b.store.send(signal("go", "2"))
    await (await b.take("a")).end()
    held = await b.begin("b")
    reply = await held.commit(waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["1"]


@on_each_store
async def test_s2_blocking_gives_the_message_back(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.waiting("b", "signal:go")
    await b.store.send(signal("go", "1"))
    await (await b.take("a")).release(Status.BLOCKED, waits=frozenset({"signal:go"}))
    assert [m.id for m in (await b.take("b")).claim.mail] == ["1"]


@on_each_store
async def test_s2_returned_message_wakes_the_flow_that_suspends_with_it(b: Bench) -> None:
    """Drop and listen again in two commits: the message must come back to the only listener."""
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "1"))
    held = await b.take("a")
    await held.commit()
    await held.listen("signal:go")
    assert [m.id for m in (await b.take("a")).claim.mail] == ["1"]


# S4: aside


@on_each_store
async def test_s4_message_put_aside_leaves_the_wait_in_its_place(b: Bench) -> None:
    first = await b.begin("a")
    await first.commit(waits=frozenset({"signal:go"}))
    since = b.clock.now
    await b.waiting("b", "signal:go")
    await b.store.send(signal("go", "bad"))
    b.clock.now += 5
    reply = await first.commit(aside=("bad",), waits=frozenset({"signal:go"}))
    assert reply.mail == ()
    row = await b.row()
    assert row.aside == (Message("bad", "signal:go", b"1"),)
    assert (row.waits[0].since, row.waits[0].reserved) == (since, False)
    await b.store.send(signal("go", "good"))
    assert [m.id for m in (await first.commit(waits=frozenset({"signal:go"}))).mail] == ["good"]


@on_each_store
async def test_s4_put_aside_makes_room_for_the_next_kept_message(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    await b.store.send(signal("go", "bad"))
    await b.store.send(signal("go", "next"))
    await b.store.send(signal("go", "own", to="a"))
    reply = await held.commit(aside=("bad", "own"), waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["next"]
    assert [message.id for message in (await b.row()).aside] == ["bad", "own"]


@on_each_store
async def test_s4_what_is_aside_does_not_wake(b: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "bad"))
    await (await b.take("a")).listen("signal:go", aside=("bad",))
    assert (await b.row()).due is None


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
async def test_p4_own_fingerprint_is_passed_over(b: Bench) -> None:
    held = await b.begin()
    await held.release(Status.BLOCKED, due=b.clock.now, fingerprint="old")
    claims = await b.claims(fingerprint="old")
    assert (claims.claims, claims.next_due) == ((), None)
    assert await b.claimed(ids=("a",), fingerprint="old") == []
    assert await b.claimed(fingerprint="new") == ["a"]


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


# extend, workers, wait, list, prune


@on_each_store
async def test_extend_renews_held_leases_and_leaves_out_lost_ones(b: Bench) -> None:
    held, lost = await b.begin("a"), await b.begin("b")
    b.clock.now += LEASE
    await b.take("b")
    assert await b.store.extend([held.claim.lease, lost.claim.lease, Lease("nobody", "t")], 77) == {"a": ()}
    assert (await b.row()).due == b.clock.now + 77
    assert (await b.row("b")).due == b.clock.now + LEASE


@on_each_store
async def test_beat_makes_a_worker_live_until_it_is_silent(b: Bench) -> None:
    await b.store.extend([], LEASE, Beat("w", (LANE, "other"), 100, "host", 7, 3))
    (row,) = await b.store.workers()
    assert (row.worker, row.lanes, row.host, row.pid, row.concurrency) == ("w", (LANE, "other"), "host", 7, 3)
    assert (row.seen, row.until) == (b.clock.now, b.clock.now + 100)
    b.clock.now += 100
    assert await b.store.workers() == []


@on_each_store
async def test_beat_signs_off_and_replaces(b: Bench) -> None:
    for worker in ("w", "v"):
        await b.store.extend([], LEASE, Beat(worker, (), 100))
    await b.store.extend([], LEASE, Beat("v", (LANE,), 100))
    await b.store.extend([], LEASE, Beat("w", (), 0))
    assert [(row.worker, row.lanes) for row in await b.store.workers()] == [("v", (LANE,))]


@on_each_store
async def test_wait_first_returns_at_once_then_sleeps(b: Bench) -> None:
    assert await asyncio.wait_for(b.store.wait("w", 60), 5) == frozenset()
    assert await b.store.wait("w", 0.01) == frozenset()


@on_each_store
async def test_wait_returns_on_a_change_made_before_or_while_it_sleeps(b: Bench) -> None:
    await b.store.wait("w", 60)
    await b.store.create(new())
    await asyncio.wait_for(b.store.wait("w", 60), 5)
    sleeping = asyncio.create_task(b.store.wait("w", 60))
    await asyncio.sleep(0)
    await b.store.create(new("b"))
    await asyncio.wait_for(sleeping, 5)


@on_each_store
async def test_wait_names_leased_flows_with_new_mail_once(b: Bench) -> None:
    held = await b.begin("a")
    await held.commit(waits=frozenset({"signal:go"}))
    await b.begin("deaf")
    await b.store.wait("w", 0)
    await b.store.send(signal("go"))
    await b.store.send(signal("go", to="deaf"))
    assert await asyncio.wait_for(b.store.wait("w", 60), 5) == {"a"}
    await b.store.create(new("other"))
    assert await asyncio.wait_for(b.store.wait("w", 60), 5) == frozenset()
    await b.store.send(mail("deaf", "cancel"))
    assert await asyncio.wait_for(b.store.wait("v", 60), 5) == frozenset()
    assert await asyncio.wait_for(b.store.wait("w", 60), 5) == {"deaf"}


@on_each_store
async def test_wait_in_a_clone_hears_of_changes(b: Bench) -> None:
    other = b.store.clone()
    await other.open()
    await other.wait("v", 60)
    sleeping = asyncio.create_task(other.wait("v", 60))
    await asyncio.sleep(0)
    await b.store.create(new())
    await asyncio.wait_for(sleeping, 5)
    await other.close()


@on_each_store
async def test_list_filters_and_pages_newest_first(b: Bench) -> None:
    for n, flow in enumerate(("a1", "b1", "b2", "c1")):
        b.clock.now += n // 2  # b2 and b1 share a moment
        await b.store.create(new(flow, type="U" if flow == "c1" else "T", parent="p" if flow == "b2" else None))
    await (await b.take("a1")).listen("signal:go")

    async def ids(**query: object) -> list[str]:
        return [row.id for row in await b.store.list(FlowQuery(**query))]  # type: ignore[arg-type]

    assert await ids() == ["c1", "b2", "b1", "a1"]
    assert await ids(types=("U", "V")) == ["c1"]
    assert await ids(statuses=(Status.WAITING, Status.FAILED)) == ["a1"]
    assert await ids(part="b") == ["b2", "b1"]
    assert await ids(part="%") == []
    assert await ids(parent="p") == ["b2"]
    assert await ids(waiting_on="signal:go") == ["a1"]
    page = await b.store.list(FlowQuery(limit=2))
    assert await ids(before=(page[-1].created, page[-1].id)) == ["b1", "a1"]


@on_each_store
async def test_prune_deletes_what_ended_before(b: Bench) -> None:
    for flow in ("old", "new", "live"):
        held = await b.begin(flow)
        await held.commit(b"x")
        await b.store.send(signal("go", to=flow))
        if flow != "live":
            await held.end()
        b.clock.now += 10
    assert await b.store.prune(b.clock.now - 20) == 1
    assert [row.id for row in await b.store.list(FlowQuery())] == ["live", "new"]
    assert await b.store.journal("old", 0, 9) == []
    held = await b.begin("old")
    assert await b.store.send(signal("go", to="old"))
    reply = await held.commit(waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["m"]
