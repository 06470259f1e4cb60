"""One simulated history: workers, people and a store on a virtual loop, from a seed.

A storm of deaths, freezes, lost answers, evictions, drains and new code blows until `calm`; then all flows have to end.
The workers are the real ones; only their clocks, ids, store handle and event loop are the simulation's.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import weakref
from collections import Counter
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from ergon_runtime import journal, mail
from ergon_runtime import runner as runner_module
from ergon_runtime.core.decide import Situation
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.engine import Engine
from ergon_runtime.operators import claims as operator_claims
from ergon_runtime.worker import RunningWorker
from tests.simulation import nodes as nodes  # fills the tables of nodes
from tests.simulation import programs, steps
from tests.simulation.audit import OLD, Auditor
from tests.simulation.beats import Beats
from tests.simulation.books import BOOKS, Core
from tests.simulation.ledger import EffectsLedger, Journals
from tests.simulation.loop import Process, SimLoop
from tests.simulation.operators import Operators
from tests.simulation.people import People, world_kind
from tests.simulation.plant import planted
from tests.simulation.programs import Code, flow_types
from tests.simulation.stores import ChaosStore, Hints

EPOCH = 1_800_000_000_000
"""When simulated time begins, in UTC milliseconds."""
END = 600.0
"""Seconds after which a history is over, whatever is left."""
LEASE = 3.0
GRACE = 0.3
CALMS = (6.0, 10.0, 15.0, 40.0)
MOST = 1_000_000
"""Callbacks in one history."""


class Bad(Exception):
    """A promise is broken."""


@dataclass(slots=True)
class Trace:
    """What a machine delivered in a life of its flow: (how, key, flow time)."""

    number: int
    flow: str = ""
    life: int = 0
    done: bool = False
    evicted: bool = False
    delivered: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])


class TracedMachine(FlowMachine):
    """A machine that writes down what it delivers. The simulation does not hold it: that a machine which is dropped is
    ended before the garbage collector finds it is the worker's duty."""

    def __init__(self, world: Simulation, *args: Any, **options: Any) -> None:
        self.trace = trace = Trace(len(world.traces))
        world.traces.append(trace)
        world.remember(self)
        options |= {
            "observer": lambda how, key, now: trace.delivered.append((how, key, now)),
            "report": lambda context: None,
        }
        super().__init__(*args, **options)
        trace.flow, trace.life = self.id, self.life
        weakref.finalize(self, _dropped, weakref.ref(world), trace)

    def evict(self) -> None:
        self.trace.evicted = True
        super().evict()

    @property
    def done(self) -> bool:
        return self.trace.done

    @done.setter
    def done(self, value: bool) -> None:
        self.trace.done = value

    def __hash__(self) -> int:
        return self.trace.number


def _dropped(over: weakref.ref[Simulation], trace: Trace) -> None:
    world = over()
    if world is not None and not trace.evicted and not trace.done:
        world.blame(f"{trace.flow}: a machine in its life {trace.life} was left to the garbage collector")


class Slot:
    """A place for one worker at a time."""

    def __init__(self, number: int) -> None:
        self.number, self.starts = number, 0
        self.process = Process("none")
        self.version = 0
        self.worker: RunningWorker | None = None


