"""What every store does: when mail makes a flow due, and when not.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

from typing import Any

import pytest

from ergon_runtime.core.flows import Message, Status
from ergon_runtime.errors import LeaseLost
from ergon_runtime.stores.rules import MAIL, WAITS
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
async def test_r7_message_makes_a_flow_due_at_once_whose_timeout_is_later(b: Bench) -> None:
    held = await b.begin("a")
    await held.listen("signal:go", due=b.clock.now + 500)
    b.clock.now += 5
    assert await b.store.send(signal("go"))
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
    before = await b.row()
    for wrong in (held.next(b"x", consumed=("ghost",)), held.next(b"x", aside=("ghost",))):
        with pytest.raises(LeaseLost):
            await b.store.commit(wrong)
    assert await b.row() == before


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


# Commits that state a change of the waits


@on_each_store
async def test_commit_that_states_a_change_leaves_the_other_waits(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:a", "signal:b"}))
    b.clock.now += 5
    await held.commit(waits=frozenset({"signal:c", "cancel"}), dropped=frozenset({"signal:a"}))
    waits = {wait.channel: wait.since for wait in (await b.row()).waits}
    assert waits == {"signal:b": b.clock.now - 5, "signal:c": b.clock.now}


@on_each_store
async def test_wait_that_is_begun_again_stands_as_it_was(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    other = await b.begin("b")
    await other.commit(waits=frozenset({"signal:go"}))
    b.clock.now += 5
    reply = await held.commit(waits=frozenset({"signal:go"}), dropped=frozenset({"signal:none"}))
    assert ((await b.row()).waits[0].since, reply.mail) == (b.clock.now - 5, ())
    await b.store.send(signal("go"))
    assert (await b.row()).waits[0].reserved


@on_each_store
async def test_message_consumed_ends_its_wait_though_the_change_does_not_say_so(b: Bench) -> None:
    held = await b.begin()
    await b.store.send(signal("go", to="a"))
    await held.commit(waits=frozenset({"signal:go", "signal:stop"}))
    await held.commit(b"x", consumed=("m",), dropped=frozenset())
    assert [wait.channel for wait in (await b.row()).waits] == ["signal:stop"]
    b.clock.now += 5
    await b.store.send(signal("stop", "n", to="a"))
    await held.commit(b"y", consumed=("n",), waits=frozenset({"signal:stop"}), dropped=frozenset())
    assert [wait.since for wait in (await b.row()).waits] == [b.clock.now]


@on_each_store
async def test_dropped_wait_gives_its_reserved_message_back(b: Bench) -> None:
    held, other = await b.begin(), await b.begin("b")
    await held.commit(waits=frozenset({"signal:go"}))
    await other.commit(waits=frozenset({"signal:go"}))
    await b.store.send(signal("go"))
    await held.commit(dropped=frozenset({"signal:go"}))
    assert (await b.row("b")).waits[0].reserved


@on_each_store
async def test_blocked_flow_waits_on_nothing_whatever_the_change_says(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:a"}))
    await held.release(Status.BLOCKED, waits=frozenset({"signal:b"}), dropped=frozenset())
    assert (await b.row()).waits == ()


# Very much mail, very many waits


@on_each_store
async def test_answers_bring_the_first_of_very_much_mail_and_every_cancel(b: Bench) -> None:
    held = await b.begin()
    for n in range(MAIL + 5):
        await b.store.send(signal("go", f"m{n:04}", to="a"))
    await b.store.send(mail("a", "cancel", "stop"))
    reply = await held.commit(waits=frozenset({"signal:go", "signal:free"}))
    first = [f"m{n:04}" for n in range(MAIL)]
    assert [message.id for message in reply.mail] == [*first, "stop"]
    await b.store.send(signal("free", "reserved"))
    change: dict[str, Any] = {"waits": frozenset({"signal:go"}), "dropped": frozenset()}
    reply = await held.commit(b"x", consumed=tuple(first[:4]), **change)
    assert [message.id for message in reply.mail][-2:] == [f"m{MAIL + 3:04}", "stop"]
    reply = await held.commit(b"y", consumed=tuple(first[4:9]), **change)
    assert [message.id for message in reply.mail][-3:] == [f"m{MAIL + 4:04}", "stop", "reserved"]


@on_each_store
async def test_row_of_a_flow_with_very_many_waits_shows_the_names_first(b: Bench) -> None:
    held = await b.begin()
    names = {"signal:a", "signal:z"}
    await held.commit(waits=frozenset({*names, "zoo"} | {f"child:{n}" for n in range(WAITS)}))
    shown = [wait.channel for wait in (await b.row()).waits]
    assert (len(shown), shown) == (WAITS, sorted(shown))
    assert names < set(shown)
