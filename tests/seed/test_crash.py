"""Workers that die, are shut down or are stale, and stores that are away: d01, d02, d08, d10, d18, d20, d29.

d03, and d01 by kill -9, are in test_processes.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from ergon_runtime import (
    FlowHandle,
    LeaseLost,
    Scheduler,
    Status,
    Store,
    StoreUnavailable,
    Worker,
    flow,
    sleep,
    step,
    wait_signal,
)
from ergon_runtime.core.flows import Beat, ClaimRequest, Commit, CommitReply, Lease, Message
from tests.seed.places import LEASE, Mortal, die_at_each_commit, listens, on_each_store, row_of, until, working

ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@step
async def crash_step(name: str) -> str:
    ran[name] += 1
    return name


@step
async def crash_hangs_once(name: str) -> str:
    ran[name] += 1
    if ran[name] == 1:
        await asyncio.Event().wait()
    return name


@flow
async def crash_hangs() -> str:
    return await crash_step("before") + "," + await crash_hangs_once("hangs")


@flow
async def crash_ticks() -> None:
    for _ in range(5000):
        await sleep(0.01)


@flow
async def crash_naps() -> str:
    await sleep(0.01)
    return await crash_step("after")


@flow
async def crash_receives(name: str) -> str:
    return await crash_step(await wait_signal(name, str))


@on_each_store
async def test_d01_flow_of_a_dead_worker_goes_on_where_it_was(store: Store) -> None:
    """Its flow stayed RUNNING, locked by the dead worker, for ever."""
    handle = await Scheduler(store).schedule(crash_hangs())
    first = await Worker(store, lease=LEASE).register(crash_hangs).start()
    await until(lambda: ran["hangs"] == 1)
    await first.abort()
    async with working(store, crash_hangs):
        assert await handle.result() == "before,hangs"
    assert ran == {"before": 1, "hangs": 2}


@on_each_store
async def test_d02_busy_worker_takes_over_a_dead_workers_flow(store: Store) -> None:
    """The search for dead workers was put off by every timer tick, and so never came."""
    handle = await Scheduler(store).schedule(crash_hangs())
    first = await Worker(store, lease=LEASE).register(crash_hangs).start()
    await until(lambda: ran["hangs"] == 1)
    busy = [await Scheduler(store).schedule(crash_ticks()) for _ in range(3)]
    async with working(store, crash_hangs, crash_ticks):
        await first.abort()
        assert await handle.result() == "before,hangs"
        assert {await each.status() for each in busy} <= {Status.RUNNING, Status.WAITING}, "it was not busy"
        for each in busy:
            await each.cancel()


@on_each_store
async def test_d20_worker_that_dies_at_any_write_around_a_timer_loses_nothing(store: Store) -> None:
    """Between claiming a timer and resuming its flow, a death left the flow suspended for ever."""

    async def life(mortal: Mortal, n: int) -> None:
        ran.clear()
        handle = await Scheduler(store).schedule(crash_naps())
        await _two_workers(store, mortal, handle)
        assert await handle.result() == "after"
        assert ran["after"] >= 1

    assert await die_at_each_commit(store, life) >= 4


@on_each_store
async def test_d08_worker_that_dies_at_any_write_around_a_signal_loses_nothing(store: Store) -> None:
    """A signal was consumed before its flow was resumed: a death between lost it."""

    async def life(mortal: Mortal, n: int) -> None:
        name = f"go-{mortal.dead}-{n}-{id(mortal)}"
        handles = [await Scheduler(store).schedule(crash_receives(name)) for _ in range(2)]
        await Scheduler(store).signal(name, "first")
        first = asyncio.create_task(_two_workers(store, mortal, *handles))
        await until(lambda: _one_has_ended(handles))
        await Scheduler(store).signal(name, "second")
        await first
        assert sorted([await each.result() for each in handles]) == ["first", "second"]

    assert await die_at_each_commit(store, life) >= 4


async def _one_has_ended(handles: list[FlowHandle[Any]]) -> bool:
    return any([(await each.status()).ended for each in handles])


async def _two_workers(store: Store, mortal: Mortal, *handles: FlowHandle[Any]) -> None:
    """Serve these flows to their ends by a worker that may die, then by one that does not."""
    served: tuple[Any, ...] = (crash_naps, crash_receives)
    first = await Worker(mortal, lease=0.3, name="mortal").register(*served).start()
    ends = asyncio.gather(*(each.result() for each in handles))
    await until(lambda: mortal.dead or ends.done())
    await first.abort()
    async with working(store, *served):
        await ends


@on_each_store
async def test_d10_stale_worker_writes_nothing(store: Store) -> None:
    """A stale worker's write turned COMPLETE into FAILED, or back into PENDING."""
    handle = await Scheduler(store).schedule(crash_receives("never"))
    old = await _claim(store, handle.id, lease=1)
    new = await _claim(store, handle.id, lease=60_000)
    done = Commit("new", new, None, 0, 60_000, status=Status.COMPLETED, release=True, result=b"done")
    before_the_end = await row_of(store, handle.id)
    for late in _late(old):
        with pytest.raises(LeaseLost):
            await store.commit(late)
    assert await row_of(store, handle.id) == before_the_end
    await store.commit(done)
    ended = await row_of(store, handle.id)
    for late in _late(old):
        with pytest.raises(LeaseLost):
            await store.commit(late)
    assert await store.extend([old], 60_000) == {}
    assert await row_of(store, handle.id) == ended
    assert ended.status is Status.COMPLETED


