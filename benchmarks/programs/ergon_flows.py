"""The flows of the benchmarks, for Ergon."""

from __future__ import annotations

import asyncio
import time

from benchmarks.programs.common import FLOW_STEPS
from ergon_runtime import flow, invoke, step, wait_signal

begun: int = 0
"""Steps begun in this process."""


@step
async def work(n: int) -> int:
    global begun
    begun += 1
    return n + 1


@step
async def stamp() -> float:
    """When it runs: seconds of the machine's monotonic clock, which all its processes share."""
    return time.monotonic()


@flow
async def short(n: int) -> int:
    for _ in range(FLOW_STEPS):
        n = await work(n)
    return n


@flow
async def long(steps: int) -> int:
    n = 0
    for _ in range(steps):
        n = await work(n)
    return n


@flow
async def fan(children: int) -> int:
    return sum(await asyncio.gather(*(invoke(short(n)) for n in range(children))))


@flow
async def wide(steps: int) -> int:
    return sum(await asyncio.gather(*(work(n) for n in range(steps))))


@flow
async def started() -> float:
    return await stamp()


@flow
async def signalled() -> float:
    await wait_signal("go", int)
    return await stamp()


@flow
async def alike(steps: int) -> int:
    """Each of its steps is like the others, so that a journal of any length can be made from a short one."""
    for _ in range(steps):
        await work(1)
    return steps
