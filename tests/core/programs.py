"""Random flow code, chosen by a seed: asyncio constructs nested in each other.

A program writes down all that it sees, in order, and its steps take that log as their argument: whatever comes in
another order in a replay is a divergence.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random

from tests.core.asks import ChildFailed, StepFailed, StepUnknown, here, invoke, loop_here, signal, step
from tests.core.driver import Code, Fails

Log = list[object]
Part = Callable[[Log], Awaitable[object]]
ERRORS = (StepFailed, StepUnknown, ChildFailed, TimeoutError, ExceptionGroup)


def crc(value: object) -> int:
    return zlib.crc32(repr(value).encode())


def program(seed: int, depth: int = 3) -> Code:
    """Flow code that gives its log."""
    part = make(Random(seed), depth)

    async def code() -> Log:
        log: Log = []
        try:
            await part(log)
        except ERRORS as error:
            if seed % 2:
                raise
            log.append(type(error).__name__)
        log.append(await step("last", crc(log)))
        return log

    return code


def answers(key: str, attempt: int) -> object:
    """How each step and child ends, always alike: some fail, some only at first."""
    luck = crc(key) % 7
    if luck == 0:
        return Fails()
    return Fails(again=50) if luck == 1 and attempt == 1 and "once" not in key else crc(key)


def make(random: Random, depth: int) -> Part:
    if depth == 0 or random.random() < 0.15:
        return leaf(random)
    kids = [make(random, depth - 1) for _ in range(random.randint(2, 3))]
    return Node(random, kids).choose()


def leaf(random: Random) -> Part:
    once = random.random() < 0.1
    name, delay = f"{'once' if once else 's'}{random.randint(0, 5)}", random.choice([0.01, 0.1, 1])

    async def work(log: Log) -> None:
        log.append(await step(name, crc(log), once=once))

    async def sleep(log: Log) -> None:
        await asyncio.sleep(delay)
        log.append(loop_here().time())

    async def hear(log: Log) -> None:
        try:
            log.append(await asyncio.wait_for(signal("go"), delay))
        except TimeoutError:
            log.append("not heard")

    async def kid(log: Log) -> None:
        log.append(await invoke("kid", crc(log)))

    async def draw(log: Log) -> None:
        log.append(await step("draw", here().random().random()))

    return random.choice([work, work, work, sleep, hear, kid, draw])


class Node:
    """One construct around its kids."""

    def __init__(self, random: Random, kids: list[Part]) -> None:
        self.kids, self.delay, self.pick = kids, random.choice([0.005, 0.05, 0.5]), random.random()

    def choose(self) -> Part:
        parts = [self.sequence, self.gather, self.group, self.first, self.each, self.limit, self.items]
        parts += [self.queue, self.caught, self.forgotten, self.called, self.shielded, self.cancelled, self.completed]
        return parts[int(self.pick * 1000) % len(parts)]

    async def sequence(self, log: Log) -> None:
        for kid in self.kids:
            await kid(log)

    async def gather(self, log: Log) -> None:
        found = await asyncio.gather(*(kid(log) for kid in self.kids), return_exceptions=self.pick < 0.5)
        log.append([type(value).__name__ for value in found])

    async def group(self, log: Log) -> None:
        async with asyncio.TaskGroup() as tasks:
            for kid in self.kids:
                tasks.create_task(self.run(kid, log))

    async def run(self, kid: Part, log: Log) -> object:
        return await kid(log)

    def start(self, log: Log) -> list[asyncio.Task[object]]:
        return [asyncio.create_task(self.run(kid, log)) for kid in self.kids]

    async def first(self, log: Log) -> None:
        timeout = self.delay if self.pick < 0.5 else None
        done, rest = await asyncio.wait(self.start(log), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        log.append([task.get_name() for task in done])
        for task in rest:
            task.cancel()
        log.append([type(x).__name__ for x in await asyncio.gather(*done, *rest, return_exceptions=True)])

    async def each(self, log: Log) -> None:
        rest = set(self.start(log))
        while rest:
            done, rest = await asyncio.wait(rest, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                log.append([task.get_name(), task.exception() is None, await step("landed", crc(log))])

    async def completed(self, log: Log) -> None:
        for value in asyncio.as_completed([self.run(kid, log) for kid in self.kids]):
            try:
                await value
            except ERRORS as error:
                log.append(type(error).__name__)
            log.append(await step("landed", crc(log)))

    async def limit(self, log: Log) -> None:
        try:
            async with asyncio.timeout(self.delay):
                await self.sequence(log)
        except TimeoutError:
            log.append(await step("late", crc(log)))

    async def items(self, log: Log) -> None:
        async def generate() -> AsyncIterator[int]:
            try:
                for kid in self.kids:
                    await kid(log)
                    yield len(log)
            finally:
                await step("closed", 1)

        async for item in generate():
            log.append(item)
            if self.pick < 0.7:
                break

    async def queue(self, log: Log) -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(len(self.kids))

        async def put(kid: Part, number: int) -> None:
            try:
                await kid(log)
            finally:
                await queue.put(number)

        tasks = [asyncio.create_task(put(kid, n)) for n, kid in enumerate(self.kids)]
        for _ in self.kids:
            log.append(await queue.get())
            log.append(await step("got", crc(log)))
        await asyncio.wait(tasks)
        log.append([task.exception() is None for task in tasks])

    async def caught(self, log: Log) -> None:
        try:
            await self.sequence(log)
        except ERRORS as error:
            log.append([type(error).__name__, await step("undo", crc(log))])
        finally:
            await step("finally", 1)

    async def forgotten(self, log: Log) -> None:
        asyncio.create_task(self.run(self.kids[0], log))  # noqa: RUF006  on purpose
        await self.kids[1](log)

    async def called(self, log: Log) -> None:
        made: list[asyncio.Task[object]] = []
        done = asyncio.Event()

        def callback(*_: object) -> None:
            made.append(loop_here().create_task(self.run(self.kids[0], log)))
            done.set()

        if self.pick < 0.5:
            loop_here().call_later(self.delay, callback)
        else:
            asyncio.gather(self.kids[1](log), return_exceptions=True).add_done_callback(callback)
        await done.wait()
        await made[0]

    async def shielded(self, log: Log) -> None:
        task = asyncio.create_task(self.run(self.kids[0], log))
        try:
            await asyncio.wait_for(asyncio.shield(task), self.delay)
        except TimeoutError:
            log.append("gave up")
            await asyncio.wait([task])
            log.append(task.exception() is None)

    async def cancelled(self, log: Log) -> None:
        task = asyncio.create_task(self.run(self.kids[0], log))
        await asyncio.sleep(0)
        if self.pick < 0.5:
            await self.kids[1](log)
        task.cancel()
        await asyncio.wait([task])
        log.append(task.cancelled())
