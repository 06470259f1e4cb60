"""A store with a flow that stands for each reason there is, left there by real workers, of which none lives any more.

Flow ids say what a flow waits for. The clock stands still while workers run, so that every time is known; what has to
have happened before is made by hand, two hours earlier.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ergon_runtime.core.doing import pack_doing
from ergon_runtime.core.flows import CRASH_LOOP, SUSPECT, Beat, Claim, ClaimRequest, Commit, NewFlow, Status, lane
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.histories import read_history, restore_history
from ergon_runtime.journal import JournalCap
from ergon_runtime.operators.unfinished import Unfinished
from ergon_runtime.primitives import invoke, sleep, wait_signal
from ergon_runtime.stores.contract import Store
from ergon_runtime.worker import RunningWorker
from tests.runtime.rigs import Rig, stands
from tests.stores.harness import Clock

HOUR = 3_600_000
LEASE = HOUR
CAP = 100
PATIENCE = 100
"""Seconds."""
Look = Callable[[], Awaitable[None]]
LATER = RetryPolicy(max_attempts=3, initial=3600, max_delay=3600)
begun: list[asyncio.Event] = []
"""Set when step `charge` runs; the last counts."""

with registry.isolated():

    @step(retry=LATER)
    async def pay() -> None:
        raise OSError("busy")

    @step
    async def charge() -> None:
        begun[-1].set()
        await asyncio.Event().wait()

    @step
    async def plain(what: str) -> str:
        return what

    @flow
    async def signals() -> None:
        await wait_signal("go", int)

    @flow
    async def limited() -> None:
        await wait_signal("go now", int, timeout=3600)

    @flow
    async def sleeps() -> None:
        await sleep(3600)

    @flow
    async def pays() -> None:
        await pay()

    @flow(retry=LATER)
    async def fails() -> None:
        raise ValueError("first")

    @flow
    async def unserved() -> None: ...

    @flow
    async def hangs() -> None:
        await asyncio.Event().wait()

    @flow
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    @flow
    async def middle(kind: str) -> None:
        await invoke(TYPES[LEAVES[kind]]())

    @flow
    async def parent(kind: str) -> None:
        await invoke(middle(kind))

    @flow
    async def clashes() -> None:
        await invoke(signals())

    @flow
    async def strict(n: int) -> None:
        await sleep(3600)

    @flow
    async def counts() -> None:
        for _ in range(10):
            await asyncio.gather(*(plain(str(n)) for n in range(50)))

    @flow
    async def runs() -> None:
        await charge()

    @flow
    async def crashes() -> None: ...


def changes(what: str) -> Any:
    """A flow type as different workers have it."""

    async def change() -> None:
        await plain(what)
        await wait_signal("on")

    with registry.isolated():
        return flow(name="changes")(change)


TYPES: dict[str, Any] = {
    each.__name__: each
    for each in (signals, limited, sleeps, pays, fails, hangs, spins, middle, parent, clashes, strict, counts, runs)
} | {"unserved": unserved, "crashes": crashes, "changes": changes("one"), "changed": changes("two")}
"""The flow types, by name."""


class Standing(Rig):
    """The rig that brings the flows where they stand. `clock` rules the store too."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store)
        self.clock = clock

    @asynccontextmanager
    async def worker(self, name: str, *types: str, **settings: Any) -> AsyncIterator[RunningWorker]:
        """A worker that serves these types, and is gone without a trace afterwards."""
        flows = [TYPES[each] for each in types]
        worker = self.start(*flows, name=name, clock=self.clock, lease=LEASE / 1000, **settings)
        try:
            while name not in {row.worker for row in await self.store.workers()}:
                await asyncio.sleep(0.001)  # a cancel while it connects may be lost in redis-py
            yield worker
        finally:
            await worker.abort()
            await self.store.extend((), LEASE, Beat(name, (), 0))

    async def schedule(self, flow_id: str, type_: str, *args: Any) -> None:
        await self.scheduler.schedule(TYPES[type_](*args), id=flow_id)

    async def stand(self, status: str, *flows: str) -> None:
        """Wait until the flows have this status, in which they stay."""
        for each in flows:
            await stands(self.scheduler.handle(each), status)

    async def raw(self, flow_id: str, type_: str, args: bytes = b"{}") -> None:
        """A flow that no code has made."""
        await self.store.create(NewFlow(flow_id, type_, None, lane(type_, None), args, "seed"))

    async def claim(self, flow_id: str, length: int, *, alone: bool = False) -> Claim:
        """Claim a flow as a worker does that dies then."""
        found = await self.store.claim(ClaimRequest("gone", length, 1, ids=(flow_id,), alone=alone))
        return found.claims[0]

    # --- by hand
    async def past(self) -> None:
        """What began two hours ago."""
        now = self.clock.now
        self.clock.now -= 2 * HOUR
        await self.raw("lease_expired", "lease_expired")
        await self.claim("lease_expired", LEASE)
        await self.raw("crash_loop", "crashes")
        for deaths in range(1 + SUSPECT + CRASH_LOOP):
            await self.claim("crash_loop", 1, alone=deaths > SUSPECT)
            self.clock.now += 2
        self.clock.now = now

    async def paused(self) -> None:
        """An imported flow, and a fork that was not finished."""
        history = await read_history(self.store, await self.row("timer"))
        await restore_history(self.store, replace(history, row=replace(history.row, id="paused")), origin="h.jsonl")
        await self.raw("fork", "sleeps")
        claim = await self.claim("fork", LEASE)
        note = Unfinished("timer", "a step", 1, (), "digest").note(self.clock.now)
        done = Commit("c", claim.lease, None, 0, LEASE, status=Status.BLOCKED, release=True, note=note)
        await self.store.commit(done)

    async def queued(self) -> None:
        """A flow whose only worker is elsewhere, and full."""
        await self.raw("queued", "queued")
        beat = Beat("elsewhere", (lane("queued", None),), LEASE, concurrency=2, busy=2, doing=pack_doing(()))
        await self.store.extend((), LEASE, beat)

    # --- by workers
    async def waiting_and_blocked(self) -> None:
        """What one worker leaves."""
        await self.raw("unreadable", "strict", b'{"n":"many"}')
        await self.raw("conflict/signals", "elsewhere")
        for flow_id, type_ in FLOWS.items():
            await self.schedule(flow_id, type_)
        for kind in ("signal", "stuck", "retry", "no_worker"):
            await self.schedule(f"child-{kind}", "parent", kind)
        types = {*FLOWS.values(), "middle", "parent", "strict"} - {"unserved"}
        async with self.worker("w1", *types, residents=0):
            await self.stand("waiting", *(each for each in FLOWS if each not in (*BLOCKED, "no_worker")))
            await self.stand("blocked", "unreadable", *BLOCKED)
            for kind, leaf in LEAVES.items():
                await self.stand("waiting", f"child-{kind}", f"child-{kind}/middle")
                if kind != "no_worker":
                    await self.stand("blocked" if kind == "stuck" else "waiting", f"child-{kind}/middle/{leaf}")

    async def blocked_apart(self) -> None:
        """What needs a worker of its own: other code, a low cap, a flow that takes its worker down."""
        await self.scheduler.signal("on", None)
        async with self.worker("w2", "changed", fingerprint="new"):
            await self.stand("blocked", "diverged")
        await self.schedule("too_long", "counts")
        async with self.worker("w3", "counts", cap=JournalCap(CAP)):
            await self.stand("blocked", "too_long")
        async with self.worker("w4", "crashes"):
            await self.stand("blocked", "crash_loop")

    async def running(self, look: Look) -> None:
        """A step that runs when its worker goes; `look` is called while it lives and has told of it."""
        await self.schedule("running", "runs")
        async with self.worker("w5", "runs") as worker:
            await begun[-1].wait()
            await self.store.extend((), LEASE, worker._beat())
            await look()


FLOWS = {
    "signal": "signals",
    "limited": "limited",
    "timer": "sleeps",
    "retry": "pays",
    "again": "fails",
    "no_worker": "unserved",
    "stuck": "hangs",
    "spinning": "spins",
    "conflict": "clashes",
    "diverged": "changes",
}
"""The type of each flow that is just scheduled, by its id."""
BLOCKED = ("stuck", "spinning", "conflict")
LEAVES = {"signal": "signals", "stuck": "hangs", "retry": "pays", "no_worker": "unserved"}
"""The grandchildren, by the reason for which they stand."""


async def let_stand(store: Store, clock: Clock, look: Look) -> None:
    """Bring a flow into each state. `look` is called once more before, while flow `running` runs a step."""
    here = Standing(store, clock)
    begun.append(asyncio.Event())
    async with asyncio.timeout(PATIENCE):
        await here.past()
        await here.waiting_and_blocked()
        await here.blocked_apart()
        await here.paused()
        await here.queued()
        await here.running(look)
