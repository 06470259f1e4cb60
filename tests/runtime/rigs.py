"""Workers on a memory store in virtual time: leases run out, retries fall due and sleeps end as soon as nobody is busy.

`virtual` runs an async test on a loop whose clock jumps to the next timer when nothing is ready. A `Rig` has a store
and workers on that clock: store time, boot time and asyncio's time are one. Tasks, not threads, renew its leases.
A test with sync steps needs a real loop; a rig on one goes by real time.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ergon_runtime.client import FlowHandle, Scheduler
from ergon_runtime.core.entries import Entry, unpack
from ergon_runtime.core.flows import FlowRow
from ergon_runtime.definitions import FlowDefinition, flow_definition
from ergon_runtime.engine import Engine
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.worker import RunningWorker
from tests.encryption import as_told

T = TypeVar("T")

EPOCH = 1_700_000_000_000
"""The store's clock when a virtual loop is at 0."""
LEASE = 3.0
PATIENCE = 2_000.0
"""Virtual seconds after which a test has failed."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still while something is ready, and jumps when nothing is."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds


class _Jumping(selectors.DefaultSelector):
    """Never waits: the time it should have waited has passed at once."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(10 if timeout is None else 0)  # only threads can help when there is no timer
        if not found:
            assert timeout is not None, "everybody waits for something that never comes"
            self._loop.jump(max(0.0, timeout))
        return found


def virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run an async test in virtual time."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE):
            return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())


def seconds() -> float:
    """The time of the test's loop."""
    return round(asyncio.get_running_loop().time(), 3)


def store_clock() -> int:
    """UTC milliseconds: those of the virtual loop, or the host's."""
    loop = asyncio.get_running_loop()
    return EPOCH + int(loop.time() * 1000 + 1e-6) if isinstance(loop, VirtualLoop) else time.time_ns() // 1_000_000


class Rig:
    """A store, a scheduler and the workers that a test starts."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or as_told(MemoryStore(clock=store_clock))
        self.scheduler = Scheduler(self.store)
        self.workers: list[RunningWorker] = []

    def engine(self, *flows: object, store: Store | None = None, name: str = "", **settings: Any) -> Engine:
        """What a worker that serves these flows runs on; `lease` in seconds."""
        found = {(each.name, each.version): each for each in map(flow_definition, flows)}
        fields: dict[str, Any] = {
            "store": store or self.store,
            "worker": name or f"w{len(self.workers) + 1}",
            "find": lambda type_, version: found[type_, version],
            "fingerprint": "code",
            "lease": round(settings.pop("lease", LEASE) * 1000),
            "clock": store_clock,
            "boot": asyncio.get_running_loop().time,
            "spread": lambda: 0.5,
        }
        return Engine(**{**fields, **settings})

    def start(self, *flows: object, concurrency: int = 10, residents: int = 100, **settings: Any) -> RunningWorker:
        """Start a worker."""
        definitions: list[FlowDefinition] = [flow_definition(each) for each in flows]
        lanes = [definition.lane for definition in definitions]
        worker = RunningWorker(self.engine(*definitions, **settings), lanes, concurrency, residents=residents)
        worker.start(keeper_thread=False)
        self.workers.append(worker)
        return worker

    async def result(self, flow: Any, flow_id: str = "f") -> Any:
        """Schedule a flow and wait for its result."""
        return await (await self.scheduler.schedule(flow, id=flow_id)).result()

    async def entries(self, flow_id: str = "f") -> list[Entry]:
        """The journal of a flow."""
        return [unpack(row, seq).entry for seq, row in enumerate(await self.store.journal(flow_id, 0, 10_000))]

    async def kinds(self, flow_id: str = "f") -> list[str]:
        """The journal in short: `kind key` of each entry but the first."""
        return [f"{entry.kind} {entry.key}" for entry in (await self.entries(flow_id))[1:]]

    async def row(self, flow_id: str = "f") -> FlowRow:
        row = await self.store.get(flow_id)
        assert row is not None
        return row

    async def close(self) -> None:
        for worker in self.workers:
            await worker.abort()


@asynccontextmanager
async def rig(*flows: object, **settings: Any) -> AsyncIterator[Rig]:
    """A rig with one worker that serves these flows, or none if there are none."""
    made = Rig()
    try:
        if flows:
            made.start(*flows, **settings)
        yield made
    finally:
        await made.close()


async def stands(handle: FlowHandle[Any], *statuses: str) -> None:
    """Wait until the flow has one of these statuses."""
    while await handle.status() not in statuses:
        await asyncio.sleep(0.001)
