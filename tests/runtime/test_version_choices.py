"""What keeps to the version that was chosen: arguments, flows that continue as new, replays, executors, ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ergon_runtime import (
    CodecError,
    DefinitionError,
    Executor,
    Scheduler,
    Status,
    Store,
    Worker,
    continue_as_new,
    flow,
    flow_type,
    open_store,
    registry,
    step,
    wait_signal,
)
from ergon_runtime.replay import replay_flow
from tests.runtime.workers import run, until


@step
async def versions_step(text: str) -> str:
    return text


@flow(name="versions_greet", version="1")
async def greet_1(name: str) -> str:
    return await versions_step(f"hello {name}")


@flow(name="versions_greet", version="2")
async def greet_2(name: str) -> str:
    return await versions_step(f"good day {name}")


@dataclass
@flow_type(version="1")
class VersionsOrder:
    number: int

    @step
    async def check(self) -> str:
        return f"checked {self.number}"

    @flow
    async def run(self) -> str:
        return f"1: {await self.check()}"


Order1 = VersionsOrder


@dataclass
@flow_type(version="2")
class VersionsOrder:  # type: ignore[no-redef]  # the newer version, below the older one
    number: int
    express: bool = False

    @step
    async def check(self) -> str:
        return f"checked {self.number} {'at once' if self.express else 'later'}"

    @flow
    async def run(self) -> str:
        return f"2: {await self.check()}"


Order2: Any = VersionsOrder


@flow(name="versions_moves", version="1")
async def moves_1(n: int) -> str:
    await wait_signal("go")
    continue_as_new(moves_1(n + 1)) if n < 2 else None
    return f"1 after {n}"


@flow(name="versions_moves", version="2")
async def moves_2(n: int) -> str:
    await wait_signal("go")
    return f"2 after {n}"


@asynccontextmanager
async def served(*flows: object) -> AsyncIterator[tuple[Store, Scheduler]]:
    """A store with a worker of these flows, and a scheduler."""
    async with open_store("memory://") as store, await Worker(store).register(*flows).start():
        yield store, Scheduler(store)


def test_version_that_is_told_runs_with_the_arguments_of_the_flow_passed() -> None:
    async def main() -> None:
        async with served(greet_1, greet_2, Order1, Order2) as (_, scheduler):
            assert await (await scheduler.schedule(greet_1("x"), version="2")).result() == "good day x"
            assert await (await scheduler.schedule(Order1(7), version="2")).result() == "2: checked 7 later"

    run(main)


def test_version_that_does_not_exist_or_takes_other_arguments_is_refused() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            scheduler = Scheduler(store)
            with pytest.raises(DefinitionError, match=r"flow versions_greet has no version '9'; it has 1, 2"):
                await scheduler.schedule(greet_1("x"), version="9")
            with pytest.raises((CodecError, DefinitionError), match="express"):
                await scheduler.schedule(Order2(2, True), version="1")
            assert await scheduler.list() == []

    run(main)


def test_flow_keeps_its_version_when_it_continues_as_new_and_is_replayed_with_it() -> None:
    async def main() -> None:
        async with served(moves_1, moves_2) as (store, scheduler):
            handle = await scheduler.schedule(moves_1(0), id="m")
            for n in range(3):
                await until(lambda: _waits(store, "m"))
                await handle.signal("go", n)
            assert await handle.result() == "1 after 2"
            row = await store.get("m")
            assert row is not None
            assert row.version == "1"
            assert (await replay_flow(store, row, registry.get)).verdict == "same"

    run(main)


async def _waits(store: Store, flow_id: str) -> bool:
    row = await store.get(flow_id)
    return row is not None and row.status is not Status.RUNNING


def test_executor_runs_the_version_passed_though_a_later_one_is_defined() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            assert await Executor(greet_1("x"), store).run() == "hello x"
            assert await Executor(Order1(4), store).run() == "1: checked 4"

    run(main)


def test_same_id_with_another_version_is_the_flow_that_is_there() -> None:
    async def main() -> None:
        async with open_store("memory://") as store:
            scheduler = Scheduler(store)
            await scheduler.schedule(greet_1("x"), id="a")
            await scheduler.schedule(greet_2("x"), id="a")
            row = await store.get("a")
            assert row is not None
            assert row.version == "1"

    run(main)
