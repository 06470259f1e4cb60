"""Flows whose steps write a line with a number of its own to a ledger, and give that number as their result.

So the ledger shows, for each result that a journal holds, whether its step ran again after it was recorded.
"""

from __future__ import annotations

import asyncio
import secrets

from ergon_runtime import flow, invoke, sleep, step
from tests.acceptance.acceptance_flows import effect


@step
async def mark(n: int) -> str:
    number = f"{n}-{secrets.token_hex(8)}"
    effect(number)
    await asyncio.sleep(0.01)
    return number


@flow
async def part(n: int) -> str:
    return await mark(n)


@flow
async def job() -> list[str]:
    found = [await mark(0), await mark(1)]
    await sleep(0.05)
    found += await asyncio.gather(mark(2), mark(3))
    found.append(await invoke(part(4)))
    found.append(await mark(5))
    return found


@step
async def hold(n: int, seconds: float) -> int:
    effect(f"begin-{n}")
    try:
        await asyncio.sleep(seconds)
    finally:
        effect(f"end-{n}")
    return n


@flow
async def holds(count: int, seconds: float) -> int:
    for n in range(count):
        await hold(n, seconds)
    return count
