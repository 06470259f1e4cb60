"""A disk without room, or one that fails, under a worker that runs flows: no flow fails, nothing is counted, and it
goes on by itself.

An outage begins after so much has been written, in one of five ways: `pages`, SQLite's own limit of a file's pages;
`space`, each write of SQLite fails with ENOSPC; `files`, the process may not let its files grow (RLIMIT_FSIZE); `disk`,
a file system of its own is full, which only root can make; `broken`, each read and write fails with EIO.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ergon_runtime import Scheduler, Status, Worker, flow, step
from ergon_runtime.core.entries import AttemptFailed, unpack
from ergon_runtime.errors import StoreCorrupt, StoreUnavailable
from ergon_runtime.stores.sqlite import Operations, SQLiteOptions, SQLiteStore
from tests.stores.sqlite.sound import Unsound, check_store
from tests.stores.sqlite.syscalls import READING, faulty

T = TypeVar("T")
FLOWS, STEPS, SIZE = 6, 8, 9000
PAGE = 4096
ROOM = {"pages": 140, "space": 200, "files": 200, "disk": 300, "broken": 200}
"""Pages that the flows need, about: budgets go from none to this."""
LEASE = 1.0
PATIENCE = 120.0


@step
async def write_much(number: int) -> str:
    return f"{number}" * SIZE


@flow(name="sqlite_outage")
async def outage_flow() -> int:
    return sum([len(await write_much(number)) for number in range(STEPS)])


class Disk:
    """What the stores of one run share: whether there is room."""

    def __init__(self) -> None:
        self.limit: int | None = None
        """Pages that a file may have."""
        self.refused = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def refuse(self) -> None:
        self.loop.call_soon_threadsafe(self.refused.set)


class OnDisk(SQLiteStore):
    """A store that tells the rig when it was refused."""

    def __init__(self, path: Path, disk: Disk) -> None:
        super().__init__(path, SQLiteOptions(synchronous="normal", patience=5.0))
        self._place, self._disk = path, disk

    def clone(self) -> OnDisk:
        return OnDisk(self._place, self._disk)

    async def _write(self, work: Callable[[Operations], T]) -> T:
        opened = self._now_open
        raw = opened.connections[1].raw
        limit = self._disk.limit or 2**30

        def limited(do: Operations) -> T:
            raw.execute(f"PRAGMA max_page_count = {limit}")
            return work(do)

        try:
            return await super()._write(limited)
        except (StoreUnavailable, StoreCorrupt):  # SQLite calls a read that fails with EIO corrupt
            self._disk.refuse()
            raise


@contextmanager
def outage(kind: str, path: Path, disk: Disk, budget: int) -> Generator[None]:
    """No more room than for so many pages."""
    with ExitStack() as stack:
        match kind:
            case "pages":
                disk.limit = path.stat().st_size // PAGE + budget
                stack.callback(setattr, disk, "limit", None)
            case "space":
                writes = iter(range(budget * 2))  # a frame of the log is two writes

                def full(number: int, name: str) -> int:
                    return 0 if name in READING or next(writes, None) is not None else errno.ENOSPC

                stack.enter_context(faulty(full))
            case "broken":
                calls = iter(range(budget * 2))
                stack.enter_context(faulty(lambda number, name: 0 if next(calls, None) is not None else errno.EIO))
            case "files":
                sys.dont_write_bytecode = True  # Python would leave half of it
                before = resource.getrlimit(resource.RLIMIT_FSIZE)
                sizes = [place.stat().st_size for place in (path, Path(f"{path}-wal"), Path(f"{path}-shm"))]
                resource.setrlimit(resource.RLIMIT_FSIZE, (max(sizes) + budget * PAGE, before[1]))
                stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, before)
            case _:
                ballast = path.parent / "ballast"
                left = os.statvfs(path.parent)
                ballast.write_bytes(b"x" * max(0, left.f_bavail * left.f_frsize - budget * PAGE))
                stack.callback(ballast.unlink)
        yield


@contextmanager
def place(kind: str) -> Generator[Path]:
    """A folder for a store. Raises PermissionError if this kind cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        if kind != "disk":
            yield Path(folder)
            return
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            raise PermissionError(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


async def one(kind: str, path: Path, budget: int) -> bool:
    """One run; whether the budget was too small. Raises Unsound."""
    disk = Disk()
    store = OnDisk(path, disk)
    await store.open()
    try:
        scheduler = Scheduler(store)
        handles = [await scheduler.schedule(outage_flow()) for _ in range(FLOWS)]
        running = await Worker(store, name="w", concurrency=FLOWS, lease=LEASE).register(outage_flow).start()
        with outage(kind, path, disk, budget):
            ends = asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
            refused = asyncio.ensure_future(disk.refused.wait())
            await asyncio.wait({ends, refused}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            refused.cancel()
            ends.cancel()
            with suppress(asyncio.CancelledError):
                await ends  # who waits for a flow may have been told of the outage
            rows = [] if kind == "broken" else await check_store(path)
        if bad := [row for row in rows if row.status in {Status.FAILED, Status.BLOCKED, Status.CANCELLED}]:
            raise Unsound(f"{kind} {budget}: {bad[0].id} is {bad[0].status} for want of room")
        results = await asyncio.wait_for(asyncio.gather(*(handle.result() for handle in handles)), PATIENCE)
        await running.shutdown()
        if results != [STEPS * SIZE] * FLOWS:
            raise Unsound(f"{kind} {budget}: the flows end with {results}")
        await _check_journals(store, [handle.id for handle in handles])
    finally:
        await store.close()
    await check_store(path)
    return disk.refused.is_set()


async def _check_journals(store: SQLiteStore, flows: list[str]) -> None:
    for name in flows:
        entries = [unpack(packed, seq).entry for seq, packed in enumerate(await store.journal(name, 0, 1000))]
        if any(isinstance(entry, AttemptFailed) for entry in entries) or len(entries) != STEPS + 1:
            raise Unsound(f"{name}: the outage left its mark in the journal: {entries}")


def outages(kind: str, count: int) -> tuple[int, int]:
    """So many budgets, spread over all that the flows need: how many runs, and in how many the room gave out."""
    refused = 0
    for number in range(count):
        with place(kind) as folder:
            budget = number * ROOM[kind] // count
            try:
                refused += asyncio.run(one(kind, folder / "s.db", budget))
            except Exception as error:
                again = f"python -m tests.stores.sqlite_rig full {count} --kind {kind}"
                raise Unsound(f"budget {budget} of {kind}; again: {again}") from error
    return count, refused
