"""Flows that real workers run in the tests of this folder. Each effect is a line in a ledger."""

from __future__ import annotations

import asyncio
import os

from ergon_runtime import flow, sleep, step, step_info, wait_signal


def effect(what: str) -> int:
    """Write a line: flow, key, what happened. How many such lines there are now."""
    info = step_info()
    line = f"{info.flow_id} {info.key} {what}"
    path = os.environ["ERGON_LEDGER"]
    ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(ledger, f"{line}\n".encode())
    os.close(ledger)
    with open(path) as lines:
        return lines.read().splitlines().count(line)


@step
async def first_hangs(what: str) -> str:
    """Never ends the first time."""
    if effect(what) == 1:
        await asyncio.Event().wait()
    return what


@step
async def once(what: str) -> str:
    effect(what)
    return what


@flow
async def hangs_once() -> str:
    return await once("before") + await first_hangs("hangs")


@flow
async def naps(seconds: float) -> str:
    await once("before")
    await sleep(seconds)
    return await once("after")


@flow
async def one_step(n: int) -> int:
    await once("body")
    return n


@flow
async def waits_then_ends() -> str:
    return await once(await wait_signal("go", str))
