"""The leaves of random programs: each asks for one durable thing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random

from ergon_runtime.errors import OutcomeUnknown
from ergon_runtime.primitives import (
    invoke,
    now,
    patched,
    random,
    sleep,
    sleep_until,
    uuid4,
    wait_signal,
)
from tests.simulation.programs import OWN, RENAMED, SHARED, Draw, Kid, Run, Since, abandoned, leaf, value_of
from tests.simulation.steps import Boom, make_step


async def call(run: Run, draw: Draw, fails: int = 0, tries: int = 1, kind: str = "", once: bool = False) -> None:
    """Call a step and note its result."""
    name = RENAMED[draw.name] if run.code.renamed else draw.name
    kind = kind or ("sync" if draw.sync else "stubborn" if draw.x < 0.3 else "bitter" if draw.x < 0.4 else "async")
    run.note(await make_step(name, kind, tries, once)("" if draw.plain else run.told(), fails))


# --- leaves
@leaf(6)
async def plain_step(run: Run, kids: list[Kid], draw: Draw) -> None:
    await call(run, draw)


@leaf(2)
async def flaky(run: Run, kids: list[Kid], draw: Draw) -> None:
    await call(run, draw, fails=draw.n, tries=draw.m)


@leaf(2)
async def bad(run: Run, kids: list[Kid], draw: Draw) -> None:
    await call(run, draw, fails=draw.n if draw.x < 0.8 else 99)


@leaf()
async def slow(run: Run, kids: list[Kid], draw: Draw) -> None:
    try:
        await call(run, draw, tries=draw.m, kind="slow")
    except TimeoutError:  # the step's own, which is no timeout of the flow
        raise Boom("too slow") from None


@leaf()
async def unfit(run: Run, kids: list[Kid], draw: Draw) -> None:
    await call(run, draw, tries=draw.m, kind="unfit" if draw.y < 0.5 else "async")


@leaf()
async def once_only(run: Run, kids: list[Kid], draw: Draw) -> None:
    try:
        await call(run, draw, fails=draw.n - 1, once=True)
    except OutcomeUnknown:
        run.note("unknown")
        if draw.x < 0.3:
            raise


@leaf()
async def nap(run: Run, kids: list[Kid], draw: Draw) -> None:
    since = Since(draw.seconds)
    if draw.y < 0.4:
        await asyncio.sleep(draw.seconds)
    elif draw.y < 0.8:
        await sleep(timedelta(seconds=draw.seconds), name="nap")
    else:
        await sleep_until(now() + timedelta(seconds=draw.seconds))
        run.note("slept until")
        return
    since.passed(pooled=True)
    run.note("slept")


@leaf(2)
async def signal(run: Run, kids: list[Kid], draw: Draw) -> None:
    since = Since(draw.seconds)
    name = Random(draw.seed).choice(SHARED) if draw.shared else OWN
    try:
        run.note(await wait_signal(name, str, timeout=draw.seconds if draw.x < 0.6 else None))
    except TimeoutError:
        since.passed()
        run.note("no signal")


@leaf(2)
async def child(run: Run, kids: list[Kid], draw: Draw) -> None:
    handle = invoke(value_of(run.code, draw.seed, 1))
    try:
        run.note(await handle)
    except asyncio.CancelledError:
        abandoned.add(handle.id)
        raise


@leaf()
async def unawaited(run: Run, kids: list[Kid], draw: Draw) -> None:
    invoke(value_of(run.code, draw.seed, 1))


@leaf()
async def detached(run: Run, kids: list[Kid], draw: Draw) -> None:
    handle = invoke(value_of(run.code, draw.seed, 1), detached=True)
    if draw.x < 0.5:
        run.note(await handle)


@leaf()
async def estranged(run: Run, kids: list[Kid], draw: Draw) -> None:
    """A child that may outlive the life that has made it, and is awaited by the next."""
    handle = invoke(value_of(run.code, draw.seed, 0), detached=True)
    await call(run, draw, fails=draw.n)
    run.note(await handle)


@leaf()
async def alarms(run: Run, kids: list[Kid], draw: Draw) -> None:
    """Timers that nobody waits for, and that may be left when the flow ends."""
    loop = asyncio.get_running_loop()
    for n in range(10):
        loop.call_later(draw.seconds * n / 10, run.note, n)
    await call(run, draw)


@leaf()
async def twice(run: Run, kids: list[Kid], draw: Draw) -> None:
    first, second = (invoke(value_of(run.code, draw.seed, 0)) for _ in range(2))
    await asyncio.gather(first.result(), second.result(), return_exceptions=draw.x < 0.5)
    run.note("both")


@leaf()
async def shared_child(run: Run, kids: list[Kid], draw: Draw) -> None:
    """Several await one child; some give up."""
    handle = invoke(value_of(run.code, draw.seed, 0), detached=draw.plain)

    async def look(seconds: float | None) -> str:
        try:
            async with asyncio.timeout(seconds):
                return str(await handle)
        except TimeoutError:
            return "too long"

    waits = (draw.seconds if draw.x < 0.7 else None, None if draw.y < 0.6 else draw.seconds)
    run.note(await asyncio.gather(*(look(seconds) for seconds in waits)))
    if draw.x < 0.5:
        run.note(str(await handle))


@leaf()
async def drawn(run: Run, kids: list[Kid], draw: Draw) -> None:
    run.note(await make_step("drawn", "async")(f"{random().random()} {uuid4()}", 0))


@leaf()
async def stamp(run: Run, kids: list[Kid], draw: Draw) -> None:
    told = f"{asyncio.get_running_loop().time()} {now().isoformat()}"
    run.note(await make_step("stamp", "async")(told, 0))


@leaf()
async def patch(run: Run, kids: list[Kid], draw: Draw) -> None:
    for _ in range(draw.n):
        new = run.code.changes and run.code.version >= draw.m and patched(f"change{draw.m}")
        run.note(await make_step("new" if new else "old", "async")(run.told(), 0))
