"""What workers tell of the steps that run: with each sign of life, and soon after a step has begun."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ergon_runtime.core.doing import MANY, Doing, RunningStep, pack_doing, read_doing
from ergon_runtime.core.flows import Beat, Lease, Message
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.primitives import sleep
from ergon_runtime.stores.memory import MemoryStore
from tests.runtime.rigs import EPOCH, Rig, rig, seconds, store_clock, virtual

LEASE = 15.0


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    with registry.isolated():
        yield


class Watched(MemoryStore):
    """Notes each sign of life: when it came, how many leases it renewed, and what it told. `failing` ones are lost."""

    def __init__(self) -> None:
        super().__init__(clock=store_clock)
        self.beats: list[tuple[float, int, Beat]] = []
        self.failing: list[float] = []

    def clone(self) -> Watched:
        return self  # the keeper's calls are noted too

    async def close(self) -> None:
        """It outlives its keepers."""

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        if beat is not None:
            self.beats.append((round(seconds(), 1), len(leases), beat))
            if self.failing and seconds() >= self.failing[0]:
                self.failing.pop(0)
                raise StoreUnavailable("gone")
        return await super().extend(leases, length, beat)

    def told(self) -> list[tuple[float, int, list[tuple[str, int, str, int, int]]]]:
        """When, how many leases, and (flow, life, key, attempt, seconds since the rig's start) of each step."""
        found: list[tuple[float, int, list[tuple[str, int, str, int, int]]]] = []
        for at, leases, beat in self.beats:
            doing = read_doing(beat.doing)
            assert doing is not None
            steps = [each for of_flow in doing.steps.values() for each in of_flow]
            rows = [(s.flow, s.life, s.key, s.attempt, round((s.started - EPOCH) / 1000)) for s in steps]
            found.append((at, leases, rows))
        return found


async def watched(flow_: Any, *args: Any, until: float, store: Watched | None = None) -> Watched:
    """Run flow f for so long; the store with what came."""
    store = store or Watched()
    here = Rig(store)
    try:
        here.start(flow_, lease=LEASE)
        await here.scheduler.schedule(flow_(*args), id="f")
        await asyncio.sleep(until)
    finally:
        await here.close()
    return store


def test_step_that_runs_is_told_soon_and_then_with_each_renewal_until_it_ends() -> None:
    @step
    async def takes(time: float) -> None:
        await asyncio.sleep(time)

    @flow
    async def parent() -> None:
        await takes(4.2)
        await takes(2.8)
        await sleep(100)

    async def main() -> None:
        store = await watched(parent, until=10.5)
        first, then = [("f", 1, "takes", 1, 0)], [("f", 1, "takes#2", 1, 4)]
        assert store.told() == [(0.0, 0, []), (1.0, 0, first), (5.0, 1, then), (10.0, 0, [])]
        assert [beat.busy for _, _, beat in store.beats] == [0, 1, 1, 0]

    virtual(main)


def test_many_short_steps_cost_no_signs_of_life_of_their_own_and_many_long_ones_one_a_second() -> None:
    @step
    async def takes(time: float) -> None:
        await asyncio.sleep(time)

    @flow
    async def line(time: float) -> None:
        while True:
            await takes(time)

    async def main() -> None:
        for time, beats in ((0.4, {0, 5, 10, 15}), (0.7, set(range(16)))):
            began = seconds()
            store = await watched(line, time, until=15.5)
            times = [round(at - began) for at, _, _ in store.beats]
            assert set(times) <= beats
            assert len(times) == len(set(times))

    virtual(main)


def test_try_after_a_failed_one_is_told_with_its_number() -> None:
    tries: list[int] = []

    @step(retry=RetryPolicy(max_attempts=2, initial=2, jitter=0))
    async def twice() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("busy")
        await asyncio.sleep(60)

    @step
    async def beside() -> None:
        await asyncio.sleep(60)

    @flow
    async def both() -> None:
        await asyncio.gather(twice(), beside())

    async def main() -> None:
        store = await watched(both, until=5.5)
        assert store.told()[-1][2] == [("f", 1, "2/beside", 1, 0), ("f", 1, "1/twice", 2, 2)]

    virtual(main)


def test_sign_of_life_out_of_turn_that_fails_renews_the_leases_at_once() -> None:
    @step
    async def slow() -> None:
        await asyncio.sleep(60)

    @flow
    async def parent() -> None:
        await slow()

    async def main() -> None:
        store = Watched()
        store.failing = [0.5]
        await watched(parent, until=5.5, store=store)
        assert [(at, leases) for at, leases, _ in store.beats] == [(0.0, 0), (1.0, 0), (1.0, 1)]

    virtual(main)


def test_step_given_up_after_its_grace_is_not_told() -> None:
    @step
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    @flow
    async def gives_up() -> None:
        try:
            async with asyncio.timeout(0.2):
                await stubborn()
        except TimeoutError:
            await asyncio.gather(waits())

    @step
    async def waits() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        async with rig() as here:
            worker = here.start(gives_up, lease=LEASE, grace=0.1)
            await here.scheduler.schedule(gives_up(), id="f")
            await asyncio.sleep(4)
            (row,) = await here.store.workers()
            assert [step.key for step in told_by(row.doing).steps["f"]] == ["1/waits"]
            assert not worker._has_news()

    virtual(main)


def told_by(doing: bytes) -> Doing:
    found = read_doing(doing)
    assert found is not None
    return found


def test_doing_is_read_as_it_was_told_the_oldest_first() -> None:
    steps = [RunningStep("f", 1, "b", 2, 20), RunningStep("\udcff", 3, "é", 1, 30), RunningStep("f", 1, "a", 1, 10)]
    assert told_by(pack_doing(steps)) == Doing({"f": (steps[2], steps[0]), "\udcff": (steps[1],)}, complete=True)
    assert told_by(pack_doing([])) == Doing({}, complete=True)


def test_doing_of_very_many_steps_tells_the_oldest_and_that_there_are_more() -> None:
    steps = [RunningStep("f", 1, f"s#{n}", 1, 10 * MANY - n) for n in range(MANY + 1)]
    found = told_by(pack_doing(steps))
    assert not found.complete
    assert found.steps["f"] == tuple(reversed(steps))[:MANY]


@pytest.mark.parametrize("told", [b"", b"\xff", b"[]", b'{"steps":[]}', b"[" * 100_000])
def test_doing_that_is_none_reads_as_nothing(told: bytes) -> None:
    assert read_doing(told) is None


def test_doing_passes_over_a_step_it_cannot_read() -> None:
    told = json.dumps({"steps": [["f", 1, "a", 1], ["f", 1, "b", 1, 5], 7], "all": 3}).encode()
    assert told_by(told) == Doing({"f": (RunningStep("f", 1, "b", 1, 5),)}, complete=False)
