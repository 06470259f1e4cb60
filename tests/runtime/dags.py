"""A class with a DAG for the tests of `run_dag`, and a run of flows on it in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from ergon_runtime.dag import run_dag
from ergon_runtime.definitions import flow, flow_definition, flow_type, step
from ergon_runtime.replay import replay_flow
from tests.runtime.rigs import rig, virtual

log: list[str] = []
"""What steps began, and when: `name seconds`."""


class Boom(Exception):
    """A step's own error."""


@dataclass
class Sums:
    """a -> double -> total <- b -> last, and side alone. Steps take the seconds and fail as often as they are told."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    fails: dict[str, int] = field(default_factory=dict[str, int])

    async def work(self, name: str, value: int) -> int:
        log.append(f"{name} {asyncio.get_running_loop().time():g}")
        await asyncio.sleep(self.seconds.get(name, 0))
        if sum(line.startswith(f"{name} ") for line in log) <= self.fails.get(name, 0):
            raise Boom(name)
        return value

    @step(depends_on="b")
    async def last(self) -> int:
        return await self.work("last", 0)

    @step
    async def a(self) -> int:
        return await self.work("a", 1)

    @step
    async def b(self) -> int:
        return await self.work("b", 5)

    @step(inputs={"x": a})
    async def double(self, x: int) -> int:
        return await self.work("double", 2 * x)

    @step(inputs={"x": "double", "y": b}, depends_on=[a])
    async def total(self, x: int, y: int, z: int = 100) -> int:
        return await self.work("total", x + y + z)

    @step(depends_on=())
    async def side(self) -> int:
        return await self.work("side", 7)


def sums(code: Callable[[Any], Coroutine[Any, Any, Any]], base: type = Sums, **options: Any) -> Any:
    """The flow type that has these steps and this code."""
    made: Any = type("DagSums", (base,), {"run": flow(**options)(code)})
    return flow_type(dataclass(made))


async def all_of_it(self: Any) -> Any:
    return await run_dag(self)


ALL = {"last": 0, "a": 1, "b": 5, "double": 2, "total": 107, "side": 7}


def run(cls: Any, *fields: Any) -> tuple[Any, list[str]]:
    """The result of a flow in virtual time, or its error, and its journal. The journal replays alike."""

    async def main() -> tuple[Any, list[str]]:
        async with rig(cls) as here:
            try:
                result = await here.result(cls(*fields))
            except (Exception, asyncio.CancelledError) as error:
                result = error
            begun = list(log)
            report = await replay_flow(here.store, await here.row(), lambda type_, version: flow_definition(cls))
            assert report.verdict == "same", report
            assert log == begun
            return result, await here.kinds()

    return virtual(main)
