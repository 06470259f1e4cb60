"""What every store does: message ids, names, reservations, what is put aside.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

from ergon_runtime.core.flows import Message, Send, Status
from tests.stores.harness import Bench, new, on_each_store, signal

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
    reply = await held.commit(consumed=("used",), waits=frozenset({"signal:go"}))
    assert reply.mail == ()


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
async def test_s1_own_and_reserved_message_may_be_consumed_together(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    for send in (signal("go", "named"), signal("go", "own", to="a"), signal("go", "next")):
        await b.store.send(send)
    reply = await held.commit(consumed=("own", "named"), aside=("own",), waits=frozenset({"signal:go"}))
    assert [message.id for message in reply.mail] == ["next"]
    assert (await b.row()).aside == ()


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
