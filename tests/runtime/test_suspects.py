"""A flow under which workers have died is run alone: nothing beside it, and way is made for it (P5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ergon_runtime.core.flows import SUSPECT, ClaimRequest
from ergon_runtime.definitions import flow, registry, step
from tests.runtime.rigs import LEASE, Rig, rig, seconds, virtual

log: list[str] = []


@pytest.fixture(autouse=True)
def own_registry() -> Any:
    log.clear()
    with registry.isolated():
        yield


def working(name: str) -> Any:
    """A flow type with one step, which takes the seconds it is told."""

    async def calls(label: str, takes: float) -> None:
        await body(label, takes)

    @step(name=f"{name}_body")
    async def body(label: str, takes: float) -> None:
        log.append(f"{label} begins")
        await asyncio.sleep(takes)
        log.append(f"{label} ends")

    return flow(name=name)(calls)


async def suspect(here: Rig, value: Any) -> None:
    """Schedule a flow under which workers have died."""
    await here.scheduler.schedule(value, id="suspect")
    for _ in range(SUSPECT + 1):
        assert (await here.store.claim(ClaimRequest("dead", 10, 1, ids=("suspect",)))).claims
        await asyncio.sleep(0.01)


def test_p5_nothing_is_claimed_while_a_suspect_flow_runs() -> None:
    async def main() -> None:
        calls = working("suspects_alone")
        async with rig() as here:
            await suspect(here, calls("suspect", 30.0))
            here.start(calls)
            while not log:
                await asyncio.sleep(0.1)
            other = await here.scheduler.schedule(calls("other", 1.0), id="other")
            await other.result()
            assert log == ["suspect begins", "suspect ends", "other begins", "other ends"]

    virtual(main)


def test_p5_suspect_flow_does_not_begin_beside_others() -> None:
    async def main() -> None:
        calls = working("suspects_beside")
        async with rig() as here:
            await suspect(here, calls("suspect", 1.0))
            await here.scheduler.schedule(calls("other", LEASE), id="other")
            here.start(calls)
            await here.scheduler.handle("suspect").result()
            assert log == ["other begins", "other ends", "suspect begins", "suspect ends"]

    virtual(main)


def test_p5_way_is_made_for_a_suspect_flow_among_many_others() -> None:
    async def main() -> None:
        calls = working("suspects_way")
        async with rig() as here:
            await suspect(here, calls("suspect", 1.0))
            for n in range(100):  # there is always one at work
                await here.scheduler.schedule(calls(str(n), 1.0), id=str(n), delay=n / 2)
            here.start(calls)
            await here.scheduler.handle("suspect").result()
            assert seconds() < 4 * LEASE

    virtual(main)
