"""The purchases of sample_flows/comprehensive.py: two versions at a time, and what is not begun when a check fails."""

from __future__ import annotations

import pytest

from sample_flows.comprehensive import CheckFailed, FirstPurchase, PaymentDeclined, Purchase, delivery, payment
from tests.runtime.rigs import rig, virtual

FLOWS = (FirstPurchase, Purchase, payment, delivery)


def test_orders_of_two_versions_run_on_three_workers_and_keep_their_versions() -> None:
    async def main() -> None:
        async with rig() as here:
            for _ in range(3):
                here.start(*FLOWS)
            first = await here.scheduler.schedule(FirstPurchase("O-1", "Ada", pause=60), id="O-1")
            second = await here.scheduler.schedule(Purchase("O-2", "Bob", pause=60), id="O-2")
            assert [(await each.result()).version for each in (first, second)] == ["v1.0", "v2.0"]
            assert [(await here.row(each)).version for each in ("O-1", "O-2")] == ["v1.0", "v2.0"]

    virtual(main)


def test_checks_of_the_first_version_run_beside_the_fraud_offices_pause() -> None:
    async def main() -> None:
        async with rig(*FLOWS) as here:
            await here.result(FirstPurchase("O-1", "Ada", pause=60))
            checks = ["step 1/check_customer", "step 2/check_stock", "timer 3/fraud office", "step 3/check_fraud"]
            assert (await here.kinds())[:5] == [*checks, "step approve"]

    virtual(main)


def test_purchase_that_is_not_approved_begins_no_child() -> None:
    async def main() -> None:
        async with rig(*FLOWS) as here:
            with pytest.raises(CheckFailed, match="customer=False, stock=True, fraud=True"):
                await here.result(Purchase("O-3", "Mallory"))
            assert {kind.split()[0] for kind in await here.kinds()} == {"timer", "step"}

    virtual(main)


def test_purchase_with_an_empty_card_is_tried_once_and_not_delivered() -> None:
    async def main() -> None:
        async with rig(*FLOWS) as here:
            with pytest.raises(PaymentDeclined):
                await here.result(Purchase("O-4", "Bob", card="empty"))
            assert await here.kinds("f/payment") == ["step debit"]
            assert not any("delivery" in kind for kind in await here.kinds())

    virtual(main)