def _late(old: Lease) -> list[Commit]:
    fails = Commit("late failure", old, None, 0, 60_000, status=Status.FAILED, release=True, result=b"failed")
    again = Commit("late retry", old, None, 0, 60_000, status=Status.PENDING, release=True)
    after = Commit("late entry", old, "new", 0, 60_000, entries=(b"[]",))
    return [fails, again, after]


async def _claim(store: Store, flow_id: str, *, lease: int) -> Lease:
    """Claim a flow as a worker does, as soon as the lease before has run out."""
    while True:
        found = await store.claim(ClaimRequest("w", lease, 1, ids=(flow_id,)))
        if found.claims:
            return found.claims[0].lease
        await asyncio.sleep(0.002)


@flow
async def crash_two_steps(name: str) -> None:
    await crash_step(f"{name}.1")
    await crash_step(f"{name}.2")


@on_each_store
async def test_d18_shutdown_with_work_queued_leaves_nothing_running(store: Store) -> None:
    """A flow claimed and not begun was left RUNNING at shutdown."""
    for round_ in range(5):
        names = [f"{round_}.{n}" for n in range(20)]
        handles = [await Scheduler(store).schedule(crash_two_steps(name)) for name in names]
        worker = await Worker(store, concurrency=3).register(crash_two_steps).start()
        await until(partial(_has_begun, names[0]))
        await worker.shutdown()
        assert {await each.status() for each in handles} <= {Status.PENDING, Status.COMPLETED}
        async with working(store, crash_two_steps):
            for each in handles:
                await each.result()
    assert set(ran.values()) == {1}
    assert len(ran) == 200


def _has_begun(name: str) -> bool:
    return ran[f"{name}.1"] > 0


@on_each_store
async def test_d18_aborted_worker_claims_nothing_more(store: Store) -> None:
    """After abort() it went on claiming flows that nobody ran."""
    worker = await Worker(store, lease=LEASE).register(crash_two_steps).start()
    await (await Scheduler(store).schedule(crash_two_steps("one"))).result()
    await worker.abort()
    handles = [await Scheduler(store).schedule(crash_two_steps(f"more {n}")) for n in range(5)]
    with suppress(TimeoutError):
        await handles[0].result(timeout=0.1)
    assert [await each.status() for each in handles] == [Status.PENDING] * 5
    async with working(store, crash_two_steps):
        for each in handles:
            await each.result()
    assert set(ran.values()) == {1}


class Away:
    """A store that can be away: then it answers nothing but errors. `refused` counts what it refused."""

    def __init__(self, store: Store) -> None:
        self._store, self.is_away, self.refused = store, False, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def clone(self) -> Any:
        other = Away(self._store.clone())
        other.refused = self.refused
        return other

    async def commit(self, commit: Commit) -> CommitReply:
        self._look("commit")
        return await self._store.commit(commit)

    async def claim(self, request: ClaimRequest) -> Any:
        self._look("claim")
        return await self._store.claim(request)

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        return await self._store.extend(leases, length, beat)

    def _look(self, what: str) -> None:
        if self.is_away:
            self.refused[what] += 1
            raise StoreUnavailable("away")


@on_each_store
async def test_d29_effect_made_while_the_store_was_away_is_recorded_when_it_is_back(store: Store) -> None:
    """The store was away during a step, and the flow stayed RUNNING for ever."""
    away = Away(store)

    @step
    async def crash_outage() -> str:
        ran["outage"] += 1
        away.is_away = True
        return "effect"

    @flow
    async def crash_through_an_outage() -> str:
        return await crash_outage() + " recorded"

    handle = await Scheduler(store).schedule(crash_through_an_outage())
    async with working(away, crash_through_an_outage):
        await until(lambda: away.refused["commit"] >= 2)
        away.is_away = False
        assert await handle.result() == "effect recorded"
    assert ran["outage"] == 1


@on_each_store
async def test_d08_signal_whose_waiter_dies_goes_to_the_same_waiter(store: Store) -> None:
    """Two waiters, one signal: after a crash the other one might have been given it, or none."""
    handles = [await Scheduler(store).schedule(crash_receives("one"), id=f"w{n}") for n in range(2)]
    async with working(store, crash_receives):
        for n in range(2):
            await listens(store, f"w{n}", "signal:one")
    await Scheduler(store).signal("one", "for the first")
    mortal = Mortal(store, at=1)
    dying = await Worker(mortal, lease=LEASE).register(crash_receives).start()
    await until(lambda: mortal.dead)
    await dying.abort()
    async with working(store, crash_receives):
        assert await handles[0].result() == "for the first"
        assert await handles[1].status() is Status.WAITING
