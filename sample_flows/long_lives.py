"""Flows and steps that live long: a subscription without end, a transfer that must not happen twice, a slow import.

    ergon worker -m sample_flows/long_lives.py &
    ergon schedule newsletter -m sample_flows/long_lives.py -a reader=ada -a every=1 --id ada
    ergon inspect ada
    ergon signal unsubscribe --flow ada

`newsletter` shows continue_as_new: after each issue the flow begins anew under the same id, with an empty journal. It
would go on for ever; a signal ends it, with "ada got 4 issues", or as many as there were.

    ergon schedule pay_out -m sample_flows/long_lives.py -a account=DE-1 -a amount=100 -a takes=10 --id pay-1
    kill -9 %1
    ergon worker -m sample_flows/long_lives.py &
    ergon signal looked-up '"DE-1-100"' --flow pay-1

`pay_out` shows an at-most-once step. If its worker dies in the ten seconds that the transfer takes, nobody knows if the
bank has it. It is not sent again: when the dead worker's lease is over, 15 seconds, the flow waits for a person who has
looked it up.

    ergon schedule import_rows -m sample_flows/long_lives.py -a rows=40 -a pause=0.1 --wait

`import_rows` shows heartbeats: the step tells how far it is. Its first try gets stuck in the middle; after a second
without a heartbeat comes the next, which goes on where that one was: {"rows": 40, "tries": 2, "began_at": 20}.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from ergon_runtime import (
    OutcomeUnknown,
    RetryPolicy,
    continue_as_new,
    flow,
    heartbeat,
    step,
    step_info,
    wait_signal,
)


@step
async def send_issue(reader: str, issue: int) -> None:
    print(f"issue {issue} to {reader}")


@flow
async def newsletter(reader: str, every: float = 86_400.0, issue: int = 1, last: int | None = None) -> str:
    await send_issue(reader, issue)
    if issue != last:
        try:
            await wait_signal("unsubscribe", timeout=every)
        except TimeoutError:
            continue_as_new(newsletter(reader, every, issue + 1, last))
    return f"{reader} got {issue} issues"


@step(at_most_once=True)
async def transfer(account: str, amount: Decimal, takes: float) -> str:
    await asyncio.sleep(takes)  # stands for a bank that is slow, and does not know repeated transfers from new ones
    return f"{account}-{amount}"


@flow
async def pay_out(account: str, amount: Decimal, takes: float = 0.1) -> str:
    """The transfer's reference: the bank's answer, or what a person has found there."""
    try:
        return await transfer(account, amount, takes)
    except OutcomeUnknown:
        return await wait_signal("looked-up", str)


@dataclass(frozen=True)
class Imported:
    rows: int
    tries: int
    began_at: int
    """The row at which the last try began."""


@step(heartbeat_timeout=1.0, retry=RetryPolicy(max_attempts=5, initial=0.1))
async def read_rows(rows: int, pause: float) -> Imported:
    info = step_info()
    began_at: int = info.heartbeat or 0
    for row in range(began_at, rows):
        if info.attempt == 1 and row == rows // 2:
            await asyncio.sleep(3600)  # stands for a connection that has died without a word
        await asyncio.sleep(pause)
        heartbeat(row + 1)
    return Imported(rows, info.attempt, began_at)


@flow
async def import_rows(rows: int = 40, pause: float = 0.01) -> Imported:
    return await read_rows(rows, pause)
