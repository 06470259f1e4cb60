"""The saga of sample_flows/saga.py: what is given back, in which order, and under which number."""

from __future__ import annotations

import json

import pytest

from ergon_runtime import FlowCancelled
from ergon_runtime.core.entries import StepEnded
from sample_flows.saga import SagaError, SoldOut, trip
from tests.runtime.rigs import Rig, rig, stands, virtual


async def steps(here: Rig, name: str) -> list[dict[str, str]]:
    """The arguments of all steps of this name that ended, in the order of their ends."""
    ended = [entry for entry in await here.entries() if isinstance(entry, StepEnded)]
    return [json.loads(entry.args) for entry in ended if entry.name == name]


def test_trip_that_is_sold_out_is_given_back_in_reverse_order_and_not_tried_again() -> None:
    async def main() -> None:
        async with rig(trip) as here:
            with pytest.raises(SagaError, match="no trip to Atlantis: there is no car") as caught:
                await here.result(trip("Atlantis"))
            assert isinstance(caught.value.__cause__, SoldOut)
            assert [each["what"] for each in await steps(here, "give_back")] == ["car", "hotel", "flight", "money"]
            assert len(await steps(here, "charge_trip")) == 1

    virtual(main)


def test_trip_cancelled_while_its_traveller_thinks_is_given_back() -> None:
    async def main() -> None:
        async with rig(trip) as here:
            handle = await here.scheduler.schedule(trip("Oslo", think=3600), id="f")
            await stands(handle, "waiting")
            assert [each["what"] for each in await steps(here, "book")] == ["flight", "hotel", "car"]
            assert await steps(here, "give_back") == []
            await handle.cancel()
            with pytest.raises(FlowCancelled):
                await handle.result()
            assert [each["what"] for each in await steps(here, "give_back")] == ["car", "hotel", "flight", "money"]

    virtual(main)


def test_trip_tried_again_is_charged_anew_under_a_number_of_its_own() -> None:
    async def main() -> None:
        async with rig(trip) as here:
            assert (await here.result(trip("Bergen"))).paid == "900 at try 2"
            first, second = [each["number"] for each in await steps(here, "charge_trip")]
            assert first != second
            assert {each["number"] for each in await steps(here, "give_back")} == {first}
            assert [each["number"] for each in await steps(here, "book")] == [first] * 2 + [second] * 3

    virtual(main)
