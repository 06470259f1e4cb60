"""The people around a simulation: they schedule, signal, cancel and prune, and have flows retried, freed and forked."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections import Counter
from typing import TYPE_CHECKING

from ergon_runtime.core.entries import CancelReceived
from ergon_runtime.core.flows import CANCEL, FlowQuery, FlowRow, Message, NewFlow, Send, Status
from ergon_runtime.errors import StoreError
from ergon_runtime.mail import cancel_flow
from tests.simulation.books import kept
from tests.simulation.loop import Process
from tests.simulation.programs import OWN, POISON, SHARED, Code, value_of
from tests.simulation.stores import ChaosStore

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

DEPTHS = (0, 1, 1, 2, 2, 3)
LIVE = (Status.PENDING, Status.RUNNING, Status.WAITING, Status.BLOCKED)


class People:
    """All of them. `sent` holds the signals that the store took, by id."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self.sent: dict[str, str] = {}
        self.roots: list[str] = []
        self._count = 0
        self._kept: list[Send] = []
        self._without = world.options.without

    def begin(self) -> None:
        """Plan what flows there will be."""
        world, random, options = self.world, self.world.random, self.world.options
        plans = [(f"f{n}", options.seed * 10 + n, min(options.depth, random.choice(DEPTHS))) for n in range(3)]
        plans = plans[: min(options.flows, random.randint(1, 3))]
        if options.poison:
            plans.append(("poison", options.seed, POISON))
        for plan in plans:
            world.loop.post(None, random.uniform(0, 3), self.schedule, *plan)

    def schedule(self, name: str, seed: int, depth: int) -> None:
        """Create a flow that runs the program of a seed."""
        world = self.world
        value = value_of(Code(changes=world.changes), seed, depth)
        due = world.clock() + world.random.choice([0, 0, 2000])
        definition = value.definition
        args = definition.encode_arguments(value).encode()
        priority = world.random.choice([5, 5, 5, 0, 9])
        world.stats["flows of other priorities"] += priority != 5
        about = name, definition.name, definition.version, definition.lane, args, f"seed {name}"
        world.core.create(NewFlow(*about, due=due, priority=priority))
        self.roots.append(name)

    async def act(self) -> None:
        """Signals and cancels at random; in the calm, a signal for whoever waits, until all flows have ended."""
        world = self.world
        while True:
            await asyncio.sleep(world.random.randint(50, 750) / 1000)
            live = [row for row in world.core.list(FlowQuery(statuses=LIVE, limit=100_000)) if row.id in world.claims]
            live.sort(key=lambda row: row.id)
            if world.loop.now > 3.5 and not live and world.random.random() < 0.4:
                world.calm = min(world.calm, world.loop.now)
            if world.loop.now < world.calm:
                self._disturb(live)
            elif self._finish(live):
                world.loop.stop()
                return

    def _disturb(self, live: list[FlowRow]) -> None:
        random = self.world.random
        if self.world.stormy(1, "collections"):
            gc.collect(1)  # what only the collector could find is found at any time
        for _ in range(2):
            if random.random() < 0.4:
                self._signal(None, random.choice(SHARED))
        if self._kept and random.random() < 0.2 and "resent signals" not in self._without:
            self.world.count("signals sent again")
            self.world.core.send(random.choice(self._kept))  # again, and much later: nothing may come of it
        if live and random.random() < 0.4:
            self._signal(random.choice(live).id, random.choice([*SHARED, OWN, OWN]))
        rows = [row for root in self.roots if (row := self.world.core.get(root)) is not None]
        failed = [row for row in rows if self._can_retry(row)]
        if failed and random.random() < 0.5 and "retries" not in self._without:
            row = random.choice(failed)
            if self.world.auditor.claims[row.id] < 40:
                self.world.operators.retry(row)
        if (row := self._any()) is not None and random.random() < 0.1 and "forks" not in self._without:
            self.world.operators.fork(row)
        if live and random.random() < 0.06 * min(1, self.world.options.chaos) and "cancels" not in self._without:
            self._cancel(random.choice(live).id)
        self._free(live)
        if self.world.options.jumps and self.world.stormy(0.1, "clock jumps"):
            self.world.set_clock()
        if self.world.options.prunes and random.random() < 0.15:
            self._prune()

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

    def _prune(self) -> None:
        """Delete what ended a while ago; what is known of it is kept for the checks."""
        world = self.world
        before = world.clock() - world.random.choice([0, 1000, 5000])
        mail = Counter(kept(world.books.core))
        ended = [row for row in world.core.list(FlowQuery(limit=100_000)) if row.status.ended]
        for row in ended:
            world.journals(row.id)
        self._kept = [send for send in self._kept if send.to is not None]  # names forget the ids that are old
        if not world.core.prune(before):
            return
        gone = {row.id: row for row in ended if world.core.get(row.id) is None}
        world.count("prunes")
        world.stats["flows pruned"] += len(gone)
        world.pruned |= gone
        world.pruned_mail += mail - Counter(kept(world.books.core))
        self._kept = [send for send in self._kept if send.to not in gone]

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
        unreadable = random.random() < 0.15 and "unreadable signals" not in self._without
        body = json.dumps(self._count if unreadable else f"p{self._count}").encode()
        send = Send(flow, Message(f"s{self._count}", f"signal:{name}", body))
        for _ in range(2 if random.random() < 0.1 else 1):
            if world.core.send(send):
                self.sent[send.message.id] = send.message.channel
                self._kept.append(send)
        world.hint()

    def _cancel(self, flow: str) -> None:
        self._count += 1
        self.world.count("cancels")
        if self.world.random.random() < 0.5:
            self.world.core.send(Send(flow, Message(f"c{self._count}", CANCEL, b"null")))
            self.world.hint()
        else:
            self.command_cancel(flow)

    def command_cancel(self, flow: str) -> None:
        """Have a flow cancelled by the command, in a process of its own."""
        self._count += 1
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
            kind = world_kind(row) if row.status is Status.BLOCKED else ""
            own = kind in ("stuck", "spinning") and world.stormy(0.5, "retries")
            if own or kind == "crash_loop":
                world.operators.free(row)
        for name in world.operators.unfinished():
            if not world.stormy(0.7, "forks"):
                world.operators.finish(name)


def world_kind(row: FlowRow) -> str:
    """Why a flow is blocked."""
    return str(json.loads(row.note or b"{}").get("why", {}).get("kind"))
