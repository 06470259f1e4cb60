"""What every store does when it is copied: its pieces, and what becomes of them elsewhere.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ergon_runtime.core.flows import FlowQuery, Message, Status
from ergon_runtime.errors import FlowNotFound, LeaseLost, StoreCorrupt
from ergon_runtime.stores.copying import Copied
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind
from tests.stores.copies import copied, everything, on_all_pairs, on_each_pair, pieces, populate
from tests.stores.harness import LANE, LEASE, Bench, mail, on_each_store, signal

ALL = FlowQuery()

# Pieces


@on_each_store
async def test_records_are_listed_in_order_whatever_the_page(b: Bench) -> None:
    await populate(b)
    for kind in Kind:
        found = await pieces(b.store, kind)
        assert [piece.place for piece in found] == sorted(piece.place for piece in found)
        assert found == await pieces(b.store, kind, limit=1)
        assert len(found) == await b.store.count(kind) > 0


@on_each_store
async def test_records_of_names_sent_at_once_are_ordered_by_bytes(b: Bench) -> None:
    for message_id in ("b", "B", "a", "é", "z", "\U0001f600", "a:"):
        await b.store.send(signal("go", message_id))
    found = await pieces(b.store, Kind.NAMES, limit=2)
    assert [piece.place[1].split(":", 3)[3] for piece in found] == ["B", "a", "a:", "b", "z", "é", "\U0001f600"]


@on_each_store
async def test_records_of_a_flow_have_all_its_waits_and_mail(b: Bench) -> None:
    await b.waiting("a", *(f"child:{n}" for n in range(300)))
    for n in range(300):
        await b.store.send(mail("a", f"child:{n % 3}", f"{n:03}"))
    (piece,) = (await pieces(b.store, Kind.FLOWS))[:1]
    assert len(piece.waits) == len(piece.mail) == len(piece.sent) == 300  # type: ignore[union-attr]  # a flow's


@on_each_store
async def test_restore_of_a_piece_that_is_there_changes_nothing(b: Bench) -> None:
    await populate(b)
    await (await b.take("late")).commit(b"1", b"2")
    before = await everything(b.store)
    for kind in Kind:
        for piece in await pieces(b.store, kind):
            await b.store.restore(piece)
    await b.store.restore(JournalPart("late", 0, (b"x", b"y")))
    assert await everything(b.store) == before


@on_each_store
async def test_r4_restored_flow_says_how_long_its_journal_is_to_be_before_it_is_there(b: Bench) -> None:
    await (await b.begin("a")).release(Status.BLOCKED)
    (piece,) = await pieces(b.store, Kind.FLOWS)
    assert isinstance(piece, FlowRecord)
    await b.store.restore(replace(piece, row=replace(piece.row, id="b", length=2)))
    assert (await b.row("b")).length == 2
    assert (await b.take("b", operator=True)).length == 2


@on_each_store
async def test_restore_of_a_journal_whose_flow_has_gone_is_refused(b: Bench) -> None:
    await (await b.begin("a")).end()
    b.clock.now += 1
    assert await b.store.prune(b.clock.now) == 1
    with pytest.raises(FlowNotFound):
        await b.store.restore(JournalPart("a", 0, (b"0",)))
    assert await b.store.verify() == []


@on_each_store
async def test_restore_of_a_journal_with_a_gap_is_refused(b: Bench) -> None:
    await b.begin("a")
    await b.store.restore(JournalPart("a", 0, (b"0",)))
    await b.store.restore(JournalPart("a", 0, (b"0", b"1")))
    with pytest.raises(StoreCorrupt, match="lacks journal entries"):
        await b.store.restore(JournalPart("a", 3, (b"3",)))
    assert await b.store.journal("a", 0, 9) == [b"0", b"1"]


# From one store to another


@on_all_pairs
async def test_copy_of_a_store_with_everything_is_equal(b: Bench, to: Bench) -> None:
    await populate(b)
    found = await copied(b, to)
    assert await everything(to.store) == await everything(b.store)
    assert (found.flows, found.entries, found.names, found.kept) == (8, 2, 5, 3)
    queries = [await bench.store.list(ALL) for bench in (b, to)]
    assert queries[0] == queries[1] != []


@on_all_pairs
async def test_copy_goes_on_as_the_source_would(b: Bench, to: Bench) -> None:
    await populate(b)
    await copied(b, to)
    assert await claimed(to) == await claimed(b)


async def claimed(b: Bench) -> list[object]:
    """What happens next: the claims, one alone, their mail, the next waiters of a name, and all rows."""
    found: list[object] = []
    for alone in (False, True):
        for claim in (await b.claims(lanes=(LANE, "other::"), alone=alone)).claims:
            found.append(replace(claim, lease=replace(claim.lease, token="")))
    await b.store.send(signal("go", "second"))
    await b.store.send(signal("go", "third"))
    await b.store.send(signal("go", "first", body=b"again"))
    await b.store.send(mail("early", "signal:go", "own", b"again"))
    held = await b.begin("new")
    reply = await held.commit(waits=frozenset({"signal:nobody", "signal:go"}))
    rows = [await b.row(flow) for flow in ("late", "early", "middle", "lost", "suspect", "new")]
    return [*found, reply.mail, *(replace(row, head="") for row in rows)]


@on_each_pair
async def test_s1_copy_keeps_the_order_of_waits_and_messages(b: Bench, to: Bench) -> None:
    for flow in ("z", "a", "m"):
        await b.waiting(flow, "signal:go")
    for message_id in ("9", "1", "5"):
        await b.store.send(signal("kept", message_id))
    await copied(b, to)
    for message_id in ("x", "y"):
        await to.store.send(signal("go", message_id))
    got = {c.lease.flow: [m.id for m in c.mail] for c in (await to.claims()).claims}
    assert got == {"z": ["x"], "a": ["y"]}
    held = await to.begin("reader")
    for message_id in ("9", "1", "5"):
        reply = await held.commit(waits=frozenset({"signal:kept"}))
        assert [message.id for message in reply.mail] == [message_id]
        await held.commit(consumed=(message_id,))


@on_each_pair
async def test_s1_what_comes_after_a_copy_is_behind_what_was_copied(b: Bench, to: Bench) -> None:
    for n in range(20):  # the source's numbers are far ahead of the target's own
        await b.store.send(signal("go", f"{n}"))
    await b.waiting("a", "signal:x")
    await copied(b, to)
    await to.waiting("b", "signal:x")
    await to.store.send(signal("go", "last"))
    await to.store.send(signal("x"))
    assert [c.lease.flow for c in (await to.claims()).claims] == ["a"]
    kept = [piece for piece in await pieces(to.store, Kind.KEPT) if piece.message.channel == "signal:go"]  # type: ignore[union-attr]  # a message's
    assert [piece.message.id for piece in kept] == [*map(str, range(20)), "last"]  # type: ignore[union-attr]


@on_each_pair
async def test_s2_copied_reservation_is_given_back(b: Bench, to: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.waiting("b", "signal:go")
    await b.store.send(signal("go", "1"))
    await copied(b, to)
    await (await to.take("a")).end()
    assert [m.id for m in (await to.take("b")).claim.mail] == ["1"]


@on_each_pair
async def test_s3_ids_outlive_the_copy_with_their_times(b: Bench, to: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "used"))
    await (await b.take("a")).end(consumed=("used",))
    b.clock.now += 10
    before = b.clock.now
    await b.store.send(signal("go", "kept"))
    await copied(b, to)
    await to.store.send(signal("go", "used"))
    await to.store.prune(before)
    for message_id in ("used", "kept"):
        await to.store.send(signal("go", message_id, body=b"again"))
    kept = [piece.message for piece in await pieces(to.store, Kind.KEPT)]  # type: ignore[union-attr]  # a message's
    assert kept == [Message("kept", "signal:go", b"1"), Message("used", "signal:go", b"again")]


@on_each_pair
async def test_s3_id_of_a_copied_reserved_message_lasts_as_long_as_that(b: Bench, to: Bench) -> None:
    await b.waiting("a", "signal:go")
    await b.store.send(signal("go", "held"))
    b.clock.now += 10
    await copied(b, to)
    await to.store.prune(b.clock.now)
    await to.store.send(signal("go", "held", body=b"again"))
    assert await pieces(to.store, Kind.KEPT) == []


@on_each_pair
async def test_r2_running_flow_is_taken_over_after_the_copy(b: Bench, to: Bench) -> None:
    held = await b.begin("a")
    await held.commit(b"e")
    b.clock.now += LEASE
    await copied(b, to)
    lease = held.claim.lease
    with pytest.raises(LeaseLost):
        await to.store.commit(held.next(b"late"))
    assert await to.store.extend([lease], LEASE) == {}
    taken = await to.take("a")
    assert (taken.claim.status, taken.claim.recoveries, taken.claim.length) == (Status.RUNNING, 1, 1)
    await taken.end()
    assert (await to.row()).status is Status.COMPLETED


@on_each_pair
async def test_r4_long_journal_is_copied_whole(b: Bench, to: Bench) -> None:
    held, entries = await b.begin("a"), [f"{n}".encode() for n in range(2500)]
    for start in range(0, len(entries), 500):
        await held.commit(*entries[start : start + 500])
    await held.listen("signal:go")
    assert (await copied(b, to)).entries == 2500
    assert await to.store.journal("a", 0, 9999) == entries


@on_each_pair
async def test_copy_of_a_wide_flow_shows_its_names_before_its_children(b: Bench, to: Bench) -> None:
    held = await b.begin("a")
    await held.listen("signal:zz", *(f"child:a/{n}" for n in range(200)))
    await copied(b, to)
    shown = [wait.channel for wait in (await to.row("a")).waits]
    assert len(shown) == 100
    assert "signal:zz" in shown


@on_each_pair
async def test_copy_of_an_empty_store_brings_the_hash_seed(b: Bench, to: Bench) -> None:
    assert await copied(b, to) == Copied()
    one, other = await b.store.identity(), await to.store.identity()
    assert (one.hash_seed, other.copy_of) == (other.hash_seed, None)
    assert one.id != other.id
