"""The people around a simulation: they schedule, signal, cancel, and have flows retried, freed and forked."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from typing import TYPE_CHECKING

from ergon_runtime.core.entries import CancelReceived
from ergon_runtime.core.flows import CANCEL, FlowQuery, FlowRow, Message, NewFlow, Send, Status
from ergon_runtime.errors import StoreError
from ergon_runtime.mail import cancel_flow
from tests.simulation.loop import Process
from tests.simulation.programs import OWN, SHARED, Code, value_of
from tests.simulation.stores import ChaosStore

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

LIVE = (Status.PENDING, Status.RUNNING, Status.WAITING, Status.BLOCKED)


class People:
    """All of them. `sent` holds the signals that the store took, by id."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self.sent: dict[str, str] = {}
        self.roots: list[str] = []
        self._count = 0
        self._kept: list[Send] = []

    def schedule(self, name: str, seed: int, depth: int) -> None:
        """Create a flow that runs the program of a seed."""
        world = self.world
        value = value_of(Code(changes=world.changes), seed, depth)
        due = world.clock() + world.random.choice([0, 0, 2000])
        definition = value.definition
        args = definition.encode_arguments(value).encode()
        world.core.create(NewFlow(name, definition.name, None, definition.lane, args, f"seed {name}", due=due))
        self.roots.append(name)

    async def act(self) -> None:
        """Signals and cancels at random; in the calm, a signal for whoever waits, until all flows have ended."""
        world = self.world
        while True:
            await asyncio.sleep(world.random.randint(100, 1500) / 1000)
            live = [row for row in world.core.list(FlowQuery(statuses=LIVE, limit=100_000)) if row.id in world.claims]
            live.sort(key=lambda row: row.id)
            if world.loop.now > 3.5 and not live:
                world.calm = min(world.calm, world.loop.now)
            if world.loop.now < world.calm:
                self._disturb(live)
            elif self._finish(live):
                world.loop.stop()
                return

    def _disturb(self, live: list[FlowRow]) -> None:
        random = self.world.random
        gc.collect(1)  # what only the collector could find is found at any time
        for _ in range(2):
            if random.random() < 0.4:
                self._signal(None, random.choice(SHARED))
        if self._kept and random.random() < 0.2:
            self.world.core.send(random.choice(self._kept))  # again, and much later: nothing may come of it
        if live and random.random() < 0.4:
            self._signal(random.choice(live).id, random.choice([*SHARED, OWN, OWN]))
        failed = [row for row in map(self.world.core.get, self.roots) if row and self._can_retry(row)]
        if failed and random.random() < 0.3:
            row = random.choice(failed)
            if self.world.auditor.claims[row.id] < 40:
                self.world.operators.retry(row)
        if (row := self._any()) is not None and random.random() < 0.1:
            self.world.operators.fork(row)
        if live and random.random() < 0.06 * min(1, self.world.chaos):
            self._cancel(random.choice(live).id)
        self._free(live)
        if self.world.jumps and self.world.stormy(0.1):
            self.world.set_clock()

    def _finish(self, live: list[FlowRow]) -> bool:
        """Whether nothing is left to do."""
        world = self.world
        for row in live:
            for wait in row.waits:
                if wait.channel.startswith("signal:") and not wait.reserved:
                    name = wait.channel.removeprefix("signal:")
                    self._signal(None if name in SHARED and world.random.random() < 0.5 else row.id, name)
        self._free(live)
        return world.loop.now > 3.5 and all(world.excused(row) for row in self._all_live())

    def _all_live(self) -> list[FlowRow]:
        return self.world.core.list(FlowQuery(statuses=LIVE, limit=100_000))

    def _can_retry(self, row: FlowRow) -> bool:
        """Whether it has failed, or was cancelled; not by an operator, whose death would let it be blocked again."""
        if row.status is Status.FAILED:
            return True
        if row.status is not Status.CANCELLED:
            return False
        journal = self.world.journals(row.id)
        by_hand = isinstance(journal[-1].entry, CancelReceived) and journal[-1].entry.before and len(journal) > 1
        return not by_hand and self.world.random.random() < 0.3

    def _any(self) -> FlowRow | None:
        """Some flow that workers have seen, and that does not take them down; rather one that has not ended."""
        world = self.world
        statuses = LIVE if world.random.random() < 0.6 else ()
        query = FlowQuery(statuses=statuses, limit=100_000)
        found = [row for row in world.core.list(query) if row.id in world.claims]
        found = sorted((row for row in found if not row.id.startswith("poison")), key=lambda row: row.id)
        return world.random.choice(found) if found else None

    def _signal(self, flow: str | None, name: str) -> None:
        """Send a signal; now and then one that nobody can read, or the same one again."""
        world, random = self.world, self.world.random
        self._count += 1
        body = json.dumps(self._count if random.random() < 0.05 else f"p{self._count}").encode()
        send = Send(flow, Message(f"s{self._count}", f"signal:{name}", body))
        for _ in range(2 if random.random() < 0.1 else 1):
            if world.core.send(send):
                self.sent[send.message.id] = send.message.channel
                self._kept.append(send)
        world.hint()

    def _cancel(self, flow: str) -> None:
        if flow in self.world.operators.unfinished():
            return  # whoever died in the middle of that would leave half a fork to the workers of a memory store
        self._count += 1
        self.world.count("cancels")
        if self.world.random.random() < 0.5:
            self.world.core.send(Send(flow, Message(f"c{self._count}", CANCEL, b"null")))
            self.world.hint()
            return
        self.world.auditor.disturbed[flow] += 3
        process = Process(f"person {self._count}")
        with self.world.loop.as_owner(process):
            self.world.loop.create_task(self._ask_cancel(self.world.store_for(process), flow))

    async def _ask_cancel(self, store: ChaosStore, flow: str) -> None:
        """As `ergon cancel` does."""
        with contextlib.suppress(StoreError):
            await cancel_flow(store, flow)

    def _free(self, live: list[FlowRow]) -> None:
        """Let a flow that was blocked as a crash loop run again, and finish forks."""
        world = self.world
        for row in live:
            stuck = row.status is Status.BLOCKED and world_kind(row) in ("stuck", "diverged") and world.stormy(0.2)
            if stuck or (row.status is Status.BLOCKED and world_kind(row) == "crash_loop"):
                world.operators.free(row)
        for name in world.operators.unfinished():
            if not world.stormy(0.7):
                world.operators.finish(name)


def world_kind(row: FlowRow) -> str:
    """Why a flow is blocked."""
    return str(json.loads(row.note or b"{}").get("why", {}).get("kind"))
