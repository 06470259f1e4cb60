"""The workers of a simulation: real ones, in slots. Each dies, freezes, drains and comes back, maybe with newer code.

New code comes in upgrades. Once one has begun, a worker that boots has the new code, or for a while still the old one;
when that while is over, workers with old code are drained. Some histories have workers that serve a few lanes only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ergon_runtime.engine import Engine
from ergon_runtime.worker import RunningWorker
from tests.simulation.loop import Process
from tests.simulation.programs import Code, flow_types

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

LEASE = 3.0
GRACE = 0.3


class Slot:
    """A place for one worker at a time."""

    def __init__(self, number: int) -> None:
        self.number, self.starts = number, 0
        self.process = Process("none")
        self.version = 0
        self.partial = False
        self.worker: RunningWorker | None = None


class Crew:
    """All workers. `upgrades` are the seconds at which each newer code comes, in order."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        random, options = world.random, world.options
        self.upgrades = sorted(random.uniform(0.5, 6) for _ in range(options.codes - 1))
        self._rolling = random.choice([0.0, 8.0, 8.0])
        """How long old code still serves after an upgrade began."""
        self.slots = [Slot(n) for n in range(random.choice([2, 3] if self.upgrades else [1, 2, 2, 3]))]

    def begin(self) -> None:
        """Start them all."""
        for slot in self.slots:
            self.world.loop.post(None, 0.0, self.boot, slot)

    def boot(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        world = self.world
        late = world.loop.now - world.random.choice([0, self._rolling])
        slot.version = sum(upgrade <= late for upgrade in self.upgrades)
        slot.starts += 1
        process = slot.process = Process(f"w{slot.number}.{slot.starts}")
        lanes = self._lanes(slot)
        with world.loop.as_owner(process):
            slot.worker = RunningWorker(self._engine(slot), lanes, world.random.choice([2, 4, 50]))
            slot.worker.start(keeper_thread=False)
            world.loop.call_later(world.random.randint(10, 1100) / 1000, self._trouble, slot, slot.worker, process)

    def kill(self, process: Process) -> None:
        """SIGKILL, and another worker in its place some time later."""
        slot = next((slot for slot in self.slots if slot.process is process), None)
        alive, process.alive = process.alive, False
        if not alive or slot is None:
            return
        self.world.count("kills")
        self._gone(slot)
        self.world.loop.post(None, self.world.random.uniform(0.05, 3), self.boot, slot)

    def _engine(self, slot: Slot) -> Engine:
        world = self.world
        skew = world.random.choice([0, world.random.randint(-20, 20), world.random.randint(-300, 300)])
        if "skew" in world.options.without:
            skew = 0
        born, ids, name = world.loop.now, iter(range(1_000_000)), slot.process.name
        types = flow_types(Code(version=slot.version, changes=world.changes))
        return Engine(
            store=world.store_for(slot.process),
            worker=name,
            find=lambda type_, version: types[type_, version],
            fingerprint=f"code {slot.version}",
            lease=round(LEASE * 1000),
            grace=GRACE,
            clock=lambda: world.clock() + skew,
            boot=lambda: world.loop.now - born,
            spread=world.random.random,
            new_id=lambda: f"{name} {next(ids)}",
        )

    def _lanes(self, slot: Slot) -> list[str]:
        """The lanes that a worker serves: all, or in some histories a few until the calm."""
        world = self.world
        every = [definition.lane for definition in flow_types(Code(changes=world.changes)).values()]
        slot.partial = world.options.partial and world.loop.now < world.calm
        if not slot.partial:
            return every
        world.count("workers that serve some lanes")
        return world.random.sample(every, world.random.randint(1, len(every) - 1))

    def _trouble(self, slot: Slot, worker: RunningWorker, process: Process) -> None:
        """What befalls a worker besides its store, now and then: death, freezes, evictions, a drain."""
        world = self.world
        if world.stormy(0.015, "kills"):
            self.kill(process)
            return
        if world.stormy(0.015, "pauses"):
            world.count("pauses")
            process.freeze(world.loop.now, LEASE * world.random.uniform(0.5, 3))
        for flow in [flow for flow in worker._residents.flows if world.stormy(0.1, "evictions")]:
            world.count("evictions")
            worker._residents.drop(flow)
        calm = world.loop.now >= world.calm
        outdated = self._outdated(slot)
        if outdated or (slot.partial and calm) or world.stormy(0.015, "drains"):
            world.loop.create_task(self._drain(slot, worker, process))
        elif slot.version < len(self.upgrades) or slot.partial or not calm:
            world.loop.call_later(world.random.randint(50, 1100) / 1000, self._trouble, slot, worker, process)

    def _outdated(self, slot: Slot) -> bool:
        """Whether the code of a slot is to give way to newer one: at some time while that comes, then at once."""
        since = self.world.loop.now - min(self.upgrades[slot.version :], default=math.inf)
        return since >= self._rolling or (since >= 0 and self.world.random.random() < 0.3)

    async def _drain(self, slot: Slot, worker: RunningWorker, process: Process) -> None:
        world = self.world
        world.count("drains")
        begun = world.loop.now
        world.auditor.draining.add(process.name)
        await (worker.abort() if world.stormy(0.3, "drains") else worker.shutdown())
        if world.loop.now >= world.calm + 60 and world.loop.now - begun > 60:
            world.blame(f"{process.name} took {world.loop.now - begun:.1f} s to drain")
        process.alive = False
        self._gone(slot)
        world.loop.post(None, world.random.uniform(0.01, 0.5), self.boot, slot)

    def _gone(self, slot: Slot) -> None:
        if slot.worker is not None:
            self.world.auditor.disturbed.update(list(slot.worker._runners))
        self.world.bury(slot.process)
