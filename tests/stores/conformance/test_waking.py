"""What every store does: when mail makes a flow due, and when not.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

import pytest

from ergon_runtime.core.flows import Message, Status
from ergon_runtime.errors import LeaseLost
from tests.stores.harness import LEASE, Bench, mail, new, on_each_store, signal

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
