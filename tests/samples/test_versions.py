"""Two versions of one flow type: who serves which, what is told of the one that nobody serves, and the small change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ergon_runtime import Scheduler, Status, Worker, open_store
from sample_flows.versions import Delivery, FirstDelivery, play, send_parcel, take_payment
from tests.acceptance.processes import ROOT, shop, until, warnings_in
from tests.seed.places import STORES, address

SAMPLE = ROOT / "sample_flows/versions.py"
CHANGE = """\
    if patched("weigh parcels"):  # new; the rest is as it was
        await weigh(order_id)
"""


@pytest.mark.parametrize("kind", STORES)
def test_order_of_a_version_that_nobody_serves_waits_for_a_worker_that_does(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(play(address(kind, tmp_path)))
    assert capsys.readouterr().out.splitlines() == [
        "version 1: A-1 paid, parcel-A-1",
        "version 2: pending",
        "version 2: A-2 paid, parcel-A-2 insured",
    ]


def test_scheduler_and_schedule_with_a_version_take_that_code() -> None:
    async def main() -> list[str]:
        async with (
            open_store("memory://") as store,
            await Worker(store).register(FirstDelivery, Delivery, take_payment, send_parcel).start(),
        ):
            newest, first = Scheduler(store), Scheduler(store, version="1")
            handles = [
                await newest.schedule(Delivery("a")),
                await newest.schedule(Delivery("a"), version="1"),
                await first.schedule(Delivery("a")),
            ]
            return [await handle.result(timeout=30) for handle in handles]

    assert asyncio.run(main()) == ["a paid, parcel-a insured", "a paid, parcel-a", "a paid, parcel-a"]


def test_inspect_of_an_order_whose_version_no_live_worker_serves_names_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            open_store(f"sqlite:///{tmp_path / 'ergon.db'}") as store,
            await Worker(store).register(FirstDelivery, take_payment, send_parcel).start(),
        ):
            new = await Scheduler(store).schedule(Delivery("A-2"), id="new")
            old = await Scheduler(store).schedule(FirstDelivery("A-1"), id="old")
            await old.result(timeout=30)
            assert await new.status() is Status.PENDING
            with shop(tmp_path) as here:
                why = here.json("inspect", "new")["why"]
                assert (why["kind"], why["type"], why["version"]) == ("no_worker", "Delivery", "2")
                assert "no live worker serves Delivery version 2" in here.run("inspect", "new").stdout

    asyncio.run(main())


def test_parcel_handed_over_before_the_change_goes_on_without_it(tmp_path: Path) -> None:
    text = SAMPLE.read_text()
    assert CHANGE in text
    flows = tmp_path / "flows.py"
    with shop(tmp_path) as here:
        flows.write_text(text.replace(CHANGE, ""))
        here.run("schedule", "send_parcel", "-a", "order_id=A-1", "-a", "pause=5", "--id", "old")
        worker = here.worker()
        until(lambda: here.json("inspect", "old")["status"] == "waiting", what="that it waits for the carrier")
        worker.kill()
        flows.write_text(text)
        here.run("schedule", "send_parcel", "-a", "order_id=A-2", "-a", "pause=0", "--id", "new")
        last = here.worker()
        until(lambda: not live(here.run("list", "--json").stdout), what="the end of both")
        steps = {each: [step["key"] for step in here.json("inspect", each)["steps"]] for each in ("old", "new")}
        assert steps["old"] == ["hand_over", "carrier"]
        assert [key for key in steps["new"] if key in ("weigh", "hand_over", "carrier")] == [
            "weigh",
            "hand_over",
            "carrier",
        ]
        assert here.run("replay", "old", "new").stdout.count("same") == 2
        assert warnings_in(last.text()) == []


def live(lines: str) -> list[str]:
    return [flow["id"] for flow in map(json.loads, lines.splitlines()) if flow["status"] != "completed"]
