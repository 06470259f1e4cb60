"""`verify` on every kind of store: nothing is wrong after whatever the contract's operations do, and it only reads."""

from __future__ import annotations

from ergon_runtime.audit import ROWS, audit, audit_pieces, damage
from ergon_runtime.core.flows import Status
from ergon_runtime.stores.records import Kind
from tests.stores.harness import Bench, mail, new, on_each_store, signal


async def use(b: Bench) -> None:
    """Something of everything: waits, reservations, mail of all sorts, children, an end, a retry, a message aside."""
    await b.waiting("waits", "signal:go", "signal:stop", "child:x")
    await b.store.send(signal("go", "1"))
    await b.store.send(signal("other", "2"))
    for send in (mail("waits", "signal:far", "3"), mail("waits", "cancel", "4"), mail("waits", "child:x", "5")):
        await b.store.send(send)
    parent = await b.begin("parent")
    await parent.commit(
        b"e", b"f", creates=(new("parent/c", parent="parent"), new("parent/d", parent="parent", due=9**9))
    )
    await (await b.take("parent/c")).end()
    await (await b.begin("failed")).end(status=Status.FAILED)
    await (await b.take("failed", operator=True)).release(Status.PENDING)
    taker = await b.waiting("taker", "signal:odd")
    await b.store.send(signal("odd", "6"))
    taker = await b.take("taker")
    await taker.listen("signal:odd", aside=("6",))
    await b.store.create(new("late", due=b.clock.now + 5, priority=1))


async def all_pieces(b: Bench) -> list[object]:
    return [piece for kind in Kind for piece in await b.store.records(kind, None, 100)]


@on_each_store
async def test_new_store_is_whole(b: Bench) -> None:
    assert await b.store.verify() == []


@on_each_store
async def test_store_that_was_used_is_whole_and_keeps_the_rules(b: Bench) -> None:
    await use(b)
    assert await b.store.verify() == []
    pieces = [piece for kind in Kind for piece in await b.store.records(kind, None, 100)]
    assert [found for found in audit_pieces(pieces, b.clock.now, ROWS) if found.rule != "R4"] == []  # no journals in it


@on_each_store
async def test_store_that_was_pruned_is_whole(b: Bench) -> None:
    await use(b)
    b.clock.now += 10_000
    assert await b.store.prune(b.clock.now) == 1
    assert await b.store.verify() == []


@on_each_store
async def test_looking_changes_nothing(b: Bench) -> None:
    await use(b)
    before = await all_pieces(b)
    await damage(b.store)
    _ = [found async for found in audit(b.store)]
    assert await all_pieces(b) == before
