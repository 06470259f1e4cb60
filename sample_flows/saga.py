"""A saga: a trip is booked piece by piece; if it comes to nothing, what was booked is given back, last piece first.

Shows compensations with plain AsyncExitStack, which also run when the flow is cancelled; an error after which nothing
is tried again (`SagaError`); and a flow retry that forgets what was undone (`keep=False`).

    ergon worker -m sample_flows/saga.py
    ergon schedule trip -m sample_flows/saga.py -a place=Paris --wait
    ergon schedule trip -m sample_flows/saga.py -a place=Atlantis --wait

Paris ends with {"place": "Paris", "bookings": ["flight-Paris", "hotel-Paris", "car-Paris"], "paid": "900 at try 1"}. In
Atlantis there are no cars: the worker prints how car, hotel, flight and money are given back, in this order, and the
flow fails with "SagaError: no trip to Atlantis: there is no car". In `place=Bergen` no hotel answers at first: all is
given back, and after a moment the whole trip is tried again, "900 at try 2". Cancelled while the traveller thinks, a
trip is given back too:

    ergon schedule trip -m sample_flows/saga.py -a place=Oslo -a think=3600 --id oslo
    ergon cancel oslo
    ergon inspect oslo

Without a worker, here and now:

    ergon run trip -m sample_flows/saga.py -a place=Bergen
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from ergon_runtime import NonRetryableError, RetryPolicy, flow, sleep, step, step_info, uuid4


class SoldOut(NonRetryableError):
    """There is none left; asking again would not help."""


class SagaError(NonRetryableError):
    """The trip came to nothing, and all of it was given back. The flow's retry policy does not apply."""


@dataclass(frozen=True)
class Trip:
    place: str
    bookings: list[str]
    paid: str


@step(retry=RetryPolicy.STANDARD)
async def charge_trip(number: UUID, price: Decimal) -> str:
    return f"{price} at try {step_info().flow_attempt}"


@step
async def book(number: UUID, what: str, place: str) -> str:
    if (what, place) == ("car", "Atlantis"):
        raise SoldOut(f"there is no {what}")
    if (what, place) == ("hotel", "Bergen") and step_info().flow_attempt == 1:  # stands for a bad day
        raise ConnectionError("no hotel answers")
    return f"{what}-{place}"


@step(retry=RetryPolicy.AGGRESSIVE)
async def give_back(number: UUID, what: str) -> None:
    """Undo what was done under this number. It must not give up soon, nor mind if nothing was done."""
    print(f"giving back {what}")


@flow(retry=RetryPolicy(max_attempts=3, initial=0.1), keep=False)
async def trip(place: str, price: Decimal = Decimal(900), think: float = 0.0) -> Trip:
    # Everything is done under a number that is known before. So it can be undone even if nobody knows whether it was
    # done: the connection broke, or the flow was cancelled meanwhile. With keep=False each try draws a number of its
    # own, and charges anew; else the second try would take the first one's charge as done, which was given back.
    number = uuid4()
    try:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(give_back, number, "money")
            paid = await charge_trip(number, price)
            bookings: list[str] = []
            for what in ("flight", "hotel", "car"):
                undo.push_async_callback(give_back, number, what)
                bookings.append(await book(number, what, place))
            await sleep(think, name="think it over")
            undo.pop_all()  # all is well: nothing to undo
    except SoldOut as why:
        raise SagaError(f"no trip to {place}: {why}") from why
    return Trip(place, bookings, paid)
