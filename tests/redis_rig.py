"""Rigs over a real Redis server: workers run flows while the server, they themselves or the network fail.

    python -m tests.redis_rig kills 20 --flows 200      SIGKILL the server 20 times, and workers 20 times
    python -m tests.redis_rig proxy 60 --seed 3         60 seconds behind a proxy that does mischief

All flows must complete, and no step may run again after its result was recorded: the ledger's last line of a step is
the one whose number the journal holds. Results come on stdout; a violation is an AssertionError.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
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


async def kills(folder: Path, count: int, flows: int, seed: int) -> str:
    """SIGKILL the server and workers in turn."""
    draw = random.Random(seed)
    begun, amid = time.monotonic(), 0
    with own_server(folder) as server:
        async with rig(folder, server, server.url) as made:
            for n in range(2 * count):
                made.staff(3)
                await made.schedule(flows * (n + 1) // (2 * count) - flows * n // (2 * count))
                await asyncio.sleep(draw.uniform(0, 0.6))  # the instant of the kill is what is random here
                if n % 2:
                    server.kill()
                    await asyncio.sleep(draw.uniform(0, 0.3))
                    server.start()
                else:
                    await _kill_a_worker(made, draw)
                amid += await made.unended(1) > 0
            await made.finish(120 + flows)
            said = await made.check()
    took = time.monotonic() - begun
    return f"{count} kills of the server and {count} of workers in {took:.0f} s, {amid} amid the work: {said}"


async def _kill_a_worker(made: Rig, draw: random.Random) -> None:
    while not (ready := [each for each in made.workers if "worker" in each.text()]):
        made.staff(3)
        await asyncio.sleep(0.02)
    draw.choice(ready).kill()


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
    parser.add_argument("rig", choices=("kills", "proxy"))
    parser.add_argument("size", type=int, help="kills, or seconds")
    parser.add_argument("--flows", type=int, default=0, help="flows during the kills (10 per kill)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ergon-rig-") as name:
        if given.rig == "kills":
            print(asyncio.run(kills(Path(name), given.size, given.flows or 10 * given.size, given.seed)))
        else:
            print(asyncio.run(proxy(Path(name), given.size, given.seed)))


if __name__ == "__main__":
    main()
