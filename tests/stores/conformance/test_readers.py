"""What every store does: leases and workers, waiting for changes, lists, prune.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

import asyncio

from ergon_runtime.core.flows import Beat, FlowQuery, Lease, Status
from tests.stores.harness import LANE, LEASE, Bench, mail, new, on_each_store, signal

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
async def test_beat_tells_what_a_worker_does_until_the_next(b: Bench) -> None:
    told = bytes(range(256))  # no store looks into it
    await b.store.extend([], LEASE, Beat("v", (LANE,), 100, "host", 7, 3))
    await b.store.extend([], LEASE, Beat("w", (LANE,), 100, "host", 7, 3, 2, told))
    assert [(row.busy, row.doing) for row in await b.store.workers()] == [(0, b""), (2, told)]
    b.clock.now += 1
    await b.store.extend([], LEASE, Beat("w", (LANE,), 100, "host", 7, 3))
    assert [(row.busy, row.doing) for row in await b.store.workers()] == [(0, b""), (0, b"")]


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
async def test_wait_of_nameless_callers_tells_each_of_every_change(b: Bench) -> None:
    async def hear(ready: asyncio.Event, go: asyncio.Event) -> None:
        await b.store.wait("", 60)
        ready.set()
        await go.wait()
        await b.store.wait("", 60)

    marks = [(asyncio.Event(), asyncio.Event()) for _ in range(2)]
    hearers = [asyncio.create_task(hear(*mark)) for mark in marks]
    for ready, _ in marks:
        await ready.wait()
    await b.store.create(new())
    for (_, go), hearer in zip(marks, hearers, strict=True):
        go.set()
        await asyncio.wait_for(hearer, 5)


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
