"""A fault at every system call of a short life of a store: each is a typed error, and nothing acknowledged is lost.

The life creates flows, claims, commits and ends them, reads and checkpoints. First its calls are counted; then, for
each of them, it is lived again with that call failing: once with EIO, once with ENOSPC, or from there on with EIO until
the disk is well again. Then the file must be sound, hold all that was acknowledged, and take writes again.
"""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ergon_runtime.core.flows import ClaimRequest, Commit, FlowQuery, Status
from ergon_runtime.errors import LeaseLost, StoreCorrupt, StoreError, StoreUnavailable
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from ergon_runtime.stores.sqlite.connection import Synchronous
from tests.stores.harness import LANE, new
from tests.stores.sqlite.sound import Unsound, check_store
from tests.stores.sqlite.syscalls import READING, faulty

FLOWS = 3
MANNERS = ("eio", "enospc", "dead")


class Disk:
    """Fails at a call, until it is well again."""

    def __init__(self, number: int, manner: str) -> None:
        self.number, self.manner = number, manner
        self.well = self.failed = False

    def __call__(self, call: int, name: str) -> int:
        if self.well or call < self.number or (call > self.number and self.manner != "dead"):
            return 0
        if self.manner == "enospc" and name in READING:
            return 0
        self.failed = True
        return errno.ENOSPC if self.manner == "enospc" else errno.EIO


class Life:
    """One life of a store, and what it was told has happened."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self.disk = path, disk
        self.created: set[str] = set()
        self.entries: dict[str, int] = {}
        self.ended: set[str] = set()

    def note(self) -> None:
        """Something has been acknowledged."""

    async def live(self, synchronous: str = "normal") -> None:
        """Two handles after each other. Raises nothing but StoreError, and after an error goes on with what is next."""
        for turn in range(2):
            with suppress(StoreError):
                async with opened(self.path, synchronous) as store:
                    with suppress(StoreError):
                        await self._session(store, turn)
                    if self.disk.failed and not self.disk.well:
                        await self._recover(store)

    async def _recover(self, store: SQLiteStore) -> None:
        """A handle goes on when its disk does. Raises Unsound."""
        self.disk.well = True
        end = await settled(store.create(new("well")))
        if end is not True:
            raise Unsound(f"the disk is well again, and the open store says {end!r}")
        self.created.add("well")

    async def _session(self, store: SQLiteStore, turn: int) -> None:
        names = [f"{turn}.{number}" for number in range(FLOWS)]
        made = await asyncio.gather(
            *(store.create(new(name, args=b"a" * 5000)) for name in names), return_exceptions=True
        )
        self.created |= {name for name, done in zip(names, made, strict=True) if self._done(done)}
        self.note()
        with suppress(StoreError):
            await store.list(FlowQuery())
        claims = (await store.claim(ClaimRequest("w", 60_000, 10, (LANE,)))).claims
        for claim in claims:
            flow = claim.lease.flow
            first = Commit(f"{flow}/1", claim.lease, claim.head, claim.length, 60_000, entries=(b"e" * 3000,))
            if self._done(await settled(store.commit(first))):
                self.entries[flow] = claim.length + 1
                self.note()
                last = Commit(
                    *(f"{flow}/2", claim.lease, first.id, claim.length + 1, 60_000),
                    status=Status.COMPLETED,
                    release=True,
                    result=b"1",
                )
                if self._done(await settled(store.commit(last))):
                    self.ended.add(flow)
                    self.note()

    def _done(self, end: object) -> bool:
        """Whether it was done. Raises Unsound for an error that a fault of the disk must not be."""
        if isinstance(end, StoreUnavailable | LeaseLost):
            return False
        if isinstance(end, StoreCorrupt) and self.disk.manner != "enospc":
            return False  # so SQLite calls a read that fails with EIO, until it succeeds
        if isinstance(end, BaseException):
            raise Unsound(f"a fault of the disk looks like {end!r}") from end
        return True

    async def check(self) -> None:
        """With the disk well again. Raises Unsound."""
        rows = {} if not self.path.exists() or not self.path.stat().st_size else await self._rows()
        if missing := self.created - set(rows):
            raise Unsound(f"created, acknowledged, and gone: {missing}")
        if lost := {flow for flow, length in self.entries.items() if rows[flow] < (length, False)}:
            raise Unsound(f"committed, acknowledged, and gone: {lost}")
        if undone := {flow for flow in self.ended if not rows[flow][1]}:
            raise Unsound(f"ended, acknowledged, and not over: {undone}")
        async with opened(self.path) as store:
            if not await store.create(new("after")):
                raise Unsound("a flow is there that nobody created")

    async def _rows(self) -> dict[str, tuple[int, bool]]:
        async with opened(self.path):
            pass  # what was interrupted while it was made is made now
        return {
            row.id: (row.length, row.status is Status.COMPLETED) for row in await check_store(self.path, flows=False)
        }


@asynccontextmanager
async def opened(path: Path, synchronous: str = "normal") -> AsyncGenerator[SQLiteStore]:
    level: Synchronous = "full" if synchronous == "full" else "normal"
    store = SQLiteStore(path, SQLiteOptions(synchronous=level, patience=0.05))
    await store.open()
    try:
        if synchronous == "off" and store._opened is not None:  # no store of ours is as careless
            await store._opened.connections[1].run(lambda conn: conn.execute("PRAGMA synchronous = OFF"))
        yield store
    finally:
        await store.close()


async def settled(work: Awaitable[object]) -> object:
    (end,) = await asyncio.gather(work, return_exceptions=True)
    return end


def count_calls() -> int:
    with tempfile.TemporaryDirectory() as folder, faulty(disk := Disk(0, "none")) as calls:
        disk.well = True
        asyncio.run(Life(Path(folder) / "s.db", disk).live())
        return len(calls.names)


def broken_calls(step: int, first: int = 1) -> tuple[int, int]:
    """Each `step`th call, in each manner: how many lives, and how many had a fault."""
    lives = faults = 0
    for number in range(first, count_calls() + 1, step):
        for manner in MANNERS:
            with tempfile.TemporaryDirectory() as folder:
                life = Life(Path(folder) / "s.db", disk := Disk(number, manner))
                try:
                    with faulty(disk) as calls:
                        asyncio.run(life.live())
                    asyncio.run(life.check())
                except Exception as error:
                    again = f"python -m tests.stores.sqlite_rig calls {step} --first {number}"
                    raise Unsound(f"call {number}, {manner}; again: {again}") from error
            lives += 1
            faults += bool(calls.failed)
    return lives, faults
