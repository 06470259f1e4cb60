"""Every flow of a store, in pages: those that are not over first, each once, also while flows end."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ergon_runtime import Status
from ergon_runtime.core.entries import Outcome
from ergon_runtime.core.flows import ClaimRequest, Commit
from ergon_runtime.view import every_flow
from tests.runtime.views import LEASE, Scene, run


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_runtime.view.read.FLOWS", 2)


async def scene() -> Scene:
    """Five flows that wait and five that have ended, one a second, in turns."""
    made = Scene()
    for n in range(5):
        made.now += 1000
        await made.place(f"live-{n}", Status.WAITING)
        made.now += 1000
        await made.place(f"over-{n}", Status.COMPLETED, outcome=Outcome(Status.COMPLETED, "1"))
    return made


async def end(made: Scene, flow: str) -> None:
    """A second later the flow ends."""
    made.now += 1000
    claims = await made.store.claim(ClaimRequest("w", LEASE, 1, ids=(flow,), operator=True))
    claim = claims.claims[0]
    result = Outcome(Status.COMPLETED, "1").pack()
    await made.store.commit(
        Commit("end", claim.lease, claim.head, claim.length, LEASE, Status.COMPLETED, release=True, result=result)
    )


def ids(*statuses: Status, types: Iterable[str] = ()) -> list[str]:
    async def scenario() -> list[str]:
        made = await scene()
        return [row.id async for row in every_flow(made.store, statuses=statuses, types=types)]

    return run(scenario())


LIVE = [f"live-{n}" for n in (4, 3, 2, 1, 0)]
OVER = [f"over-{n}" for n in (4, 3, 2, 1, 0)]


def test_flows_that_are_not_over_come_first_newest_first() -> None:
    assert ids() == LIVE + OVER


def test_statuses_and_types_narrow_it() -> None:
    assert ids(Status.COMPLETED, Status.FAILED) == OVER
    assert ids(Status.WAITING, Status.BLOCKED) == LIVE
    assert ids(types=["order"]) == LIVE + OVER
    assert ids(types=["bill"]) == []


@pytest.mark.parametrize(("flow", "expected"), [("live-4", LIVE + OVER), ("live-0", LIVE[:-1] + OVER)])
def test_flow_that_ends_meanwhile_comes_at_most_once(flow: str, expected: list[str]) -> None:
    async def scenario() -> None:
        made = await scene()
        found: list[str] = []
        async for row in every_flow(made.store):
            found.append(row.id)
            if len(found) == 2:
                await end(made, flow)
        assert found == expected

    run(scenario())
