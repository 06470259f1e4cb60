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
from random import Random
from typing import cast

from ergon_runtime import journal, mail
from ergon_runtime import runner as runner_module
from ergon_runtime.core.decide import Situation
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.operators import claims as operator_claims
from tests.simulation import nodes as nodes  # fills the tables of nodes
from tests.simulation import programs, steps
from tests.simulation.audit import Auditor
from tests.simulation.beats import Beats
from tests.simulation.books import BOOKS, Core
from tests.simulation.crew import LEASE, Crew
from tests.simulation.ledger import EffectsLedger, Journals
from tests.simulation.loop import Process, SimLoop
from tests.simulation.operators import Operators
from tests.simulation.options import Options
from tests.simulation.people import People, world_kind
from tests.simulation.plant import planted
from tests.simulation.stores import ChaosStore, Hints
from tests.simulation.traces import Trace, TracedMachine

EPOCH = 1_800_000_000_000
"""When simulated time begins, in UTC milliseconds."""
END = 3600.0
"""Seconds after which a history is over, whatever is left."""
CALMS = (6.0, 10.0, 15.0, 40.0)
MOST = 1_000_000
"""Callbacks in one history."""


class Simulation:
    """Run it with `run`, then read what happened."""

    def __init__(self, options: Options) -> None:
        self.options, self.lease = options, LEASE
        self.changes = options.codes > 1
        seed, changes = options.seed, self.changes
        self.random = Random(seed)
        self.calm = options.calm or self.random.choice(CALMS)
        self._offset = 0
        self.loop = SimLoop()  # type: ignore[abstract]  # a simulated process has no I/O
        self.loop.queue = lambda: self.random.choice([0.0, 0.0, 0.0, self.random.uniform(0, 3)])
        self.stats: Counter[str] = Counter()
        self.problems: list[str] = []
        self.errors: list[BaseException] = []
        self.traces: list[Trace] = []
        self.pruned: dict[str, FlowRow] = {}
        """Flows that were deleted, as they were last."""
        self.pruned_mail: Counter[tuple[str, str]] = Counter()
        """(channel, id) of messages that went with them."""
        self.books = BOOKS[options.store](self.clock, self._token)
        self.journals = Journals(self.books)
        self.beats = Beats(seed, self.blame, changing=changes)
        self.auditor = Auditor(self.books, self.journals, self.clock, self.blame, self.beats)
        self.auditor.codes = options.codes
        self.core = cast(Core, self.auditor)
        self.claims = self.auditor.claims
        self.ledger = EffectsLedger(
            self.random, self.books, self.journals, LEASE, self.blame, self._kill_here, self.beats, changing=changes
        )
        self.ledger.poison = options.poison
        self.ledger.fenced = not options.jumps
        self.auditor.poison, self.auditor.only_poison = options.poison, not options.chaos
        self.auditor.started = self.ledger.started
        self.people = People(self)
        self.operators = Operators(self)
        self.crew = Crew(self)
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

    def stormy(self, chance: float, kind: str) -> bool:
        """Whether something of this kind happens now that has this chance in a storm."""
        found = self.loop.now < self.calm and self.random.random() < chance * self.options.chaos
        return found and kind not in self.options.without

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
        """Blocked by its own code, or waiting for a child that is."""
        if row.status is Status.BLOCKED:
            return world_kind(row) in ("stuck", "spinning")
        if row.status is not Status.WAITING or row.due is not None:
            return False
        children = [self.core.get(wait.channel[6:]) for wait in row.waits if wait.channel.startswith("child:")]
        return any(child is not None and not child.status.ended and self.excused(child) for child in children)

    def kill(self, process: Process) -> None:
        """SIGKILL, and another worker in its place some time later."""
        self.crew.kill(process)

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
            try:
                self.crew.begin()
                self.people.begin()
                self.loop.post(None, 0.0, lambda: self.loop.create_task(self.people.act()))
                self.loop.run(END, most=MOST)
                if self.loop.callbacks >= MOST:
                    self.problems.append("it spins")
                self.problems += programs.problems
                self.stats.update({f"node {name}": n for name, n in programs.used.items()})
            finally:
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
        programs.used.clear()
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

    def bury(self, process: Process) -> None:
        """The memory of a dead process is gone: nothing in it may run because the garbage collector finds it."""
        self._hints.forget(process)
        self._graves += [machine for ref in self._machines.pop(process, ()) if (machine := ref()) is not None]

    def _token(self) -> str:
        self._tokens += 1
        return f"token {self._tokens}"

    def _close(self) -> None:
        for problem in self.loop.problems:
            self.problems.append(f"asyncio: {problem.get('message')} {problem.get('exception')!r}")
        self.loop.stop()
        for process in list(self._machines):
            self.bury(process)
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
