"""What tests of copies share: two stores under one clock, of each kind; a store with something of everything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from ergon_runtime.core.flows import Status
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.copying import Copied, copy_store
from ergon_runtime.stores.records import Kind, Record
from tests.stores.harness import KINDS, LEASE, Bench, Clock, mail, make_store, new, signal

PAIRS = [(one, other) for one in KINDS for other in KINDS]
EACH = list(zip(KINDS, (*KINDS[1:], KINDS[0]), strict=True))
"""Each kind is once a source and once a target."""
Scenario = Callable[[Bench, Bench], Awaitable[None]]
Test = Callable[[tuple[str, str], Path], None]


def on_each_pair(scenario: Scenario) -> Test:
    """Make a test of an async scenario from one store to another, run for each kind."""
    return _test(scenario, EACH)


def on_all_pairs(scenario: Scenario) -> Test:
    """The same, from each kind to each."""
    return _test(scenario, PAIRS)


def _test(scenario: Scenario, pairs: list[tuple[str, str]]) -> Test:
    @pytest.mark.parametrize("pair", pairs, ids="-".join)
    def test(pair: tuple[str, str], tmp_path: Path) -> None:
        async def run() -> None:
            clock, benches = Clock(), list[Bench]()
            async with AsyncExitStack() as stack:
                for name, kind in zip(("source", "target"), pair, strict=True):
                    (tmp_path / name).mkdir()
                    store = make_store(kind, tmp_path / name, clock, map(f"{name} {{}}".format, count()).__next__)
                    await store.open()
                    stack.push_async_callback(store.close)
                    benches.append(Bench(store, clock))
                await scenario(*benches)

        asyncio.run(run())

    test.__name__ = scenario.__name__
    return test


async def pieces(store: Store, kind: Kind, limit: int = 100) -> list[Record]:
    """All pieces of a kind, read in pages of this size."""
    found: list[Record] = []
    while page := await store.records(kind, found[-1].place if found else None, limit):
        assert len(page) <= limit
        found += page
    return found


async def everything(store: Store) -> list[Sequence[object]]:
    flows = [piece.place[1] for piece in await pieces(store, Kind.FLOWS)]
    return [*[await pieces(store, kind) for kind in Kind], [await store.journal(flow, 0, 10_000) for flow in flows]]


async def populate(b: Bench) -> None:
    """A store with something of everything. Time passes, so that every lease is over at the end."""
    for message_id in ("1", "2", "1:2"):
        await b.store.send(signal("nobody", message_id, body=b"\x00\xff"))
    for flow in ("late", "early", "middle"):
        await b.waiting(flow, "signal:go", "child:x")
        b.clock.now += 1
    await b.store.send(signal("go", "first"))
    await b.store.send(mail("early", "signal:go", "own"))
    await b.store.send(mail("early", "signal:other", "unheard"))
    await b.store.send(mail("middle", "cancel"))
    held = await b.begin("lost", priority=2, version="v1", parent="late", due=b.clock.now)
    await held.commit(b"e0", b"\x00\xff", waits=frozenset({"signal:bad"}), note="nöte".encode(), base=1)
    await b.store.send(signal("bad", "bad"))
    await held.commit(aside=("bad",), waits=frozenset({"signal:bad"}))
    await (await b.begin("done", parent="late")).end(b"", Status.FAILED)
    await (await b.begin("blocked")).release(Status.BLOCKED, fingerprint="f", due=b.clock.now + 50)
    await b.store.create(new("delayed", due=b.clock.now + 10**6))
    await b.begin("suspect", lane="other::")
    b.clock.now += 2 * LEASE
    await b.take("suspect")
    b.clock.now += 2 * LEASE
    await b.take("suspect", alone=True, operator=True)
    b.clock.now += 2 * LEASE


async def copied(b: Bench, to: Bench) -> Copied:
    found = await copy_store(b.store, to.store)
    assert found.unequal == []
    return found
