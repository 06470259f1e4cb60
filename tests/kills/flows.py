"""Flows that the kill loop's workers run. Each step leaves an effect in the ledger.

Results are pure functions of the arguments; a step's result carries the effect's nonce besides, so that the ledger
shows for each result that a journal holds whether its body began again afterwards.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time

from ergon_runtime import (
    OutcomeUnknown,
    RetryPolicy,
    continue_as_new,
    flow,
    invoke,
    sleep,
    step,
    step_info,
    wait_signal,
)
from tests.kills import ledger, points

Marked = tuple[int, str]
"""A value, and the nonce of the effect."""

if ledger.NUMBER in os.environ:
    points.arm(os.environ["ERGON_STORE"])


def effect(begun: int) -> str:
    """Leave an effect; its nonce."""
    info, nonce = step_info(), secrets.token_hex(6)
    line = ledger.Effect(
        ledger.me(),
        info.flow_id,
        info.key,
        info.idempotency_key,
        info.flow_attempt,
        info.attempt,
        info.token,
        nonce,
        begun,
    )
    ledger.write(line)
    points.passes("effect_done")
    return nonce


def begin() -> int:
    """The body begins; when."""
    begun = ledger.boot_ms()
    points.passes("step_begun")
    return begun


@step
async def mark(value: int, ms: int) -> Marked:
    begun = begin()
    await asyncio.sleep(ms / 1000)
    return value, effect(begun)


@step
def mark_in_thread(value: int, ms: int) -> Marked:
    begun = begin()
    time.sleep(ms / 1000)
    return value, effect(begun)


@step(retry=RetryPolicy(max_attempts=9, initial=0.02, multiplier=1.0, jitter=0.0))
async def shaky(value: int, fails: int) -> Marked:
    nonce = effect(begin())
    if step_info().attempt <= fails:
        raise ConnectionError("not yet")
    return value, nonce


@step(at_most_once=True)
async def once(value: int, ms: int) -> Marked:
    begun = begin()
    await asyncio.sleep(ms / 1000)
    return value, effect(begun)


@step
async def stumble(fails: int) -> Marked:
    nonce = effect(begin())
    if step_info().flow_attempt <= fails:
        raise LookupError("not in this life")
    return fails, nonce


@step
async def hog(value: int, ms: int) -> Marked:
    """Blocks the worker's loop, half of the time with work."""
    begun = begin()
    time.sleep(ms / 2000)
    end = time.monotonic() + ms / 2000
    while time.monotonic() < end:
        pass
    return value, effect(begun)


@flow
async def kill_steps(count: int, ms: int) -> int:
    return sum([(await (mark if n % 3 else mark_in_thread)(n, ms))[0] for n in range(count)])


@flow
async def kill_wide(count: int, ms: int) -> int:
    return sum(value for value, _ in await asyncio.gather(*(mark(n, ms * (n % 4)) for n in range(count))))


@flow
async def kill_shaky(count: int, fails: int) -> int:
    return sum([(await shaky(n, fails))[0] for n in range(count)])


@flow
async def kill_once(count: int, ms: int) -> list[int | None]:
    """None for a step of which nobody knows whether it took effect."""
    found: list[int | None] = []
    for n in range(count):
        try:
            found.append((await once(n, ms))[0])
        except OutcomeUnknown:
            found.append(None)
    return found


@flow
async def kill_signals(count: int) -> list[int]:
    found: list[int] = []
    for _ in range(count):
        value, _ = await mark(await wait_signal("go", int), 1)
        found.append(value)
    return found


@flow
async def kill_named(name: str) -> int:
    return (await mark(await wait_signal(name, int), 1))[0]


@flow
async def kill_timers(count: int, ms: int) -> int:
    """Sleeps, and waits that time out."""
    total = 0
    for n in range(count):
        if n % 2:
            try:
                await wait_signal("never", int, timeout=ms / 1000)
            except TimeoutError:
                total += 100
        else:
            await sleep(ms / 1000)
        total += (await mark(n, 1))[0]
    return total


@flow
async def kill_tree(depth: int, width: int) -> int:
    """How many flows the tree has."""
    below = [invoke(kill_tree(depth - 1, width)) for _ in range(width)] if depth else []
    value, _ = await mark(1, 2)
    return value + sum(await asyncio.gather(*below))


@flow
async def kill_rounds(left: int, total: int) -> int:
    total += (await mark(left, 2))[0]
    if left:
        continue_as_new(kill_rounds(left - 1, total))
    return total


@flow(retry=RetryPolicy(max_attempts=9, initial=0.02, multiplier=1.0, jitter=0.0))
async def kill_again(fails: int) -> int:
    value, _ = await mark(7, 2)
    return value + (await stumble(fails))[0]


@flow
async def kill_hogs(count: int, ms: int) -> int:
    return sum([(await hog(n, ms))[0] for n in range(count)])
