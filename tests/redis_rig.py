"""A rig over a real Redis server: workers run flows while the network fails. (tests/kills kills the server, and them.)

    python -m tests.redis_rig proxy 60 --seed 3         60 seconds behind a proxy that does mischief

All flows must complete, and no step may run again after its result was recorded: the ledger's last line of a step is
the one whose number the journal holds. Results come on stdout; a violation is an AssertionError.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ergon_runtime import FlowQuery, Scheduler, Status, Store, StoreUnavailable, open_store
from tests.acceptance.ledger_flows import job
from tests.acceptance.processes import ROOT, Process, Shop, shop
from tests.redis_proxy import Mischief, Proxy
from tests.redis_server import Server

UNENDED = (Status.PENDING, Status.RUNNING, Status.WAITING, Status.BLOCKED)
LEASE = "2s"


@dataclass
class Rig:
    """A server that forgets nothing, a store on it, and workers."""

    here: Shop
    server: Server
    store: Store
    ids: list[str] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def schedule(self, count: int) -> None:
        for number in itertools.islice(self.numbers, count):
            await patiently(self.store, f"job-{number}")
            self.ids.append(f"job-{number}")

    def staff(self, count: int) -> None:
        """Have so many workers."""
        self.workers = [worker for worker in self.workers if worker.popen.poll() is None]
        while len(self.workers) < count:
            self.workers.append(self.here.worker("--lease", LEASE))

    async def unended(self, limit: int = 10_000) -> int:
        while True:
            try:
                return len(await self.store.list(FlowQuery(statuses=UNENDED, limit=limit)))
            except StoreUnavailable:
                await asyncio.sleep(0.05)

    async def finish(self, seconds: float) -> None:
        """Wait until every flow has ended."""
        end = time.monotonic() + seconds
        while left := await self.unended(1000):
            assert time.monotonic() < end, f"{left} flows have not ended, such as {await self._some()}"
            self.staff(3)
            await asyncio.sleep(0.1)

    async def check(self) -> str:
        """Whether everything is as it must be; the figures."""
        lines = [line.split() for line in (self.here.folder / "ledger").read_text().splitlines()]
        last = {(flow, key): number for flow, key, _, _, number in lines}
        where = {number: (flow, key) for flow, key, _, _, number in lines}
        scheduler = Scheduler(self.store)
        for flow_id in self.ids:
            numbers = await scheduler.handle(flow_id, list[str]).result(timeout=5)
            assert [number.split("-")[0] for number in numbers] == list("012345"), flow_id
            again = [where[number] for number in numbers if last[where[number]] != number]
            assert not again, f"ran again after they were recorded: {again}"
        assert len(last) == 6 * len(self.ids)
        repeated = len(lines) - len(last)
        return f"{len(self.ids)} flows completed, {len(last)} steps, {repeated} effects repeated, none recorded"

    async def _some(self) -> list[object]:
        rows = await self.store.list(FlowQuery(statuses=UNENDED, limit=3))
        return [(row.id, row.status.value, row.recoveries, row.deaths, row.note) for row in rows]


async def patiently(store: Store, flow_id: str) -> None:
    """Schedule a job, however long it takes."""
    while True:
        try:
            await Scheduler(store).schedule(job(), id=flow_id)
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            return


@contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    server = Server(folder, "--appendfsync", "always")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@asynccontextmanager
async def rig(folder: Path, server: Server, url: str) -> AsyncIterator[Rig]:
    environ = {
        "ERGON_STORE": url,
        "ERGON_LEDGER": str(folder / "ledger"),
        "ERGON_MODULES": "tests.acceptance.ledger_flows",
        "PYTHONPATH": str(ROOT),
    }
    async with open_store(server.url) as store:
        with shop(folder, **environ) as here:
            yield Rig(here, server, store)


async def proxy(folder: Path, seconds: float, seed: int) -> str:
    """Workers behind a proxy that does mischief."""
    with own_server(folder) as server:
        between = Proxy(server.socket)
        await between.start()
        try:
            async with rig(folder, server, between.url) as made:
                made.staff(2)
                mischief = Mischief(between, seed)
                task = asyncio.create_task(mischief.go_on(seconds))
                while not task.done():
                    made.staff(2)
                    await made.schedule(max(0, 40 - await made.unended(40)))
                    await asyncio.sleep(0.05)
                await task
                await made.finish(120)
                said = await made.check()
        finally:
            await between.stop()
    what = ", ".join(f"{what} {n}" for what, n in sorted(mischief.done.items()))
    return f"{seconds:.0f} s behind the proxy, seed {seed} ({Counter(mischief.done).total()} faults: {what}): {said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rig", choices=("proxy",))
    parser.add_argument("seconds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ergon-rig-") as name:
        print(asyncio.run(proxy(Path(name), given.seconds, given.seed)))


if __name__ == "__main__":
    main()
