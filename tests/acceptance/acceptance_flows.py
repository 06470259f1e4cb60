"""Flows that acceptance tests run in real workers. Each step writes a line to the ledger of effects."""

from __future__ import annotations

import asyncio
import os
import time

from ergon_runtime import flow, sleep, step, step_info, wait_signal


def effect(what: str) -> None:
    """One line, one write: what happened, in which flow, under which key, by which process."""
    info = step_info()
    line = f"{info.flow_id} {info.key} {info.attempt} {os.getpid()} {what}\n"
    ledger = os.open(os.environ["ERGON_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, line.encode())
    os.close(ledger)


@step
async def add(total: int, n: int) -> int:
    effect("add")
    return total + n


@flow
async def five_steps(start: int) -> int:
    total = start
    for n in range(5):
        total = await add(total, n)
    return total


@step
async def note_received(name: str, payload: int) -> int:
    effect(f"{name}={payload}")
    return payload


@flow
async def receiver(name: str, before: float) -> int:
    await sleep(before)
    return await note_received(name, await wait_signal(name, int))


@step
async def slow(seconds: float) -> str:
    effect("begin")
    await asyncio.sleep(seconds)
    effect("end")
    return "slept"


@step
def slow_in_thread(seconds: float) -> str:
    effect("begin")
    time.sleep(seconds)
    effect("end")
    return "slept"


@flow
async def long_step(seconds: float, threaded: bool = False) -> str:
    return await (slow_in_thread(seconds) if threaded else slow(seconds))


@flow
async def two_long_steps(seconds: float) -> None:
    await slow(seconds)
    await slow(seconds)


@step
async def die() -> None:
    effect("die")
    os._exit(9)


@flow
async def poison() -> None:
    await die()


@step
async def clean_up() -> str:
    effect("clean up")
    return "clean"


@flow
async def with_cleanup() -> None:
    try:
        await wait_signal("never")
    finally:
        await clean_up()
