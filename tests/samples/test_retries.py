"""The tries of sample_flows/retries.py: how many, how far apart, and what is not done twice."""

from __future__ import annotations

import asyncio
from typing import Any

from ergon_runtime.core.entries import AttemptFailed, Retried, StepEnded, StepStopped
from sample_flows import retries
from tests.runtime.rigs import rig, virtual


def entries_of(flow: Any) -> list[Any]:
    """The journal of a flow that ran to its end."""

    async def main() -> list[Any]:
        async with rig(flow.definition) as here:
            await here.result(flow)
            return list(await here.entries())

    return virtual(main)


def waits(flow: Any) -> list[float]:
    """The seconds between a failed try and the next."""
    return [(each.due - each.finished) / 1000 for each in entries_of(flow) if isinstance(each, AttemptFailed)]


def test_report_is_downloaded_at_the_third_try_after_growing_waits() -> None:
    assert waits(retries.fetch_report()) == [0.05, 0.1]


def test_doctor_is_rung_again_when_the_error_said() -> None:
    assert waits(retries.see_doctor()) == [0.2]


def test_number_that_is_none_is_parsed_once() -> None:
    ends = [each for text in ("", "many") for each in entries_of(retries.read_number(text))]
    assert [each.attempts for each in ends if isinstance(each, StepEnded)] == [1, 1]


def test_oracle_is_stopped_after_a_tenth_of_a_second_and_asked_again() -> None:
    (failed,) = [each for each in entries_of(retries.ask_oracle()) if isinstance(each, AttemptFailed)]
    assert failed.finished - failed.started == 100


def test_bus_is_waved_at_until_patience_ends() -> None:
    entries = entries_of(retries.catch_bus(patience=1))
    tries = [each for each in entries if isinstance(each, AttemptFailed)]
    assert 20 <= len(tries) <= 22
    assert isinstance(entries[-1], StepStopped)


def test_bill_is_paid_under_the_key_that_its_first_try_had() -> None:
    ended = next(each for each in entries_of(retries.pay_bill()) if isinstance(each, StepEnded))
    assert (ended.attempts, ended.value) == (2, '"5 paid under f:1:pay"')


def test_house_keeps_its_cellar_when_the_roof_is_tried_again() -> None:
    entries = entries_of(retries.build_house())
    built = [each.args for each in entries if isinstance(each, StepEnded)]
    assert built == ['{"part":"cellar"}', '{"part":"roof"}', '{"part":"roof"}']
    assert sum(isinstance(each, Retried) for each in entries) == 1


def test_money_whose_worker_died_while_sending_it_is_not_sent_again_but_looked_up() -> None:
    async def main() -> None:
        async with rig() as here:
            handle = await here.scheduler.schedule(retries.send_money(slow=60), id="f")
            first = here.start(retries.send_money)
            while "begun send" not in await here.kinds():
                await asyncio.sleep(0.01)
            await first.abort()
            here.start(retries.send_money)
            assert await handle.result() == "5 sent, says the bank"
            assert await here.kinds() == ["begun send", "step send", "step look_up"]

    virtual(main)
