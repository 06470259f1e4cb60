"""Versions of one flow type side by side: a flow runs only on code of its version, and what nobody serves says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from ergon_runtime.client import Scheduler
from ergon_runtime.core.flows import Status
from ergon_runtime.definitions import flow, flow_type, registry, step
from ergon_runtime.errors import DefinitionError
from ergon_runtime.primitives import invoke
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.view import view_flow
from ergon_runtime.worker import Worker
from tests.runtime.workers import run


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    with registry.isolated():
        yield


def versions() -> SimpleNamespace:
    """One module: a function and a class in two versions each, and a parent that invokes both functions."""

    @step
    async def weigh(grams: int) -> str:
        return f"{grams} g"

    @flow(name="parcel", version="1")
    async def parcel_1(grams: int) -> str:
        return f"old {await weigh(grams)}"

    @flow(name="parcel", version="2")
    async def parcel_2(grams: int) -> str:
        return f"new {await weigh(grams)}"

    @flow_type(name="Letter", version="1")
    @dataclass
    class Letter1:
        to: str

        @flow
        async def run(self) -> str:
            return f"old letter to {self.to}"

    @flow_type(name="Letter", version="2")
    @dataclass
    class Letter2:
        to: str

        @flow
        async def run(self) -> str:
            return f"new letter to {self.to}"

    @flow
    async def office() -> list[str]:
        return [await invoke(parcel_1(1)), await invoke(parcel_2(2))]

    return SimpleNamespace(**{name: value for name, value in locals().items() if name != "weigh"})


async def why(store: MemoryStore, flow_id: str) -> str:
    """What the flow says it waits for."""
    row = await store.get(flow_id)
    assert row is not None
    view = await view_flow(store, row, now=await store.now(), workers=await store.workers())
    assert view.why is not None
    return f"{view.why.kind} {view.version}"


def test_versions_of_one_type_run_side_by_side_on_one_worker() -> None:
    known, store = versions(), MemoryStore()

    async def main() -> None:
        given = (known.parcel_1(5), known.parcel_2(5), known.Letter1("Ada"), known.Letter2("Ada"))
        handles = [await Scheduler(store).schedule(each) for each in given]
        async with await Worker(store).register_all().start():
            found = [await handle.result(timeout=20) for handle in handles]
        assert found == ["old 5 g", "new 5 g", "old letter to Ada", "new letter to Ada"]
        rows = [await store.get(handle.id) for handle in handles]
        assert [(row.type, row.version) for row in rows if row] == [
            ("parcel", "1"),
            ("parcel", "2"),
            ("Letter", "1"),
            ("Letter", "2"),
        ]

    run(main)


def test_versions_served_by_workers_of_their_own_run_on_their_own() -> None:
    known, store = versions(), MemoryStore()

    async def main() -> None:
        async with await Worker(store, name="new").register(known.parcel_2).start():
            old = await Scheduler(store).schedule(known.parcel_1(1), id="old")
            new = await Scheduler(store).schedule(known.parcel_2(1), id="new")
            assert await new.result(timeout=20) == "new 1 g"
            assert await old.status() is Status.PENDING
            assert await why(store, "old") == "no_worker 1"
            async with await Worker(store, name="old").register(known.parcel_1).start():
                assert await old.result(timeout=20) == "old 1 g"

    run(main)


def test_children_run_in_the_version_that_was_invoked() -> None:
    known, store = versions(), MemoryStore()

    async def main() -> None:
        async with await Worker(store).register_all().start():
            handle: Any = await Scheduler(store).schedule(known.office(), id="o")
            assert await handle.result(timeout=20) == ["old 1 g", "new 2 g"]
        rows = [await store.get(child) for child in ("o/parcel", "o/parcel#2")]
        assert [row.version for row in rows if row] == ["1", "2"]

    run(main)


def test_version_told_to_schedule_goes_before_the_schedulers_and_that_before_the_definitions() -> None:
    known, store = versions(), MemoryStore()

    async def main() -> None:
        plain, pinned = Scheduler(store), Scheduler(store, version="1")
        handles = [
            await plain.schedule(known.parcel_2(1)),
            await pinned.schedule(known.parcel_2(1)),
            await pinned.schedule(known.parcel_1(1), version="2"),
        ]
        rows = [await store.get(handle.id) for handle in handles]
        assert [row.version for row in rows if row] == ["2", "1", "2"]
        with pytest.raises(DefinitionError, match="no version '3'"):
            await plain.schedule(known.parcel_1(1), version="3")

    run(main)