class Simulation:
    """Run it with `run`, then read what happened."""

    def __init__(
        self,
        seed: int,
        *,
        chaos: float = 1.0,
        changes: bool = False,
        store: str = "memory",
        poison: int = 0,
        jumps: bool = False,
    ) -> None:
        self.seed, self.chaos, self.changes, self.lease = seed, chaos, changes, LEASE
        self.random = Random(seed)
        self.calm = self.random.choice(CALMS)
        self._offset = 0
        self.loop = SimLoop()  # type: ignore[abstract]  # a simulated process has no I/O
        self.loop.queue = lambda: self.random.choice([0.0, 0.0, 0.0, self.random.uniform(0, 3)])
        self.stats: Counter[str] = Counter()
        self.problems: list[str] = []
        self.errors: list[BaseException] = []
        self.traces: list[Trace] = []
        self.books = BOOKS[store](self.clock, self._token)
        self.journals = Journals(self.books)
        self.beats = Beats(seed, self.blame, changing=changes)
        self.auditor = Auditor(self.books, self.journals, self.clock, self.blame, self.beats)
        self.auditor.changing = changes
        self.core = cast(Core, self.auditor)
        self.claims = self.auditor.claims
        self.ledger = EffectsLedger(
            self.random, self.books, self.journals, LEASE, self.blame, self._kill_here, self.beats, changing=changes
        )
        self.ledger.poison = self.poison = poison
        self.ledger.fenced = not jumps
        self.jumps = jumps
        self.auditor.poison, self.auditor.only_poison = poison, not chaos
        self.auditor.started = self.ledger.started
        self.people = People(self)
        self.operators = Operators(self)
        self.upgrade = self.random.uniform(0.5, 6) if changes else None
        self.rolling = self.random.choice([0.0, 8.0])
        """How long old code still serves after the upgrade began."""
        self.slots = [Slot(n) for n in range(self.random.choice([1, 2, 2, 3]))]
        self._hints = Hints()
        self._machines: dict[Process, list[weakref.ref[TracedMachine]]] = {}
        self._graves: list[TracedMachine] = []
        self._tokens = 0

    # --- what others need of it
    def clock(self) -> int:
        """The store's clock."""
        return EPOCH + self._offset + int(self.loop.now * 1000 + 1e-6)

    def set_clock(self) -> None:
        """Somebody sets the host's clock, the store's and the workers', by as much as several leases."""
        self.count("clock jumps")
        self.auditor.disturbed["*"] += 2
        self._offset += self.random.choice([-20_000, -4000, -500, 500, 4000, 20_000])

    def stormy(self, chance: float) -> bool:
        return self.loop.now < self.calm and self.random.random() < chance * self.chaos

    def count(self, what: str) -> None:
        self.stats[what] += 1

    def blame(self, problem: str) -> None:
        """A promise is broken: say so, and stop."""
        self.problems.append(f"at {self.loop.now:.3f} s: {problem}")
        self.loop.stop()

    def hint(self) -> None:
        """Somebody outside has changed the store."""
        self._hints.spread(self)

    def store_for(self, process: Process) -> ChaosStore:
        """The store as a process sees it."""
        return ChaosStore(self, process, self._hints)

    def excused(self, row: FlowRow) -> bool:
        """Blocked as stuck, or waiting for a child that is."""
        if row.status is Status.BLOCKED:
            return world_kind(row) == "stuck"
        if row.status is not Status.WAITING or row.due is not None:
            return False
        children = [self.core.get(wait.channel[6:]) for wait in row.waits if wait.channel.startswith("child:")]
        return any(child is not None and not child.status.ended and self.excused(child) for child in children)

    def kill(self, process: Process) -> None:
        """SIGKILL, and another worker in its place some time later."""
        slot = next((slot for slot in self.slots if slot.process is process), None)
        alive, process.alive = process.alive, False
        if not alive or slot is None:
            return
        self.count("kills")
        self._gone(slot)
        self.loop.post(None, self.random.uniform(0.05, 3), self.boot, slot)

    def remember(self, machine: TracedMachine) -> None:
        """A worker has made a machine."""
        process = self.loop.owner
        assert process is not None
        self._machines.setdefault(process, []).append(weakref.ref(machine))

    def _kill_here(self) -> None:
        assert self.loop.owner is not None
        self.kill(self.loop.owner)

    # --- its run
    def run(self) -> Simulation:
        """Live through the whole history, once."""
        with self._present():
            for slot in self.slots:
                self.loop.post(None, 0.0, self.boot, slot)
            for n in range(self.random.randint(1, 3)):
                depth = self.random.choice([0, 1, 1, 2, 2, 3])
                self.loop.post(
                    None, self.random.uniform(0, 3), self.people.schedule, f"f{n}", self.seed * 10 + n, depth
                )
            if self.poison:
                self.loop.post(
                    None, self.random.uniform(0, 3), self.people.schedule, "poison", self.seed, programs.POISON
                )
            self.loop.post(None, 0.0, lambda: self.loop.create_task(self.people.act()))
            self.loop.run(END, most=MOST)
            if self.loop.callbacks >= MOST:
                self.problems.append("it spins")
            self.problems += programs.problems
            self._close()
        return self

    @contextlib.contextmanager
    def _present(self) -> Iterator[None]:
        """While it runs, machines are traced, steps ask its ledger, and errors that are logged are problems."""
        handler = _Complaints(self)
        logger = logging.getLogger("ergon_runtime")
        outer = steps.present[0], logger.level, logger.propagate
        steps.present[0] = self.ledger
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(handler)
        programs.problems.clear()
        programs.abandoned.clear()
        try:
            limit, page = self.random.choice([2, 5, 100, 100]), self.random.choice([3, 1000])
            with (
                planted(runner_module, "FlowMachine", functools.partial(TracedMachine, self)),
                planted(runner_module, "Situation", functools.partial(Situation, limit=limit)),
                planted(journal, "PAGE", page),
                planted(mail, "secrets", _Secrets(self.random)),
                planted(operator_claims, "secrets", _Secrets(self.random)),
            ):
                yield
        finally:
            logger.removeHandler(handler)
            steps.present[0], logger.level, logger.propagate = outer

    def boot(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        late = self.upgrade is not None and self.loop.now >= self.upgrade + self.random.choice([0, self.rolling])
        slot.version = int(late)
        slot.starts += 1
        process = slot.process = Process(f"w{slot.number}.{slot.starts}")
        with self.loop.as_owner(process):
            slot.worker = RunningWorker(self._engine(slot), self._lanes(), self.random.choice([2, 4, 50]))
            slot.worker.start(keeper_thread=False)
            self.loop.call_later(self.random.randint(10, 1100) / 1000, self._trouble, slot, slot.worker, process)

    def _engine(self, slot: Slot) -> Engine:
        skew = self.random.choice([0, self.random.randint(-20, 20), self.random.randint(-300, 300)])
        born, ids, name = self.loop.now, iter(range(1_000_000)), slot.process.name
        types = flow_types(Code(version=slot.version, changes=self.changes))
        return Engine(
            store=self.store_for(slot.process),
            worker=name,
            find=lambda type_, version: types[type_],
            fingerprint=OLD if slot.version == 0 else "code 1",
            lease=round(LEASE * 1000),
            grace=GRACE,
            clock=lambda: self.clock() + skew,
            boot=lambda: self.loop.now - born,
            spread=self.random.random,
            new_id=lambda: f"{name} {next(ids)}",
        )

    def _lanes(self) -> list[str]:
        return [definition.lane for definition in flow_types(Code(changes=self.changes)).values()]

    def _trouble(self, slot: Slot, worker: RunningWorker, process: Process) -> None:
        """What befalls a worker besides its store, now and then: death, freezes, evictions, a drain."""
        if self.stormy(0.015):
            self.kill(process)
            return
        if self.stormy(0.015):
            self.count("pauses")
            process.freeze(self.loop.now, LEASE * self.random.uniform(0.5, 3))
        for flow in [flow for flow in worker._residents if self.stormy(0.1)]:
            self.count("evictions")
            worker._evict(worker._residents.pop(flow))
        old = self.upgrade is not None and not slot.version and self.loop.now >= self.upgrade + self.rolling
        if old or self.stormy(0.015):
            self.loop.create_task(self._drain(slot, worker, process))
        elif self.upgrade is not None or self.loop.now < self.calm:
            self.loop.call_later(self.random.randint(50, 1100) / 1000, self._trouble, slot, worker, process)

    async def _drain(self, slot: Slot, worker: RunningWorker, process: Process) -> None:
        self.count("drains")
        begun = self.loop.now
        self.auditor.draining.add(process.name)
        await (worker.abort() if self.stormy(0.3) else worker.shutdown())
        if self.loop.now >= self.calm + 60 and self.loop.now - begun > 60:
            self.blame(f"{process.name} took {self.loop.now - begun:.1f} s to drain")
        process.alive = False
        self._gone(slot)
        self.loop.post(None, self.random.uniform(0.01, 0.5), self.boot, slot)

    def _gone(self, slot: Slot) -> None:
        if slot.worker is not None:
            self.auditor.disturbed.update(list(slot.worker._runners))
        self._hints.bells.pop(slot.process, None)
        self._bury(slot.process)

    def _bury(self, process: Process) -> None:
        """The memory of a dead process is gone: nothing in it may run because the garbage collector finds it."""
        self._graves += [machine for ref in self._machines.pop(process, ()) if (machine := ref()) is not None]

    def _token(self) -> str:
        self._tokens += 1
        return f"token {self._tokens}"

    def _close(self) -> None:
        for problem in self.loop.problems:
            self.problems.append(f"asyncio: {problem.get('message')} {problem.get('exception')!r}")
        self.loop.stop()
        for process in list(self._machines):
            self._bury(process)
        for machine in self._graves:
            Context().run(machine.evict)
        self._graves.clear()
        self.loop.close()


class _Secrets:
    """In the place of the module: what is drawn comes from the seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def token_hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()


class _Complaints(logging.Handler):
    """Errors that the worker logs are broken promises."""

    def __init__(self, world: Simulation) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._world.blame(f"logged: {record.getMessage()}: {error!r}")
        if error is not None:
            self._world.errors.append(error)
