"""The flows whose code is edited, and what all of them share: HEAD is the begin of each module."""

from __future__ import annotations

HEAD = """
import asyncio
from dataclasses import dataclass

from ergon_runtime import continue_as_new, flow, flow_type, invoke, patched, sleep, step, wait_signal


@step
async def charge(n: int) -> int:
    return n


@step
async def pack(n: int) -> int:
    return n


@step
async def ship(n: int) -> int:
    return n


@step
async def audit(n: int) -> int:
    return n


@step
async def note(text: str) -> None:
    pass


@step
async def move(source: str, target: str) -> str:
    return source + target


@step
async def dawdle(n: int) -> int:
    await asyncio.sleep(60)
    return n


@step
async def refuse(n: int) -> int:
    raise ValueError(f"no {n}")


@step(name="parcel")
async def parcel_step(n: int) -> int:
    return n


@flow
async def parcel(n: int) -> int:
    return n


@flow
async def crate(n: int) -> int:
    return n

"""

ORDER = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await pack(n + 1)
    await ship(n + 2)
    return await wait_signal("go", int)
"""
NOTES = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await note("packed")
    await ship(n)
    return await wait_signal("go", int)
"""
PARALLEL = """
@flow
async def main(n: int) -> int:
    await asyncio.gather(charge(n), pack(n))
    await ship(n)
    return await wait_signal("go", int)
"""
SERIAL = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await pack(n)
    await ship(n)
    return await wait_signal("go", int)
"""
UNEVEN = """
@flow
async def main(n: int) -> int:
    await asyncio.gather(dawdle(n), pack(n + 1), ship(n + 2))
    return await wait_signal("go", int)
"""
RACE = """
@flow
async def main(n: int) -> int:
    try:
        async with asyncio.timeout(9):
            await dawdle(n)
    except TimeoutError:
        await charge(n)
    await ship(n)
    return await wait_signal("go", int)
"""
FASTEST = """
@flow
async def main(n: int) -> int:
    await charge(n)
    late = asyncio.create_task(sleep(900))
    soon = asyncio.create_task(pack(n))
    await asyncio.wait([late, soon], return_when=asyncio.FIRST_COMPLETED)
    late.cancel()
    await ship(n)
    return await wait_signal("go", int)
"""
FAILS_TOGETHER = """
@flow
async def main(n: int) -> int:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse(n))
    except* ValueError:
        await audit(n)
    return await wait_signal("go", int)
"""
GROUP = """
async def branch(n: int) -> int:
    await charge(n)
    return await pack(n)


@flow
async def main(n: int) -> int:
    async with asyncio.TaskGroup() as group:
        group.create_task(branch(n))
        group.create_task(ship(n + 5))
    return await wait_signal("go", int)
"""
LOOP = """
@flow
async def main(n: int) -> int:
    for each in range(n, 4):
        await charge(each)
    await pack(n)
    return await wait_signal("go", int)
"""
BRANCH = """
@flow
async def main(n: int) -> int:
    if n > 0:
        await charge(n)
    else:
        await pack(n)
    await ship(n)
    return await wait_signal("go", int)
"""
TRANSFER = """
@flow
async def main(n: int) -> int:
    await move("a", "b")
    await charge(100)
    return await wait_signal("go", int)
"""
SLEEPS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await sleep(60)
    await ship(n)
    return await wait_signal("go", int)
"""
ASKS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    approved = await wait_signal("approve", int)
    await ship(approved)
    return await wait_signal("go", int)
"""
CHILDREN = """
@flow
async def main(n: int) -> int:
    await charge(n)
    await invoke(parcel(n))
    await ship(n)
    return await wait_signal("go", int)
"""
SENDS_OFF = """
@flow
async def main(n: int) -> int:
    await charge(n)
    invoke(parcel(n), detached=True)
    return await wait_signal("go", int)
"""
PATCHED = """
@flow
async def main(n: int) -> int:
    await charge(n)
    if patched("packing"):
        await pack(n + 7)
    else:
        await audit(n)
    return await wait_signal("go", int)
"""
HELPERS = """
async def deliver(n: int) -> int:
    await pack(n)
    return await ship(n + 1)


@flow
async def main(n: int) -> int:
    await charge(n)
    await deliver(n)
    return await wait_signal("go", int)
"""
CLASS = """
@dataclass
@flow_type(name="main")
class Main:
    n: int

    @step
    async def weigh(self, kilos: int) -> int:
        return kilos

    @flow
    async def run(self) -> int:
        await self.weigh(self.n)
        await ship(self.n)
        return await wait_signal("go", int)
"""
FAILS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    return await refuse(n)
"""
CATCHES = """
@flow
async def main(n: int) -> int:
    try:
        await refuse(n)
    except ValueError:
        await audit(n)
    return await wait_signal("go", int)
"""
CLEANS = """
@flow
async def main(n: int) -> int:
    try:
        return await wait_signal("go", int)
    except asyncio.CancelledError:
        await charge(n)
        await ship(n)
        raise
"""
TELLS = """
@flow
async def main(n: int) -> dict[str, int]:
    await charge(n)
    return {"a": n, "b": n}
"""
ROUNDS = """
@flow
async def main(n: int) -> int:
    await charge(n)
    if n < 3:
        continue_as_new(main(n + 1))
    await ship(n)
    return n
"""
