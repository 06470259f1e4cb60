"""The inner nodes of random programs: they combine others by asyncio's means. The leaves are in a file of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ergon_runtime.primitives import (
    as_completed,
)
from tests.simulation import dags as dags  # more leaves
from tests.simulation.leaves import call as call
from tests.simulation.programs import Draw, Kid, Run, Since, inner
from tests.simulation.steps import make_step


# --- inner nodes
@inner(3)
async def sequence(run: Run, kids: list[Kid], draw: Draw) -> None:
    for kid in kids:
        await kid(run)


@inner()
async def gather(run: Run, kids: list[Kid], draw: Draw) -> None:
    await asyncio.gather(*(kid(run) for kid in kids))


@inner()
async def gather_errors(run: Run, kids: list[Kid], draw: Draw) -> None:
    found = await asyncio.gather(*(kid(run) for kid in kids), return_exceptions=True)
    run.note([str(each) for each in found])


@inner()
async def group(run: Run, kids: list[Kid], draw: Draw) -> None:
    async with asyncio.TaskGroup() as tasks:
        for kid in kids:
            tasks.create_task(_run(kid, run))


@inner(2)
async def first(run: Run, kids: list[Kid], draw: Draw) -> None:
    tasks = [asyncio.create_task(_run(kid, run)) for kid in kids]
    timeout = draw.seconds if draw.x < 0.3 else None
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=timeout)
    for task in rest:
        task.cancel()
    run.note([task.get_name() for task in done])
    run.note([type(each).__name__ for each in await asyncio.gather(*rest, return_exceptions=True)])
    for task in done:
        if not task.cancelled():
            task.exception()


@inner()
async def losers(run: Run, kids: list[Kid], draw: Draw) -> None:
    """Those who lose write down in which order they heard of it."""

    async def contend(kid: Kid, n: int) -> None:
        try:
            await kid(run)
        except asyncio.CancelledError:
            run.note(["lost", n])
            raise

    contenders = {asyncio.create_task(contend(kid, n)) for n, kid in enumerate([*kids, *kids])}
    done, rest = await asyncio.wait(contenders, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    run.note([type(each).__name__ for each in await asyncio.gather(*done, return_exceptions=True)])
    await call(run, draw)


@inner()
async def each(run: Run, kids: list[Kid], draw: Draw) -> None:
    rest = {asyncio.create_task(_run(kid, run)) for kid in kids}
    while rest:
        done, rest = await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            good = not task.cancelled() and task.exception() is None
            run.note([task.get_name(), good, await make_step("landed", "async")(run.told(), 0)])


@inner()
async def completed(run: Run, kids: list[Kid], draw: Draw) -> None:
    coroutines = [_run(kid, run) for kid in kids]
    timeout = draw.seconds * 2 if draw.x < 0.4 else None
    finished = 0
    try:
        if draw.y < 0.5:
            for next_one in asyncio.as_completed(coroutines, timeout=timeout):
                await next_one
                finished += 1
        else:
            async for task in as_completed(coroutines, timeout=timeout):
                run.note([task.cancelled(), finished])
                finished += 1
    except (TimeoutError, Exception) as error:
        run.note([type(error).__name__, finished])


@inner()
async def gathers(run: Run, kids: list[Kid], draw: Draw) -> None:
    side = make_step("side", "async")
    waiting = [asyncio.gather(kid(run), side(str(n), 0), return_exceptions=True) for n, kid in enumerate(kids)]
    numbers = {each: n for n, each in enumerate(waiting)}
    how = asyncio.ALL_COMPLETED if draw.x < 0.7 else asyncio.FIRST_COMPLETED
    done, rest = await asyncio.wait({*waiting}, return_when=how)
    run.note([numbers[each] for each in done])
    for future in rest:
        future.cancel()


@inner()
async def wait_for(run: Run, kids: list[Kid], draw: Draw) -> None:
    try:
        await asyncio.wait_for(_run(kids[0], run), draw.seconds)
    except TimeoutError:
        run.note(await make_step("late", "async")(run.told(), 0))


@inner(2)
async def timeout(run: Run, kids: list[Kid], draw: Draw) -> None:
    since = Since(draw.seconds)
    try:
        async with asyncio.timeout(draw.seconds):
            await kids[0](run)
            if draw.x < 0.5:
                await kids[1](run)
    except TimeoutError as error:
        if not error.args:
            since.passed()
        run.note("timeout")


@inner()
async def queue(run: Run, kids: list[Kid], draw: Draw) -> None:
    line: asyncio.Queue[int] = asyncio.Queue(1)
    lost, over = list[int](), asyncio.Event()

    async def put(kid: Kid, n: int) -> None:
        try:
            await kid(run)
        except Exception as error:
            run.note(type(error).__name__)
        except asyncio.CancelledError:
            if line.full():  # to wait for room would be in vain once nobody takes anything
                lost.append(n)
            else:
                line.put_nowait(n)
            raise
        if not over.is_set():
            await line.put(n)

    tasks = [asyncio.create_task(put(kid, n)) for n, kid in enumerate(kids)]
    taken = 0
    try:
        while taken + len(lost) < len(kids):
            run.note(await line.get())
            taken += 1
            await call(run, draw)
        await asyncio.gather(*tasks)
    finally:  # nobody makes room any more
        over.set()
        for task in tasks:
            task.cancel()


@inner()
async def event(run: Run, kids: list[Kid], draw: Draw) -> None:
    ready = asyncio.Event()

    async def after(kid: Kid) -> None:
        await ready.wait()
        await kid(run)

    tasks = [asyncio.create_task(after(kid)) for kid in kids[1:]]
    try:
        await kids[0](run)
    finally:
        ready.set()
    await asyncio.gather(*tasks)


@inner(3)
async def compensate(run: Run, kids: list[Kid], draw: Draw) -> None:
    try:
        await kids[0](run)
        await kids[1](run)
    except Exception as error:
        run.note([type(error).__name__, await make_step("compensate", "async")(run.told(), 0)])


@inner()
async def cleanup(run: Run, kids: list[Kid], draw: Draw) -> None:
    try:
        await kids[0](run)
    finally:
        await make_step("cleanup", "sync" if draw.sync else "async")("", 0)


@inner()
async def generator(run: Run, kids: list[Kid], draw: Draw) -> None:
    async def items() -> AsyncIterator[int]:
        try:
            for kid in kids:
                await kid(run)
                yield len(run.log)
        finally:
            await make_step("generator_closed", "async")("", 0)

    found = items()
    if draw.plain:
        cycle: list[object] = [found]
        cycle.append(cycle)  # only the cyclic garbage collector could find this one
    async for item in found:
        run.note(item)
        if draw.x < 0.6:
            break


@inner()
async def callback(run: Run, kids: list[Kid], draw: Draw) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    made: list[asyncio.Task[None]] = []

    def later(task: asyncio.Task[None] | None = None) -> None:
        if task is not None and not task.cancelled():
            task.exception()
        made.append(loop.create_task(_run(kids[0], run)))
        done.set()

    if draw.x < 0.5:
        loop.call_later(draw.seconds, later)
    else:
        asyncio.create_task(_run(kids[1], run)).add_done_callback(later)
    await done.wait()
    await made[0]


@inner()
async def forgotten(run: Run, kids: list[Kid], draw: Draw) -> None:
    asyncio.create_task(_run(kids[0], run))  # noqa: RUF006  the loop holds it
    await kids[1](run)


@inner()
async def shield(run: Run, kids: list[Kid], draw: Draw) -> None:
    task = asyncio.ensure_future(_run(kids[0], run))
    try:
        async with asyncio.timeout(draw.seconds):
            await asyncio.shield(task)
    except TimeoutError:
        run.note("gave up")
        await asyncio.gather(task, return_exceptions=True)


@inner()
async def cancel_now(run: Run, kids: list[Kid], draw: Draw) -> None:
    task = asyncio.create_task(_run(kids[0], run))
    await asyncio.sleep(0)
    if draw.x < 0.5:
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        run.note("cancelled at once")
        here = asyncio.current_task()
        if here is not None and here.cancelling():
            raise
    if run.code.str_sets:
        for name in {draw.name, "a", "b", "c"}:
            run.note(name)


async def _run(kid: Kid, run: Run) -> None:
    await kid(run)
