"""A rig over three Redis servers and three sentinels: workers run flows while one server after the other takes over.

    python -m tests.redis_failovers 20 --seed 3    20 failovers: the master killed, or the sentinels asked, in turn

Redis acknowledges before it has replicated, so a failover may take back what was acknowledged. That is counted. What is
left must fit together: every flow that the new master knows completes, and no step runs again whose record it has.
Flows that are gone are scheduled again with their ids, as users do who want to be sure, and complete as well.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ergon_runtime import Store, StoreUnavailable, open_store
from tests.acceptance.processes import ROOT, shop
from tests.redis_groups import SERVICE, Guarded, guarded, until
from tests.redis_rig import Rig, patiently

AT_ONCE = 20
"""Flows under way at once."""


@dataclass
class Tally:
    """What was seen of the failovers."""

    lost: list[str] = field(default_factory=list)
    """Flows that were accepted, and that the next master did not know."""
    took: list[float] = field(default_factory=list)
    """Seconds from the order or the kill until the next flow was accepted."""


async def failovers(folder: Path, count: int, seed: int) -> str:
    """Let `count` servers take over, one after the other; the figures."""
    draw, tally, begun = random.Random(seed), Tally(), time.monotonic()
    with guarded() as service:
        async with _rig(folder, service) as made:
            made.staff(2)
            await asyncio.to_thread(until, lambda: all("worker" in each.text() for each in made.workers), "their start")
            enough = asyncio.Event()
            load = asyncio.create_task(_keep_busy(made, enough))
            for n in range(count):
                await asyncio.sleep(draw.uniform(0.3, 1.2))  # the instant is what is random here
                assert not load.done(), load.result()
                await _fail_over(made, service, tally, kills=n % 2 == 0)
                print(
                    f"{n + 1}: after {tally.took[-1]:.1f} s, lost {len(tally.lost)} of {len(made.ids)}", file=sys.stderr
                )
            enough.set()
            await load
            while missing := await _missing(made):  # the sentinels may go on by themselves
                tally.lost += [flow for flow in missing if flow not in tally.lost]
                for flow in missing:
                    await patiently(made.store, flow)
                await made.finish(180)
            await made.finish(180)
            said = await made.check()
            epoch = service.epoch()
    took = sorted(tally.took)
    return (
        f"{count} failovers in {time.monotonic() - begun:.0f} s, every other a kill ({epoch} by the sentinels' count);"
        f" flows were accepted again after {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s (longest); of those"
        f" accepted {len(tally.lost)} were lost, and scheduled again: {said}"
    )


@asynccontextmanager
async def _rig(folder: Path, service: Guarded) -> AsyncIterator[Rig]:
    url = f"redis+sentinel://{service.hosts}/{SERVICE}/0"
    environ = {
        "ERGON_STORE": url,
        "ERGON_LEDGER": str(folder / "ledger"),
        "ERGON_MODULES": "tests.acceptance.ledger_flows",
        "PYTHONPATH": str(ROOT),
    }
    async with open_store(url) as store:
        with shop(folder, **environ) as here:
            yield Rig(here, service.master(), store)


async def _keep_busy(made: Rig, enough: asyncio.Event) -> None:
    """Have so many flows under way. No worker is ever replaced: they must go on by themselves."""
    while not enough.is_set():
        assert all(worker.popen.poll() is None for worker in made.workers), made.workers[0].text()
        await made.schedule(max(0, AT_ONCE - await made.unended(AT_ONCE)))
        await asyncio.sleep(0.02)


async def _fail_over(made: Rig, service: Guarded, tally: Tally, *, kills: bool) -> None:
    old, started = service.master(), time.monotonic()
    if kills:
        old.kill()
    else:
        await asyncio.to_thread(until, lambda: service.sentinels[0].run("SENTINEL FAILOVER", SERVICE), "the order")
    await asyncio.to_thread(until, lambda: service.master() is not old, "the failover")
    await patiently(made.store, f"probe-{len(tally.took)}")
    made.ids.append(f"probe-{len(tally.took)}")
    tally.took.append(time.monotonic() - started)
    if kills:
        old.start("--replicaof", "127.0.0.1", str(service.master().port))
    await asyncio.to_thread(until, service.settled, "the sentinels' agreement")
    tally.lost += [flow for flow in await _missing(made) if flow not in tally.lost]


async def _missing(made: Rig) -> list[str]:
    return [flow for flow in tuple(made.ids) if not await _has(made.store, flow)]


async def _has(store: Store, flow: str) -> bool:
    while True:
        try:
            return await store.get(flow) is not None
        except StoreUnavailable:
            await asyncio.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="failovers")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ergon-rig-") as name:
        print(asyncio.run(failovers(Path(name), given.count, given.seed)))


if __name__ == "__main__":
    main()
