"""The flows of the pictures in docs/pictures: an order that is paid, packed and sent, and waits for an approval."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from ergon_runtime import RetryPolicy, flow, invoke, sleep, step, step_info, wait_signal


@dataclass
class Receipt:
    number: int
    amount: Decimal


@dataclass
class Answer:
    ok: bool
    by: str


@step
async def check(order: str) -> bool:
    await asyncio.sleep(1.2)
    return order.startswith("A-")


@step(retry=RetryPolicy(max_attempts=3, initial=2.0))
async def charge(order: str, amount: Decimal) -> Receipt:
    await asyncio.sleep(0.8)
    if step_info().attempt < 3:
        raise ConnectionError("the bank is busy")
    return Receipt(4711, amount)


@step
async def pack(order: str, number: int) -> dict[str, int | str]:
    await asyncio.sleep(2.5 * number)
    return {"order": order, "parcel": number, "grams": 750 * number}


@step
async def print_label(order: str, number: int) -> str:
    await asyncio.sleep(0.3)
    if order == "A-18" and number == 2:
        raise OSError("the printer has no paper")
    return f"{order}/{number}"


@flow
async def sticker(order: str, number: int) -> str:
    return await print_label(order, number)


@flow
async def package(order: str, number: int) -> str:
    await pack(order, number)
    return await invoke(sticker(order, number))


@step
async def send_mail(text: str) -> None:
    await asyncio.sleep(0.1)


@flow
async def purchase(id: str, amount: Decimal) -> str:  # noqa: A002  what the pictures show
    await check(id)
    receipt = await charge(id, amount)
    labels = await asyncio.gather(*(invoke(package(id, number)) for number in (1, 2)))
    await sleep(10)
    answer = await wait_signal("approve", Answer)
    await send_mail(f"{', '.join(labels)}: {receipt.amount}, approved by {answer.by}")
    return "sent"
