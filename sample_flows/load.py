"""Thirty orders on four workers of one process, with failures at known places: each step runs exactly as often as said.

Shows several workers in one program, retries that depend on the attempt alone, and a child flow per order. Of the
orders 0 to 29 every third fails its first validation, and every third, from order 1 on, its first reservation. So
30 + 10 validations and 30 + 10 reservations are tried, and 30 of each other step, whoever runs them.

    python sample_flows/load.py
    python sample_flows/load.py sqlite:///load.db

It prints a table of these numbers, and ends with 0 if they are right, else with 1. One order, by the command line:

    ergon worker -m sample_flows/load.py
    ergon schedule LoadOrder -m sample_flows/load.py -a number=4 --wait

It prints the flow's id, then "label-4".
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass

from ergon_runtime import RetryPolicy, Scheduler, Worker, flow, flow_type, invoke, open_store, sleep, step, step_info

ORDERS = 30
WORKERS = 4
EXPECTED = {"validate": 40, "check_fraud": 30, "reserve": 40, "pay": 30, "print_label": 30, "notify": 30}

tries: Counter[str] = Counter()
"""How often each step's body has run in this process."""

AGAIN = RetryPolicy(max_attempts=3, initial=0.02, multiplier=2.0)


@step
async def print_label(number: int) -> str:
    tries["print_label"] += 1
    return f"label-{number}"


@flow
async def order_label(number: int) -> str:
    await sleep(0.02)
    return await print_label(number)


@dataclass
@flow_type
class LoadOrder:
    number: int

    @step(retry=AGAIN)
    async def validate(self) -> None:
        tries["validate"] += 1
        if self.number % 3 == 0 and step_info().attempt == 1:
            raise ConnectionError("as if the network had failed")

    @step
    async def check_fraud(self) -> None:
        tries["check_fraud"] += 1

    @step(retry=AGAIN)
    async def reserve(self) -> None:
        tries["reserve"] += 1
        if self.number % 3 == 1 and step_info().attempt == 1:
            raise TimeoutError("as if the database had locked up")

    @step
    async def pay(self) -> None:
        tries["pay"] += 1

    @step
    async def notify(self, label: str) -> None:
        tries["notify"] += 1

    @flow
    async def run(self) -> str:
        await self.validate()
        await self.check_fraud()
        await sleep(0.01)
        await self.reserve()
        await self.pay()
        label = await invoke(order_label(self.number))
        await self.notify(label)
        return label


async def run_load(url: str, orders: int = ORDERS, workers: int = WORKERS) -> list[str]:
    """Run the orders on as many workers as told, and give their labels in the order of the orders."""
    async with open_store(url) as store, AsyncExitStack() as running:
        scheduler = Scheduler(store)
        handles = [await scheduler.schedule(LoadOrder(number)) for number in range(orders)]
        for number in range(workers):
            worker = Worker(store, name=f"load-{number}", concurrency=10).register(LoadOrder, order_label)
            await running.enter_async_context(await worker.start())
        return await asyncio.gather(*(handle.result(timeout=60) for handle in handles))


def main(url: str = "memory://") -> int:
    """Print how often each step was tried, and how often it should have been; 0 if that is the same."""
    tries.clear()
    labels = asyncio.run(run_load(url))
    print(f"{'step':<12} expected  tried")
    for name, expected in EXPECTED.items():
        print(f"{name:<12} {expected:>8} {tries[name]:>6}  {'ok' if tries[name] == expected else 'WRONG'}")
    print(f"{len(set(labels))} orders have their labels")
    return 0 if tries == EXPECTED and len(set(labels)) == ORDERS else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
