"""The audit of an open store: all of it is read, in pages, and a store in use gives no false alarm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ergon_runtime.audit import audit, audit_pieces, damage
from ergon_runtime.core.flows import Status
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind, Place, Record
from tests.audit.test_planted import PLANTS, Plant
from tests.audit.worlds import NOW, World, healthy
from tests.runtime.views import run


class Restless(MemoryStore):
    """A store in which somebody changes something at every look at the flows: `change` is told how often before."""

    def __init__(self, clock: Callable[[], int], change: Callable[[MemoryStore, int], object]) -> None:
        super().__init__(clock)
        self._change, self._looks = change, 0

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        found = await super().records(kind, after, limit)
        if kind is Kind.FLOWS:
            self._change(self, self._looks)
            self._looks += 1
        return found


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("PAGE", 2), ("ENTRIES", 2), ("TOGETHER", 5)):
        monkeypatch.setattr(f"ergon_runtime.audit.reading.{name}", size)


async def stored(world: World, store: MemoryStore | None = None) -> MemoryStore:
    """A store that holds this; what a restored flow cannot have is left to the tests of pieces."""
    store = store or MemoryStore(lambda: NOW)
    for piece in sorted(world.pieces(), key=lambda piece: isinstance(piece, JournalPart)):
        await store.restore(piece)
    return store


async def found_in(store: MemoryStore, flows: Sequence[str] | None = None) -> set[tuple[str, str | None]]:
    return {(violation.rule, violation.flow) async for violation in audit(store, flows)}


def test_audit_of_a_healthy_store_finds_nothing() -> None:
    async def main() -> None:
        store = await stored(healthy())
        assert await found_in(store) == set()
        assert await damage(store) == []

    run(main())


@pytest.mark.parametrize("plant", [plant for *_, plant in PLANTS], ids=[name for name, *_ in PLANTS])
def test_audit_of_a_store_finds_what_that_of_its_pieces_does(plant: Plant) -> None:
    async def main() -> None:
        world = healthy()
        plant(world)
        store = await stored(world)
        held: list[Any] = [piece for kind in Kind for piece in await MemoryStore.records(store, kind, None, 1000)]
        flows = [piece.row.id for piece in held if isinstance(piece, FlowRecord)]
        held += [JournalPart(flow, 0, tuple(await store.journal(flow, 0, 1000))) for flow in flows]
        assert await found_in(store) == {(each.rule, each.flow) for each in audit_pieces(held, NOW)}

    run(main())


def test_audit_of_some_flows_looks_at_no_other() -> None:
    async def main() -> None:
        world = healthy()
        world.row("done", base=3)
        world.row("new", priority=10)
        store = await stored(world)
        assert await found_in(store, ["done", "ghost"]) == {("M1", "done")}

    run(main())


def test_audit_tells_how_far_it_is() -> None:
    async def main() -> None:
        told: list[tuple[int, int]] = []
        store = await stored(healthy())
        assert [one async for one in audit(store, tell=lambda done, total: told.append((done, total)))] == []
        flows = len(healthy().flows)
        assert told == [(min(n, flows), flows) for n in range(2, flows + 2, 2)]

    run(main())


def test_audit_of_a_flow_that_is_well_when_looked_at_again_tells_nothing() -> None:
    def mend(store: MemoryStore, looks: int) -> None:
        if looks == 1:
            store.state.flows["waiter"].due = NOW

    async def main() -> None:
        world = healthy()
        world.row("waiter", due=NOW + 5)
        assert await found_in(await stored(world)) == {("R7", "waiter")}, "else there is nothing to look at again"
        assert await found_in(await stored(world, Restless(lambda: NOW, mend))) == set()

    run(main())


def test_audit_of_a_flow_that_never_stands_still_leaves_it_alone() -> None:
    def stir(store: MemoryStore, looks: int) -> None:
        store.state.flows["waiter"].updated += 1

    async def main() -> None:
        world = healthy()
        world.row("waiter", due=NOW + 5)
        assert await found_in(await stored(world, Restless(lambda: NOW, stir))) == set()

    run(main())


def test_audit_of_a_kept_message_that_was_consumed_meanwhile_tells_nothing() -> None:
    """It was kept when the waits were read, and consumed when it was looked for."""

    pages = len(healthy().flows) // 2 + 1

    def take(store: MemoryStore, looks: int) -> None:
        if looks > pages:  # all flows have been read, and then the kept messages
            store.state.mailboxes.kept.clear()

    async def main() -> None:
        world = healthy()
        one, two = world.flows["waiter"].waits
        world.record("waiter", waits=(one, replace(two, channel="signal:other")))
        assert await found_in(await stored(world)) == {("S1", "waiter")}
        assert await found_in(await stored(world, Restless(lambda: NOW, take))) == set()

    run(main())


@pytest.mark.parametrize("status", [Status.BLOCKED, Status.COMPLETED])
def test_audit_of_an_import_or_a_fork_that_was_interrupted_finds_nothing(status: Status) -> None:
    """Its row says how long the journal is to be, and it is not there yet (P3, P8)."""

    async def main() -> None:
        world = healthy()
        ended = status.ended
        why = b'{"why":{"kind":"paused"}}'
        world.row("done", status=status, note=why, result=world.flows["done"].row.result if ended else None)
        world.record("done", lease_length=0, ended=300 if ended else None)
        world.journals["done"], world.commits["done"] = world.journals["done"][:3], world.commits["done"][:3]
        assert await found_in(await stored(world)) == set()

    run(main())
