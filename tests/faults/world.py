"""One run of a scenario: workers and a person on a virtual loop, over a store of which some calls go wrong.

The workers are the real ones. Their clocks, ids, store handle and loop are the world's, and nothing is left to chance:
the calls before the first fault are the same in every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextvars import Context
from typing import Any

from ergon_runtime import runner as runner_module
from ergon_runtime.core.flows import Commit, FlowQuery, FlowRow, Status
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.definitions import FlowDefinition, flow_definition
from ergon_runtime.engine import Engine
from ergon_runtime.errors import StoreError
from ergon_runtime.operators.claims import OPERATOR_LEASE
from ergon_runtime.worker import RunningWorker
from tests.faults.checks import check
from tests.faults.cores import CORES
from tests.faults.effects import Effects, present
from tests.faults.handle import CHANGING, LATENCY, Handle, Mode
from tests.faults.person import Person
from tests.faults.scenario import Scenario
from tests.simulation.loop import Process, SimLoop
from tests.simulation.plant import planted

EPOCH = 1_700_000_000_000
LEASE = 3.0
REBOOT = 0.3
"""Seconds until a dead process is started again."""
END = 300.0
"""Virtual seconds after which a run has failed."""
MOST = 400_000
"""Callbacks in one run."""


class Slot:
    """A place for one worker at a time."""

    def __init__(self, number: int) -> None:
        self.number, self.starts, self.fingerprint = number, 0, "code 1"
        self.process = Process("none")
        self.worker: RunningWorker | None = None


class World:
    """Make it, `run` it, and read what was wrong."""

    def __init__(self, scenario: Scenario, store: str = "memory", faults: Mapping[int, Mode] | None = None) -> None:
        self.scenario, self.store, self.faults = scenario, store, dict(faults or {})
        self.loop = SimLoop()  # type: ignore[abstract]  # a simulated process has no I/O
        self.problems: list[str] = []
        self.calls: list[str] = []
        """Every call by its number, from 1."""
        self.takeovers: Counter[str] = Counter()
        """Per flow: claims while another had it."""
        self.claims: Counter[str] = Counter()
        self.deaths = 0
        self.ended = 0.0
        self.bells: dict[Process, asyncio.Event] = {}
        self.core = CORES[store](self.clock, map("token {}".format, itertools.count(1)).__next__)
        self.effects = Effects(self.core, self.blame, self._kill_here)
        self.files: dict[str, Any] = {}
        """What people have put away."""
        self.slots = [Slot(n) for n in range(scenario.workers)]
        self.plain = Handle(self, Process("onlooker"), counted=False)
        self.sent: set[str] = set()
        """The ids of signals that the store took."""
        self.pruned = False
        self._stood: set[tuple[str, Status]] = set()
        self._machines: list[FlowMachine] = []
        self._person = Process("none")
        self._people = self._late = 0
        self._script_done = self._ending = False

    # --- what others need of it
    @property
    def disturbed(self) -> bool:
        """Whether somebody died, or a worker lost a flow."""
        return bool(self.takeovers or self.deaths)

    def clock(self) -> int:
        """The store's clock."""
        return EPOCH + int(self.loop.now * 1000 + 1e-6)

    def stood(self, flow: str, status: Status) -> bool:
        """Whether a flow was ever given this status by a commit."""
        return (flow, status) in self._stood

    def blame(self, problem: str) -> None:
        self.problems.append(f"at {self.loop.now:.3f} s: {problem}")

    def span(self, process: Process) -> float:
        """Twice the lease of a process, seconds."""
        return 2 * (OPERATOR_LEASE / 1000 if process is self._person else LEASE)

    def allowance(self, call: int) -> float:
        """Seconds that the fault at a call may cost: a flow that is lost is taken over within one and a half leases."""
        if call > len(self.calls):
            return 0.0
        least = 1 + self.scenario.longest
        lease = OPERATOR_LEASE / 1000 if self.calls[call - 1].startswith("person") else LEASE
        match self.faults[call]:
            case Mode.REFUSED if lease == LEASE:  # people do not ask again for what they hold: it is taken over
                return least
            case Mode.REFUSED | Mode.UNANSWERED | Mode.DEAD_BEFORE | Mode.DEAD_AFTER:
                return least + 1.5 * lease
            case Mode.LATE | Mode.SILENT | Mode.SLOW | Mode.PAUSED:
                return least + 3.5 * lease

    def number(self, process: Process, name: str) -> Mode | None:
        """Count a call; what is planned for it."""
        self.calls.append(f"{process.name} {name}")
        return self.faults.get(len(self.calls))

    def apply(self, name: str, args: tuple[Any, ...]) -> Any:
        """A call reaches the store."""
        if name == "commit":
            self._look_at(args[0])
        try:
            answer = self.core.do(name, *args)
        finally:
            if name in CHANGING:
                for process, bell in self.bells.items():
                    self.loop.post(process, LATENCY, bell.set)
        if name == "send" and answer and args[0].message.channel.startswith("signal:"):
            self.sent.add(args[0].message.id)
        if name == "prune":
            self.pruned = True
        if name == "commit":
            self._stood.add((args[0].lease.flow, args[0].status))
        if name == "claim":
            self.claims.update(claim.lease.flow for claim in answer.claims)
            self.takeovers.update(claim.lease.flow for claim in answer.claims if claim.status is Status.RUNNING)
        return answer

    def _look_at(self, commit: Commit) -> None:
        """Whether the store has to refuse this one, as it then does."""
        row = self.core.do("get", commit.lease.flow)
        again = row is not None and row.head == commit.id
        right = row is not None and self.core.token(row.id) == commit.lease.token and row.head == commit.predecessor
        if right or again:
            return
        with contextlib.suppress(StoreError):
            self.core.do("commit", commit)
            self.blame(f"{commit.lease.flow}: a stale token or head wrote (R3)")

    def post_late(self, act: Callable[[], None]) -> None:
        """Something reaches the store much later."""
        self._late += 1

        def arrive() -> None:
            self._late -= 1
            act()

        self.loop.post(None, 2 * LEASE, arrive)

    def kill(self, process: Process) -> None:
        """SIGKILL, and a start in its place some time later."""
        alive, process.alive = process.alive, False
        self.bells.pop(process, None)
        if not alive:
            return
        self.deaths += 1
        if process is self._person:
            self.loop.post(None, REBOOT, self._send_person)
        for slot in self.slots:
            if slot.process is process and not self._ending:
                self.loop.post(None, REBOOT, self.boot, slot)

    def _kill_here(self) -> None:
        assert self.loop.owner is not None
        self.kill(self.loop.owner)

    # --- its run
    def run(self) -> World:
        """Live through it, once."""
        with self._present():
            for slot in self.slots:
                self.loop.post(None, 0.0, self.boot, slot)
            self.loop.post(None, 0.0, self._send_person)
            self.loop.post(None, 0.0, lambda: self.loop.create_task(self._watch()))
            self.loop.run(END, most=MOST)
            if not self.loop.stopped:
                self.blame(f"it has no end: {[(row.id, row.status.value, row.note) for row in self.rows()]}")
            self._close()
        return self

    def rows(self) -> list[FlowRow]:
        return self.core.do("list", FlowQuery(limit=1_000_000))

    @contextlib.contextmanager
    def _present(self) -> Iterator[None]:
        handler, logger = _Complaints(self), logging.getLogger("ergon_runtime")
        outer = logger.level, logger.propagate
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(handler)
        present.append(self.effects)
        ids = itertools.count(1)
        try:
            with (
                planted(runner_module, "FlowMachine", functools.partial(_KeptMachine, self._machines)),
                planted(secrets, "token_hex", lambda size=8: f"{next(ids):0{2 * size}x}"),
            ):
                yield
        finally:
            present.pop()
            logger.removeHandler(handler)
            logger.level, logger.propagate = outer

    def boot(self, slot: Slot) -> None:
        """Start a worker in a slot."""
        slot.starts += 1
        process = slot.process = Process(f"worker {slot.number + 1}.{slot.starts}")
        with self.loop.as_owner(process):
            definitions = [flow_definition(each) for each in self.scenario.flows]
            lanes = [definition.lane for definition in definitions]
            options = self.scenario
            engine = self._engine(slot, definitions)
            slot.worker = RunningWorker(engine, lanes, options.concurrency, residents=options.residents)
            slot.worker.start(keeper_thread=False)

    def _engine(self, slot: Slot, definitions: list[FlowDefinition]) -> Engine:
        born, ids, name = self.loop.now, itertools.count(1), slot.process.name
        return Engine(
            store=Handle(self, slot.process),
            worker=name,
            find=self.find,
            fingerprint=slot.fingerprint,
            lease=round(LEASE * 1000),
            grace=0.3,
            clock=self.clock,
            boot=lambda: self.loop.now - born,
            spread=lambda: 0.5,
            new_id=lambda: f"{name} {next(ids)}",
        )

    def find(self, type_: str, version: str | None) -> FlowDefinition:
        """The flow type of this name."""
        found = {each.name: each for each in map(flow_definition, self.scenario.flows)}
        return found[type_]

    async def stop(self, slot: Slot, how: Callable[[RunningWorker], Coroutine[Any, Any, None]]) -> None:
        """Stop a worker, if it is alive, and return when it has stopped or died."""
        process, worker = slot.process, slot.worker
        if worker is None or not process.alive:
            return
        with self.loop.as_owner(process):
            stopping = self.loop.create_task(how(worker))
        begun = self.loop.now
        while process.alive and not stopping.done():
            await asyncio.sleep(0.01)
            if self.loop.now > begun + 60:
                self.blame(f"{process.name} does not stop")
                return
        if process.alive and (error := stopping.exception()) is not None:
            self.blame(f"{process.name} stops with {error!r}")
        process.alive = False
        self.bells.pop(process, None)

    def _send_person(self) -> None:
        self._people += 1
        process = self._person = Process(f"person {self._people}")
        with self.loop.as_owner(process):
            self.loop.create_task(self._act(Person(self, process)))

    async def _act(self, person: Person) -> None:
        while True:
            try:
                await self.scenario.script(person)
            except StoreError as error:
                if self.loop.now > END / 2:
                    self.blame(f"a person gets nowhere: {error!r}")
                await asyncio.sleep(0.1)
            except Exception as error:  # whatever it is, the run is not as it should be
                self.blame(f"a person gets {error!r}")
                self.loop.stop()
                return
            else:
                self._script_done = True
                return

    async def _watch(self) -> None:
        """Wait until all is done, stop the workers, and look at what is left."""
        while not (self._script_done and self._late == 0 and all(map(self._rests, self.rows()))):
            await asyncio.sleep(0.05)
        self.ended, self._ending = self.loop.now, True
        for slot in self.slots:
            await self.stop(slot, RunningWorker.shutdown)
        await asyncio.sleep(2 * LATENCY)
        for problem in await check(self):
            self.blame(problem)
        self.loop.stop()

    def _rests(self, row: FlowRow) -> bool:
        return row.status.ended or row.status in [end.status for end in self.scenario.may_end(row.id)]

    def _close(self) -> None:
        self.problems += [f"asyncio: {each.get('message')} {each.get('exception')!r}" for each in self.loop.problems]
        self.loop.stop()
        for machine in self._machines:
            Context().run(machine.evict)
        self._machines.clear()
        self.loop.close()
        self.core.close()


class _KeptMachine(FlowMachine):
    """A machine that the world holds, so that none of a dead process is ended by the garbage collector."""

    def __init__(self, kept: list[FlowMachine], *args: Any, **options: Any) -> None:
        kept.append(self)
        super().__init__(*args, **options)


class _Complaints(logging.Handler):
    """Errors that the worker logs are broken promises."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._world.blame(f"logged: {record.getMessage()}: {error!r}")
