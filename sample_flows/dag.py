"""Eleven steps that need each other's results, wired twice: by declaration, and by hand.

`ByPlan` says of each step what it needs, and `run_dag` starts each as soon as that is there. `ByHand` calls the same
steps as plain asyncio code does. Both are recorded step by step, and both come to 1670; take what reads better. From
a = 10 and b = 5 they make 2a + (3ab² + (3ab² + b²) + b³).

Start a worker, and in another terminal schedule a flow and wait for it:

    ergon worker -m sample_flows/dag.py
    ergon schedule ByPlan -m sample_flows/dag.py --wait
    ergon schedule ByHand -m sample_flows/dag.py --wait

Each prints the flow's id, then 1670. The worker prints each step as it begins; `ergon inspect` shows when.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ergon_runtime import flow, flow_type, run_dag, step


class Cells:
    """The steps. What they depend on matters to `run_dag` alone."""

    @step
    async def begin(self) -> None:
        await work("begin")

    @step(depends_on=begin)
    async def read_a(self) -> int:
        return await work("read_a", 10)

    @step(depends_on=begin)
    async def read_b(self) -> int:
        return await work("read_b", 5)

    @step(inputs={"a": read_a})
    async def twice(self, a: int) -> int:
        return await work("twice", 2 * a)

    @step(inputs={"a": read_a})
    async def thrice(self, a: int) -> int:
        return await work("thrice", 3 * a)

    @step(inputs={"b": read_b})
    async def square(self, b: int) -> int:
        return await work("square", b * b)

    @step(inputs={"b": read_b})
    async def cube(self, b: int) -> int:
        return await work("cube", b**3)

    @step(inputs={"x": thrice, "y": square})
    async def product(self, x: int, y: int) -> int:
        return await work("product", x * y)

    @step(inputs={"x": product, "y": square})
    async def raised(self, x: int, y: int) -> int:
        return await work("raised", x + y)

    @step(inputs={"x": product, "y": raised, "z": cube})
    async def gathered(self, x: int, y: int, z: int) -> int:
        return await work("gathered", x + y + z)

    @step(inputs={"x": twice, "y": gathered})
    async def total(self, x: int, y: int) -> int:
        return await work("total", x + y)


async def work(name: str, result: int = 0) -> int:
    print(f"{name} begins")
    await asyncio.sleep(0.02)
    return result


@dataclass
@flow_type
class ByPlan(Cells):
    @flow
    async def run(self) -> int:
        results = await run_dag(self)
        return int(results["total"])


@dataclass
@flow_type
class ByHand(Cells):
    @flow
    async def run(self) -> int:
        await self.begin()
        async with asyncio.TaskGroup() as group:
            from_a = group.create_task(self.branch_a())
            from_b = group.create_task(self.branch_b())
        (twice, thrice), (square, cube) = from_a.result(), from_b.result()
        product = await self.product(thrice, square)
        raised = await self.raised(product, square)
        return await self.total(twice, await self.gathered(product, raised, cube))

    async def branch_a(self) -> tuple[int, int]:
        a = await self.read_a()
        return await asyncio.gather(self.twice(a), self.thrice(a))

    async def branch_b(self) -> tuple[int, int]:
        b = await self.read_b()
        return await asyncio.gather(self.square(b), self.cube(b))
