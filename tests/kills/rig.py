"""The rig: a store, workers in their seats with a doom each, clients that schedule and signal, and the check.

A seat has a worker; when that has met its doom (a point, or an instant) the next one sits down. One more worker, the
steady one, is never harmed. Clients send again, under the same ids, until the store says yes; some of them are
processes that die as they send. All that is drawn comes from the seed; which interleaving it meets does not.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from ergon_cli.exits import ExitCode
from ergon_runtime import FlowQuery, FlowRow, Scheduler, Status, Store, StoreUnavailable, open_store
from ergon_runtime.audit import audit
from tests.kills import ledger, points
from tests.kills.checker import Books, Fate, Findings, Result, check
from tests.kills.staff import Hand, Staff, staff
from tests.kills.work import Job, job

T = TypeVar("T")
UNENDED = (Status.PENDING, Status.RUNNING, Status.WAITING, Status.BLOCKED)
CLIENTS = 6
PATIENCE = 4.0
"""Seconds that a worker gets to come to its point; then it is killed where it is."""
FAULTS = ("internal error", "Traceback (most recent", "was never retrieved", "was destroyed", "was never awaited")
"""What no worker may log."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is made. `kills` counts SIGKILLs of workers, stops and drains come besides; `flows` is how many there
    are at least. `lease` in seconds."""

    store: str
    url: str
    kills: int
    flows: int
    seed: int
    lease: float = 1.0
    seats: int = 3
    at_once: int = 80
    """Flows that have not ended, while workers die."""
    cold_one_in: int = 10
    """How many of the workers begin as a command of their own, and are no forks."""


@dataclass(frozen=True, slots=True)
class Doom:
    """What a worker meets: `end` is kill, stop or drain; at `point` (`name:passage`), or after so many seconds."""

    end: str
    point: str | None
    after: float


@dataclass
class Rig:
    """A run: its processes, and what clients and dooms have done."""

    settings: Settings
    store: Store
    staff: Staff
    draw: random.Random
    done: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    """Points at which workers died or stopped."""
    jobs: dict[str, Job] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """No more kills."""
    voided: bool = False

    def worker(self, doom: str = "") -> Hand:
        return self.staff.start("worker", "--lease", f"{round(self.settings.lease * 1000)}ms", doom=doom)

    # --- workers
    async def seat(self) -> None:
        """Workers that meet their dooms, one after the other, until there were enough kills."""
        while self.done["kills"] < self.settings.kills:
            doom = draw_doom(self.draw, self.settings.store)
            action = "stop" if doom.end == "stop" else "kill"
            hand = self.worker("" if doom.point is None else f"{doom.point}:{action}")
            await self._meet(hand, doom)
            self.done["kills"] += hand.killed
            self.done["drained"] += hand.drained
            if doom.point is not None and hand.ended.result()[0] == -signal.SIGKILL and hand.killed_at is None:
                self.struck[doom.point.partition(":")[0]] += 1
            # it began while the server was dead, or a worker stopped in a transaction
            unreachable = hand.ended.result()[0] == ExitCode.STORE
            self.done["store unreachable"] += unreachable
            ended = f"worker {hand.number} ended by itself: {hand.text()[-2000:]}"
            assert hand.killed or hand.drained or unreachable, ended
        self.over.set()

    async def _meet(self, hand: Hand, doom: Doom) -> None:
        await _first(hand, PATIENCE if doom.point is not None and doom.end != "drain" else doom.after)
        if doom.end == "stop":
            if doom.point is None:
                self.staff.send(hand, signal.SIGSTOP)
            await _first(hand, 1)
            if hand.stopped.is_set():
                self.done["stops"] += 1
                if doom.point is not None:
                    self.struck[doom.point.partition(":")[0]] += 1
                await asyncio.sleep(2 * self.settings.lease)  # its flows are taken over meanwhile
                self.staff.send(hand, signal.SIGCONT)
                await _first(hand, doom.after, stops=False)
                doom = replace(doom, end=self.draw.choice(("kill", "drain")))
        if doom.end == "drain":
            self.staff.send(hand, signal.SIGTERM)
            await _first(hand, 60)
        self.staff.send(hand, signal.SIGKILL)
        await hand.end()

    # --- clients
    async def feed(self) -> None:
        """Keep so many flows under way by several clients, while workers die, and until there were enough of them."""
        numbers = itertools.count()
        await asyncio.gather(*(self._client(numbers) for _ in range(CLIENTS)))

    async def _client(self, numbers: Iterator[int]) -> None:
        scheduler = Scheduler(self.store)
        for number in numbers:
            while await self.unended(self.settings.at_once) >= self.settings.at_once:
                await asyncio.sleep(0.05)
            if self.over.is_set() and number >= self.settings.flows:
                return
            made = job(number, random.Random(f"{self.settings.seed}-{number}"))
            await self._submit(scheduler, made, random.Random(f"client-{self.settings.seed}-{number}"))

    async def _submit(self, scheduler: Scheduler, made: Job, draw: random.Random) -> None:
        """Schedule a job and send its signals; each again under its id while the outcome is unknown."""
        early = made.name is not None and draw.random() < 0.5
        if early:
            await self._signal(scheduler, made, draw)
        if draw.random() < 0.05:  # a process that dies as it sends: its outcome is unknown
            args = ("schedule", made.type, "--id", made.id, "--input", made.input)
            await self._dying(draw.choice(("create_sent", "create_applied")), args)
        self.jobs[made.id] = made
        await self._until_told(lambda: scheduler.schedule(made.flow, id=made.id))
        if not early:
            await self._signal(scheduler, made, draw)

    async def _signal(self, scheduler: Scheduler, made: Job, draw: random.Random) -> None:
        for n, value in enumerate(made.signals):
            target = () if made.name is not None else ("--flow", made.id)
            if draw.random() < 0.05:
                args = ("signal", made.name or "go", str(value), "--id", f"s{n}", *target)
                await self._dying(draw.choice(("send_sent", "send_applied")), args)
            for _ in range(draw.choice((1, 1, 1, 2))):  # sent twice, it counts once
                if made.name is not None:
                    await self._until_told(lambda v=value, i=n: scheduler.signal(made.name, v, id=f"s{i}"))
                else:
                    await self._until_told(lambda v=value, i=n: scheduler.handle(made.id).signal("go", v, id=f"s{i}"))

    async def _dying(self, point: str, args: tuple[str, ...]) -> None:
        hand = self.staff.start(*args, doom=f"{point}:1:kill")
        await hand.end()
        self.done["clients killed"] += hand.killed

    async def _until_told(self, send: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await send()
            except StoreUnavailable:
                self.done["unknown outcomes"] += 1
                await asyncio.sleep(0.02)

    # --- the end
    async def unended(self, limit: int) -> int:
        """How many flows have not ended, as far as `limit`."""
        return len(await self._until_told(lambda: self.store.list(FlowQuery(statuses=UNENDED, limit=limit))))

    async def finish(self, seconds: float) -> None:
        """Wait until every flow has ended. A list by status may miss a flow that goes from one to another, so in the
        end each is looked at."""
        end = time.monotonic() + seconds
        while await self.unended(1) or [row async for row in self._rows() if not row.status.ended]:
            if time.monotonic() > end:
                rows = await self.store.list(FlowQuery(statuses=UNENDED, limit=3))
                raise AssertionError(f"flows have not ended: {rows}")
            await self._free()
            await asyncio.sleep(0.1)

    async def _free(self) -> None:
        """Do what a person does about flows that were killed five times while they ran alone (P5)."""
        for row in await self.store.list(FlowQuery(statuses=(Status.BLOCKED,), limit=100)):
            if json.loads(row.note or b"{}").get("why", {}).get("kind") == "crash_loop":
                await Scheduler(self.store).retry(row.id)
                self.done["crash loops freed"] += 1

    async def findings(self) -> Findings:
        """Read the books, and judge them."""
        rows = [row async for row in self._rows()]
        results = {row.id: await self._result(row) for row in rows}
        text = (self.staff.folder / "ledger").read_text()
        fates = {number: fate(hand) for number, hand in self.staff.hands.items()}
        found = check(Books(ledger.read(text), results, fates, list(self.jobs), self.voided))
        found.wrong += [f"audit {each.rule} {each.flow}: {each.text}" async for each in audit(self.store)]
        return found

    async def _result(self, row: FlowRow) -> Result:
        journal = await self.store.journal(row.id, 0, 10_000)
        made, right = self.jobs.get(row.id), None
        if made is not None and row.status is Status.COMPLETED:
            right = made.fits(await Scheduler(self.store).handle(row.id).result())
        return Result(row.status.value, journal, right)

    async def _rows(self) -> AsyncIterator[FlowRow]:
        before: tuple[int, str] | None = None
        while page := await self.store.list(FlowQuery(limit=1000, before=before)):
            for row in page:
                yield row
            before = page[-1].created, page[-1].id


@asynccontextmanager
async def rig(folder: Path, settings: Settings) -> AsyncIterator[Rig]:
    """A store with processes over it, none of which outlives the block."""
    async with open_store(settings.url) as store:
        seed = (await store.identity()).hash_seed
        environ = {"ERGON_STORE": settings.url}
        async with staff(folder, settings.store, seed, environ, cold_one_in=settings.cold_one_in) as hands:
            yield Rig(settings, store, hands, random.Random(settings.seed))


async def play(made: Rig, *others: Awaitable[object]) -> Findings:
    """Kill workers under load until there were enough kills, let the flows end, and judge what is left."""
    steady = made.worker()
    while "worker" not in steady.text() and steady.alive:
        await asyncio.sleep(0.02)
    work = asyncio.gather(made.feed(), *(made.seat() for _ in range(made.settings.seats)), *others)
    await asyncio.wait((work, steady.ended), return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        raise AssertionError(f"the steady worker ended: {steady.text()[-2000:]}")
    await work
    await made.finish(120 + made.settings.flows / 10)
    made.staff.send(steady, signal.SIGTERM)
    await steady.end()
    return await made.findings()


def draw_doom(draw: random.Random, store: str) -> Doom:
    """What the next worker meets."""
    end = draw.choices(("kill", "stop", "drain"), (75, 15, 10))[0]
    if draw.random() < 0.4:
        point = None
    elif end == "drain":
        point = f"{draw.choice(points.DRAINS)}:1"
    else:
        # stopped in a transaction, a worker would stop all others
        more = points.IN_TRANSACTION if store == "sqlite" and end == "kill" else ()
        name = draw.choice([*points.WORKERS, *more])
        point = f"{name}:{draw.choice((1, 2, 5, 20) if name in points.COMMON else (1, 1, 2))}"
    return Doom(end, point, draw.uniform(0.05, 1.0))


def fate(hand: Hand) -> Fate:
    """What became of a process, by its end and its log."""
    text = hand.text()
    lost = frozenset(line.rpartition(" ")[2] for line in text.splitlines() if "lease lost on flow" in line)
    faults = tuple(line for line in text.splitlines() if any(fault in line for fault in FAULTS))
    return Fate(hand.killed, hand.was_stopped, hand.drained, lost, faults)


async def _first(hand: Hand, seconds: float, *, stops: bool = True) -> None:
    """Wait until a process ends or stops, or so long."""
    stopped = asyncio.ensure_future(hand.stopped.wait())
    waits = [hand.ended, stopped] if stops else [hand.ended]
    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
