"""How soon the flows of a dead worker are taken over, and whether living workers ever lose theirs.

    python -m tests.kills.recovery 200 --store sqlite --lease 2
    python -m tests.kills.recovery 0 --store redis --lease 2 --load 60

Kills: workers with flows under way are killed at random instants, one after the other while the others go on. A
recovery lasts from the kill to the moment when another worker has the flow's claim; 99 of 100 must take 1.5 leases at
most. (Flows that die again before they got on are suspect and run alone, P5; they are not measured.)

Load: no worker is killed; their steps block their loops for longer than a lease, and other processes use all cores. No
flow may be taken over.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ergon_runtime import Scheduler
from tests.kills import flows, ledger
from tests.kills.checker import Findings
from tests.kills.ledger import Claimed, Line, Released
from tests.kills.rig import Rig, Settings, fate, rig
from tests.kills.run import place
from tests.kills.staff import Hand

WORKERS = 4
AT_ONCE = 40
"""Flows under way at once."""
BOUND = 1.5
"""Leases in which 99 of 100 recoveries are over."""


@dataclass(frozen=True, slots=True)
class Recoveries:
    """In leases, sorted."""

    leases: list[float]

    def __str__(self) -> str:
        if not self.leases:
            return "no recoveries"
        shown = ", ".join(f"{name} {self.at(part):.2f}" for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1)))
        return f"{len(self.leases)} recoveries: {shown} leases"

    def at(self, part: float) -> float:
        """The quantile; 0 without recoveries."""
        return self.leases[min(len(self.leases) - 1, int(part * len(self.leases)))] if self.leases else 0.0


def recoveries(lines: Iterable[Line], deaths: dict[int, int], lease: float) -> Recoveries:
    """From the ledger and the moments at which workers were killed. A flow counts if it was running when the next
    worker got it: then the dead one had not given it back."""
    holder: dict[str, Claimed] = {}
    found: list[float] = []
    for line in lines:
        match line:
            case Released():
                if line.flow in holder and holder[line.flow].token == line.token:
                    del holder[line.flow]
            case Claimed():
                before = holder.get(line.flow)
                if line.status == "running" and before is not None and before.worker in deaths:
                    found.append((line.at - deaths[before.worker]) / 1000 / lease)
                holder[line.flow] = line
            case _:
                pass
    return Recoveries(sorted(found))


async def kills(settings: Settings, folder: Path) -> tuple[Recoveries, Findings]:
    """Kill workers under load."""
    async with rig(folder, settings) as made:
        hands = [made.worker() for _ in range(WORKERS)]
        await _up(hands)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(made, over))
            for n in range(settings.kills):
                await asyncio.sleep(made.draw.uniform(0.2, 0.6))  # the instant is what is random here
                victim = hands[n % WORKERS]
                await _up([victim])
                await _got_on(folder / "ledger", victim)
                made.staff.send(victim, signal.SIGKILL)
                await victim.end()
                hands[n % WORKERS] = made.worker()
            over.set()
        await made.finish(60 + 10 * settings.lease)
        for hand in hands:
            made.staff.send(hand, signal.SIGTERM)
            await hand.end()
        deaths = {hand.number: hand.killed_at for hand in made.staff.hands.values() if hand.killed_at is not None}
        lines = ledger.read((folder / "ledger").read_text())
        return recoveries(lines, deaths, settings.lease), await made.findings()


async def load(settings: Settings, folder: Path, seconds: float) -> tuple[int, list[str]]:
    """Full load for so long: how many steps were run, and what was taken over from workers that lived."""
    async with rig(folder, settings) as made, _busy_cores():
        hands = [made.worker() for _ in range(WORKERS)]
        await _up(hands)
        end, scheduler, number = time.monotonic() + seconds, Scheduler(made.store), 0
        blocks = round(1200 * settings.lease)  # longer than a lease
        while time.monotonic() < end:
            if await made.unended(AT_ONCE) < AT_ONCE:
                flow = flows.kill_hogs(3, blocks if number % 20 == 0 else 50) if number % 2 else flows.kill_steps(20, 1)
                await scheduler.schedule(flow, id=f"load-{number}")
                number += 1
            else:
                await asyncio.sleep(0.05)
        lines = ledger.read((folder / "ledger").read_text())
        over = [
            f"{each.flow} was taken over" for each in lines if isinstance(each, Claimed) and each.status == "running"
        ]
        lost = [f"{flow}: lease lost" for hand in made.staff.hands.values() for flow in fate(hand).lost]
        return sum(isinstance(line, ledger.Effect) for line in lines), over + lost


async def _feed(made: Rig, over: asyncio.Event) -> None:
    scheduler, number = Scheduler(made.store), 0
    while not over.is_set():
        if await made.unended(AT_ONCE) < AT_ONCE:
            await scheduler.schedule(flows.kill_steps(10, 40), id=f"steps-{number}")
            number += 1
        else:
            await asyncio.sleep(0.02)


def fresh(lines: Iterable[Line], worker: int) -> set[str]:
    """Flows that a worker has taken over from a dead one and recorded nothing of yet: of two effects, one is."""
    done: dict[str, int] = {}
    for line in lines:
        match line:
            case Claimed():
                done.pop(line.flow, None)
                if line.worker == worker and line.status == "running":
                    done[line.flow] = 0
            case Released():
                done.pop(line.flow, None)
            case ledger.Effect() if line.flow in done and line.worker == worker:
                done[line.flow] += 1
            case _:
                pass
    return {flow for flow, count in done.items() if count < 2}


async def _got_on(book: Path, hand: Hand) -> None:
    """Wait until a worker got on with what it has taken over: a flow whose workers die twice without an entry becomes
    suspect, and has to wait until it can run alone (P5). That is not measured here."""
    while book.exists() and fresh(ledger.read(book.read_text()), hand.number):
        await asyncio.sleep(0.1)


async def _up(hands: list[Hand]) -> None:
    """Wait until these workers serve."""
    while not all("worker" in hand.text() for hand in hands):
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _busy_cores() -> AsyncIterator[None]:
    """Other processes use all cores."""
    burn = ("-c", "while True: pass")
    hogs = [await asyncio.create_subprocess_exec(sys.executable, *burn) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            await hog.wait()


def _said(settings: Settings) -> Iterator[str]:
    yield f"{settings.store}, lease {settings.lease:g} s, seed {settings.seed}"
    yield f"load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--store", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--load", type=float, default=0.0, help="seconds of full load")
    given = parser.parse_args()
    wrong: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="ergon-recovery-"))
    for what in ("kills", "load"):
        (folder / what).mkdir()
        with place(given.store, folder / what) as (url, _):
            settings = Settings(given.store, url, given.kills, 0, given.seed, given.lease)
            if what == "kills" and given.kills:
                took, found = asyncio.run(kills(settings, folder / what))
                print(f"{given.kills} kills, {', '.join(_said(settings))}: {took}")
                wrong += found.wrong + ([f"p99 is more than {BOUND} leases"] if took.at(0.99) > BOUND else [])
            if what == "load" and given.load:
                steps, bad = asyncio.run(load(settings, folder / what, given.load))
                print(
                    f"{given.load:.0f} s full load, {', '.join(_said(settings))}: {steps} steps, {len(bad)} takeovers"
                )
                wrong += bad
    if wrong:
        print("\n".join([*wrong[:20], f"seed {given.seed}, kept: {folder}"]), file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
