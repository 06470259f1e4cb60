"""What every store does when a copy is interrupted, refused, or not equal in the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ergon_runtime.core.flows import Beat
from ergon_runtime.errors import CopyRefused
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.copying import PAGE, copy_store
from ergon_runtime.stores.records import JournalPart, Kind, Record
from tests.stores.copies import copied, everything, on_each_pair, pieces, populate
from tests.stores.harness import LANE, LEASE, Bench, new, on_each_store, signal


class Interrupted(Exception):
    pass


@on_each_pair
async def test_interrupted_copy_goes_on_at_every_place(b: Bench, to: Bench) -> None:
    await populate(b)
    await (await b.take("late")).commit(*(b"%d" % n for n in range(450)))
    b.clock.now += 2 * LEASE
    for calls in (0, 1, 4, 9):
        with pytest.raises(Interrupted):
            await copy_store(b.store, Failing(to.store, calls))  # type: ignore[arg-type]  # it passes all else on
        source = (await b.store.identity()).source
        assert (await to.store.identity()).copy_of == source
    await copied(b, to)
    assert await everything(to.store) == await everything(b.store)
    assert (await to.store.identity()).copy_of is None


class Failing:
    """A store whose `restore` fails after so many calls."""

    def __init__(self, store: Store, calls: int) -> None:
        self._store, self._calls = store, calls

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def restore(self, piece: Record | JournalPart) -> None:
        self._calls -= 1
        if self._calls < 0:
            raise Interrupted
        await self._store.restore(piece)


@on_each_pair
async def test_unfinished_copy_of_another_is_refused(b: Bench, to: Bench) -> None:
    source = await b.store.identity()
    await to.store.begin_copy(replace(source, id="other", url="sqlite:///other.db"))
    with pytest.raises(CopyRefused, match=r"unfinished copy of another store \(other sqlite:///other\.db\)"):
        await copy_store(b.store, to.store)
    with pytest.raises(CopyRefused, match="itself an unfinished copy"):
        await copy_store(to.store, b.store)


@on_each_pair
async def test_unfinished_copy_of_a_store_that_has_moved_goes_on(b: Bench, to: Bench) -> None:
    source = await b.store.identity()
    await to.store.begin_copy(replace(source, url="sqlite:///where/it/was.db"))
    await b.store.create(new())
    await copied(b, to)


@on_each_pair
async def test_target_with_something_in_it_is_refused_and_left_alone(b: Bench, to: Bench) -> None:
    before = await to.store.identity()
    await to.store.send(signal("go"))
    with pytest.raises(CopyRefused, match="is not empty"):
        await copy_store(b.store, to.store)
    assert await to.store.identity() == before


@on_each_pair
async def test_live_worker_in_either_store_is_refused(b: Bench, to: Bench) -> None:
    for bench in (b, to):
        await bench.store.extend((), LEASE, Beat("Ada", (LANE,), 100))
        with pytest.raises(CopyRefused, match="worker Ada lives in"):
            await copy_store(b.store, to.store)
        bench.clock.now += 100
    await copied(b, to)


@on_each_pair
async def test_lease_that_runs_is_refused(b: Bench, to: Bench) -> None:
    await b.begin("a")
    b.clock.now += LEASE - 1
    with pytest.raises(CopyRefused, match="flow a is leased to w for another 1 ms"):
        await copy_store(b.store, to.store)
    assert (await to.store.identity()).copy_of is None
    b.clock.now += 1
    await copied(b, to)


@on_each_store
async def test_store_is_no_copy_of_itself(b: Bench) -> None:
    with pytest.raises(CopyRefused, match="are the same store"):
        await copy_store(b.store, b.store)


@on_each_pair
async def test_what_differs_is_named_and_the_copy_remains_unfinished(b: Bench, to: Bench) -> None:
    for flow in ("a", "b", "c"):
        await (await b.begin(flow)).commit(b"1", waits=frozenset({"signal:go"}))
    b.clock.now += LEASE
    await to.store.begin_copy(await b.store.identity())
    await to.store.create(new("extra"))
    await to.store.create(new("b"))
    (piece,) = [piece for piece in await pieces(b.store, Kind.FLOWS) if piece.place[1] == "a"]
    await to.store.restore(piece)
    await to.store.restore(JournalPart("a", 0, (b"other",)))
    await to.store.send(signal("extra"))
    found = await copy_store(b.store, to.store)
    expected = ["flow a", "flow b", "flow extra", "id m sent to signal:extra", "message m kept for signal:extra"]
    assert sorted(set(found.unequal)) == expected
    assert (await to.store.identity()).copy_of is not None


@on_each_pair
async def test_copy_tells_how_far_it_is(b: Bench, to: Bench) -> None:
    for n in range(PAGE + 1):
        await b.store.create(new(f"{n}"))
    told: list[tuple[str, int, int]] = []
    await copy_store(b.store, to.store, lambda *what: told.append(what))
    total = PAGE + 1
    assert told == [(what, total, done) for what in ("copied", "checked") for done in (PAGE, total)]


@on_each_pair
async def test_worker_that_comes_in_the_middle_leaves_the_copy_unfinished(b: Bench, to: Bench) -> None:
    await b.store.create(new())
    beat = Beat("Ada", (LANE,), 100)

    def come(what: str, total: int, done: int) -> None:
        if what == "checked":
            comes.append(asyncio.get_running_loop().create_task(b.store.extend((), LEASE, beat)))

    comes: list[asyncio.Task[object]] = []
    source = Slow(b.store, comes)
    with pytest.raises(CopyRefused, match="worker Ada lives in"):
        await copy_store(source, to.store, come)  # type: ignore[arg-type]  # it passes all else on
    assert (await to.store.identity()).copy_of is not None
    b.clock.now += 100
    await copied(b, to)


class Slow:
    """A store that is asked for its workers only when something else has been done."""

    def __init__(self, store: Store, before: list[asyncio.Task[object]]) -> None:
        self._store, self._before = store, before

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def workers(self) -> object:
        for task in self._before:
            await task
        return await self._store.workers()
