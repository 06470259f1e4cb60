"""Flow code must do the same in every replay. What comes of it when it does not, and how to write it instead.

`careless` reads the environment variable SALE in its flow code. The next process may find another value there:

    export SALE=SUMMER
    ergon schedule careless -m sample_flows/determinism.py -a price=100 --id bad
    ergon worker -m sample_flows/determinism.py --burst
    unset SALE
    ergon signal pay --flow bad
    ergon worker -m sample_flows/determinism.py --burst
    ergon inspect bad
    ergon replay bad -m sample_flows/determinism.py

The second worker runs the flow's code on what was recorded, and it asks for another step than then. Nothing is lost or
done twice: the flow is BLOCKED, and replay shows both sides, step quote("price":"100","code":"SUMMER") and, now,
step quote("price":"100","code":null). After `export SALE=SUMMER` replay says "same". Workers leave a flow alone that
their very code has blocked, so save the file with some change, a comment will do, and start a worker: it completes with
"80.00".

`careful` is the right way, and gets through all this: what comes from outside comes through a step, and is recorded.
For time, chance and ids there are now(), random() and uuid4(), which are the same in every replay.

    ergon run careful -m sample_flows/determinism.py -a price=100 --id good

prints what it comes to, such as {"number": ..., "total": "100", ...}, after `ergon signal pay --flow good` in another
terminal.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ergon_runtime import flow, now, random, step, uuid4, wait_signal


@step
async def quote(price: Decimal, code: str | None) -> Decimal:
    return round(price * Decimal("0.80"), 2) if code == "SUMMER" else price


@flow
async def careless(price: Decimal) -> Decimal:
    code = os.environ.get("SALE")  # wrong: a replay may read something else
    total = await quote(price, code)
    await wait_signal("pay")
    return total


@dataclass(frozen=True)
class Sale:
    number: UUID
    total: Decimal
    quoted_at: datetime
    lottery_number: int


@step
async def read_code() -> str | None:
    return os.environ.get("SALE")


@flow
async def careful(price: Decimal) -> Sale:
    code = await read_code()  # right: read once, and from then on taken from the journal
    number, lottery_number = uuid4(), random().randint(1, 49)  # not uuid.uuid4(), not random.randint()
    quoted_at = now()  # not datetime.now()
    total = await quote(price, code)
    await wait_signal("pay")
    return Sale(number, total, quoted_at, lottery_number)
