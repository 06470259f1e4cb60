"""Orders for acceptance tests of retry and fork. Each step writes a line to the ledger of effects."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ergon_runtime import flow, step
from tests.acceptance.acceptance_flows import effect


@step
async def reserve(order: str) -> str:
    effect("reserve")
    return f"place of {order}"


@step
async def charge(order: str) -> str:
    if Path(os.environ["ERGON_DOWN"]).exists():
        raise ConnectionError("the payment provider is down")
    effect("charge")
    return f"receipt of {order}"


@step
async def ship(place: str, receipt: str) -> str:
    effect("ship")
    return f"{place}, {receipt}"


@flow
async def order(name: str) -> str:
    place = await reserve(name)
    return await ship(place, await charge(name))


@step
async def count(n: int) -> int:
    return n


@flow
async def long_order(name: str, counts: int) -> str:
    counted = await asyncio.gather(*(count(n) for n in range(counts)))
    return await ship(f"{sum(counted)}", await charge(name))
