"""The worker: claims flows of the types it serves, runs each in a runner, renews their leases, and drains on request.

P5  A suspect flow (its worker died under it, twice) is run alone: the worker first lets its other flows come to rest.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Self

from ergon_runtime.core.doing import pack_doing
from ergon_runtime.core.flows import (
    Beat,
    ClaimRequest,
    Claims,
    FlowQuery,
    Message,
    Status,
)
from ergon_runtime.core.retry import seconds
from ergon_runtime.definitions import FlowDefinition, Registry, flow_definition, registry
from ergon_runtime.engine import Engine
from ergon_runtime.errors import DefinitionError, SchemaMismatch, StoreError
from ergon_runtime.fingerprint import fingerprint
from ergon_runtime.journal import LEAST_CAP, MAX_ENTRIES, JournalCap
from ergon_runtime.lease import HeldLease, Keeper
from ergon_runtime.limits import limits
from ergon_runtime.residents import COUNT, Residents, evict
from ergon_runtime.runner import Runner
from ergon_runtime.stores.contract import Store

log = logging.getLogger(__name__)

BATCH = 64
"""Flows claimed at once."""
POLL = 1.0
"""Seconds after which a worker looks at the store even if nothing told it to."""
SETTLED = 500
"""Milliseconds for which a step has to run before the worker tells of it out of turn."""
HURRY = 2000
"""A flow due within so many milliseconds keeps a `--burst` worker from ending."""


class Worker:
    """Runs flows from a store.

    `name` identifies it to others, so live workers have distinct ones (default: host, pid and a random part);
    `concurrency` is the number of flows that advance at once, and of threads for sync steps; `lease` (seconds or
    timedelta) is how long a dead worker's flows stay unclaimed. A flow whose journal reaches `max_entries` without
    `continue_as_new` is blocked (`too_long`). Raises ValueError for numbers that make no sense.
    """

    def __init__(
        self,
        store: Store,
        *,
        name: str | None = None,
        concurrency: int = 100,
        lease: float | timedelta = 15.0,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, not {concurrency}")
        if max_entries < LEAST_CAP:
            raise ValueError(f"max_entries must be {LEAST_CAP} or more, not {max_entries}")
        if seconds(lease) < 0.1:
            raise ValueError(f"a lease must be at least 0.1 seconds, not {seconds(lease)}")
        self.store, self.concurrency, self.lease = store, concurrency, round(seconds(lease) * 1000)
        self.max_entries = max_entries
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._definitions: dict[tuple[str, str | None], FlowDefinition] = {}

    def register(self, *flows: object) -> Worker:
        """Serve these flow types: `@flow` functions, `@flow_type` classes. Raises DefinitionError for anything else."""
        for each in flows:
            definition = flow_definition(each)
            self._definitions[definition.name, definition.version] = definition
        return self

    def register_all(self, known: Registry = registry) -> Worker:
        """Serve every flow type that has been defined."""
        for definition in known.flows():
            self._definitions[definition.name, definition.version] = definition
        return self

    async def start(self, *, only: Iterable[str] | None = None) -> RunningWorker:
        """Begin to work. `only` narrows it to the flows of these ids and those below them.

        Raises DefinitionError when no flow type is registered, or a hint cannot be resolved; StoreError.
        """
        if not self._definitions:
            raise DefinitionError("a worker needs flow types: call register(...) before start()")
        registry.resolve()
        # Part of the fingerprint: what cannot be read without a key is tried again by those who have it.
        keys = (await self.store.identity()).keys
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="ergon-step")
        engine = Engine(
            store=self.store,
            worker=self.name,
            find=self._find,
            fingerprint=fingerprint(self._definitions.values(), self.max_entries, limits().max_bytes, *keys),
            lease=self.lease,
            pool=pool,
            cap=JournalCap(self.max_entries),
        )
        lanes = tuple(definition.lane for definition in self._definitions.values())
        running = RunningWorker(engine, lanes, self.concurrency, only=only)
        running.start()
        return running

    def _find(self, type_: str, version: str | None) -> FlowDefinition:
        return self._definitions[type_, version]


class RunningWorker:
    """A worker at work. `Worker.start` gives it; end it with `shutdown`, as `async with await worker.start():` does."""

    def __init__(
        self,
        engine: Engine,
        lanes: Sequence[str],
        concurrency: int,
        *,
        only: Iterable[str] | None = None,
        residents: int = COUNT,
    ) -> None:
        self.engine, self.lanes, self.concurrency = engine, tuple(lanes), concurrency
        self._only = None if only is None else tuple(only)
        self._runners: dict[str, Runner] = {}
        self._sessions: set[asyncio.Task[None]] = set()
        self._residents = Residents(residents)
        self._look = asyncio.Event()
        self._draining = False
        self._clearing_until = 0.0
        self._alone = self._suspects = self._idle = False
        self._rested = 0
        """How many sessions have ended: what a claim from before tells of due flows is old."""
        self._next_due: int | None = None
        self._store_time, self._answered = 0, 0.0
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._keeper = Keeper(
            engine.store.clone(), engine.lease, self._held, self._beat, self._from_keeper, engine.boot, self._has_news
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown()

    @property
    def name(self) -> str:
        """What others know it by."""
        return self.engine.worker

    @property
    def busy(self) -> int:
        """How many flows it advances now."""
        return len(self._runners)

    def start(self, *, keeper_thread: bool = True) -> None:
        """Begin; with `keeper_thread` false the leases are renewed by a task of this loop."""
        if keeper_thread:
            self._keeper.start()
            self._tasks.append(self._loop.create_task(self._keeper.ended()))
        else:
            self._tasks.append(self._loop.create_task(self._keeper.keep()))
        self._claiming = self._loop.create_task(self._claim_on())
        self._tasks.append(self._claiming)
        self._tasks.append(self._loop.create_task(self._listen()))

    async def shutdown(self) -> None:
        """Stop claiming, let running steps end, hand the rest back, and stop. Cancelled in this, it aborts."""
        self._draining = True
        self._look.set()
        for runner in self._runners.values():
            runner.drain()
        try:
            # A claim on its way is not given up: its flows would wait out their leases.
            await asyncio.wait([self._claiming])
            while self._sessions:
                await asyncio.wait(self._sessions)
        except asyncio.CancelledError:
            await self.abort()
            raise
        await self._close()

    async def abort(self) -> None:
        """Stop at once: step bodies are cancelled, and leases are left to run out."""
        self._draining = True
        self._claiming.cancel()  # what it would bring now, nobody would run
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._close()

    async def join(self) -> None:
        """Wait until the worker ends by itself, which it does only by an error it cannot handle."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def quiet(self) -> bool:
        """Whether no flow of its lanes is pending, running, or due within two seconds. Raises StoreError."""
        store = self.engine.store
        if self._runners or not self._idle:
            return False
        if self._next_due is not None and self._next_due <= await store.now() + HURRY:
            return False
        running = await store.list(FlowQuery(statuses=(Status.RUNNING,), limit=1000))
        return self._idle and not any(row.lane in self.lanes for row in running)

    # --- claiming
    async def _claim_on(self) -> None:
        delay = 0.05
        while not self._draining:
            self._look.clear()
            try:
                more = await self._claim()
                delay = 0.05
            except SchemaMismatch:
                raise  # a newer Ergon has taken the store over: trying again does not help
            except StoreError as error:
                log.warning("cannot claim, will try again: %s", error)
                await asyncio.sleep(delay)
                delay = min(5.0, delay * 2)
                continue
            if not more and not self._draining:
                await self._rest()

    async def _claim(self) -> bool:
        """Claim what there is room for; whether there may be more at once."""
        if self._suspects and not self._runners:
            return await self._claim_suspect()
        room = self._room()
        if room == 0:
            return False
        sent, rested = self.engine.boot(), self._rested
        found = await self.engine.store.claim(self._request(room))
        self._next_due, self._suspects = found.next_due, found.suspects
        self._store_time, self._answered = found.now, self.engine.boot()
        self._idle = not found.claims and not found.suspects and rested == self._rested
        self._take(found, sent)
        if found.suspects:
            self._make_way()
        return len(found.claims) == min(room, BATCH) or (found.suspects and not self._runners)

    def _make_way(self) -> None:
        """Claim nothing for a while, so that a suspect flow can run alone; then, for as long again, go on as usual."""
        now, span = self.engine.boot(), 2 * self.engine.lease / 1000
        if self._clearing_until + span < now:
            self._clearing_until = now + span

    async def _claim_suspect(self) -> bool:
        """Run one suspect flow alone."""
        sent, self._suspects = self.engine.boot(), False
        found = await self.engine.store.claim(self._request(1, alone=True))
        self._alone = bool(found.claims)
        self._take(found, sent)
        return not self._alone

    def _room(self) -> int:
        if self._alone or (self._runners and self.engine.boot() < self._clearing_until):
            return 0
        return max(0, self.concurrency - len(self._runners))

    def _request(self, room: int, *, alone: bool = False) -> ClaimRequest:
        return ClaimRequest(
            worker=self.engine.worker,
            lease=self.engine.lease,
            limit=min(room, BATCH),
            lanes=self.lanes,
            under=self._only,
            fingerprint=self.engine.fingerprint,
            alone=alone,
        )

    def _take(self, found: Claims, sent: float) -> None:
        for claim in found.claims:
            flow = claim.lease.flow
            held = HeldLease(claim.lease, self.engine.lease, sent)
            runner = Runner(self.engine, claim, held, self._residents.take(flow))
            if self._draining:
                runner.drain()
            self._runners[flow] = runner
            session = self._loop.create_task(self._session(runner))
            self._sessions.add(session)
            session.add_done_callback(self._sessions.discard)

    async def _session(self, runner: Runner) -> None:
        flow = runner.claim.lease.flow
        try:
            kept = await runner.run()
        except StoreError as error:
            log.error("flow %s: the store failed, the flow is left to its lease: %s", flow, error)
        except Exception:  # one flow's trouble must not end the worker; its lease runs out and it is tried again
            log.exception("flow %s: internal error, the flow is left to its lease", flow)
        else:
            if kept is not None and not self._draining and self._runners.get(flow) is runner:
                self._residents.keep(flow, kept)
            elif kept is not None:
                evict(kept.machine)
        finally:
            if self._runners.get(flow) is runner:
                del self._runners[flow]
            self._alone = self._idle = False
            self._rested += 1
            self._look.set()

    async def _rest(self) -> None:
        """Wait for a hint, a freed place, or the next due time."""
        timeout = POLL
        if self._next_due is not None and self._room():
            since = self.engine.boot() - self._answered
            timeout = min(timeout, max(0.001, (self._next_due - self._store_time) / 1000 - since))
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._look.wait()

    async def _listen(self) -> None:
        """Pass the store's hints on."""
        while True:
            try:
                flows = await self.engine.store.wait(self.engine.worker, POLL)
            except StoreError as error:
                log.info("no hints from the store: %s", error)
                await asyncio.sleep(POLL)
                continue
            for flow in flows:
                if runner := self._runners.get(flow):
                    runner.notice()
            self._look.set()

    # --- leases
    def _held(self) -> list[HeldLease]:
        return [runner.held for runner in list(self._runners.values())]

    def _beat(self) -> Beat:
        """Called in the keeper's thread."""
        runners = list(self._runners.values())
        return Beat(
            worker=self.engine.worker,
            lanes=self.lanes,
            silence=self.engine.lease,
            host=socket.gethostname(),
            pid=os.getpid(),
            concurrency=self.concurrency,
            busy=len(runners),
            doing=pack_doing(step for runner in runners for step in runner.tell_steps()),
        )

    def _has_news(self) -> bool:
        """Whether a step has run for a while and no sign of life told of it. Called in the keeper's thread."""
        before = self.engine.clock() - SETTLED
        return any(runner.has_untold(before) for runner in list(self._runners.values()))

    def _from_keeper(self, held: HeldLease, mail: tuple[Message, ...] | None) -> None:
        """Called in the keeper's thread."""
        runner = self._runners.get(held.lease.flow)
        if runner is not None and runner.held is held:
            wake: Callable[[], None] = runner.notice if mail else runner.renewed
            self._loop.call_soon_threadsafe(wake)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._residents.clear()
        if isinstance(self.engine.pool, ThreadPoolExecutor):
            self.engine.pool.shutdown(wait=False, cancel_futures=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeper.stop()
