"""The flows of the fuzzers' store, copied to where they play as flows.py."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from ergon_runtime import RetryPolicy, flow, flow_type, heartbeat, invoke, patched, run_dag, sleep, step, wait_signal


@step
async def fuzz_charge(order: str, amount: Decimal) -> dict[str, str]:
    return {"order": order, "amount": str(amount)}


@step
def fuzz_echo(value):
    heartbeat(value)
    return value


@step(retry=RetryPolicy(max_attempts=9, initial=9_000.0))
async def fuzz_flaky(text: str) -> None:
    heartbeat(text)
    raise OSError(text)


@step(at_most_once=True)
async def fuzz_send(text: str) -> str:
    return text


@flow
async def fuzz_order(n: int, amount: Decimal = Decimal("1.50"), note: str | None = None) -> str:
    receipt = await fuzz_charge(note or "none", amount)
    await fuzz_send(note or "")
    return f"{n} {receipt['amount']}"


@flow
async def fuzz_any(value):
    return await fuzz_echo(value)


@flow
async def fuzz_fails(text: str) -> None:
    await fuzz_echo(text)
    raise ValueError(text)


@flow
async def fuzz_flaky_flow(text: str) -> None:
    await fuzz_flaky(text)


@flow
async def fuzz_waits(name: str) -> str:
    if patched("fuzz"):
        await sleep(0.001)
    async with asyncio.timeout(1e7):
        await wait_signal(name, str)
        await wait_signal(f"{name}-2", dict[str, int])
    return name


@flow
async def fuzz_sleeps(seconds: float) -> None:
    await sleep(seconds)


@flow
async def fuzz_parent(name: str) -> str:
    await invoke(fuzz_order(1, Decimal(2), name))
    return await invoke(fuzz_waits(name))


@dataclass
@flow_type(version="v2")
class FuzzReport:
    title: str

    @step
    async def first(self) -> str:
        return self.title

    @step(inputs={"got": first})
    async def second(self, got: str) -> str:
        return got + self.title

    @flow(retry=RetryPolicy(max_attempts=2, initial=0.001))
    async def run(self) -> str:
        return str((await run_dag(self))["second"])
