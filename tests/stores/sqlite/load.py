"""Many processes at one file: the log stays short whoever reads, and constant checkpoints damage nothing.

Each writer is a process of its own (`writers.py`), also of another Python with another build of SQLite if one is named.
`slow_readers` read the store in pages, with pauses, as `list`, `export` and copies do.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ergon_runtime.core.flows import FlowQuery
from ergon_runtime.stores.records import Kind
from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore
from tests.stores.files import ROOT, nothing, using
from tests.stores.sqlite.sound import Unsound, check_file, check_store

LIMIT = 64 << 20
"""Bytes that the log may have."""
FLOWS = 30
"""Of a writer, at once."""
LOOK = 0.05
CHECKED = 128 << 20
"""Bytes of file up to which it is checked amid the run: the check of a big one reads so long that the log grows."""


@dataclass
class Load:
    """What a run came to."""

    commits: int = 0
    checkpoints: int = 0
    longest: int = 0
    """Bytes of log, at most."""
    pages: int = 0
    """Read by slow readers."""
    checks: int = 0

    def __str__(self) -> str:
        told = f"{self.commits} commits, {self.checkpoints} checkpoints, the log at most {self.longest / 2**20:.1f} MiB"
        return f"{told}, {self.pages} pages read, {self.checks} checks"


@contextmanager
def writers(path: Path, count: int, wish: int | None, pythons: Sequence[str], load: Load) -> Generator[None]:
    """So many processes that write; at the end their commits are counted. Raises Unsound if one fails."""
    extra = [] if wish is None else [str(wish)]
    processes = [
        subprocess.Popen(
            [pythons[n % len(pythons)], "-m", "tests.stores.sqlite.writers", str(path), f"w{n}", str(FLOWS), *extra],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for n in range(count)
    ]
    try:
        yield
        for process in processes:
            out, err = process.communicate("")
            if process.returncode or not out.startswith("commits "):
                raise Unsound(f"a writer ended with {process.returncode}: {err[-2000:]}")
            load.commits += int(out.split()[1])
            load.checkpoints += int(out.split()[3])
    finally:
        for process in processes:
            process.kill()
            process.communicate()


async def _read_slowly(path: Path, load: Load, stop: asyncio.Event) -> None:
    store = SQLiteStore(path, SQLiteOptions(read_only=True))
    await store.open()
    try:
        while not stop.is_set():
            after, before = None, None
            while not stop.is_set() and (pieces := await store.records(Kind.FLOWS, after, 20)):
                after = pieces[-1].place
                await store.list(FlowQuery(limit=20, before=before))
                load.pages += 2
                await asyncio.sleep(0.02)
    finally:
        await store.close()


async def _watch(path: Path, seconds: float, readers: int, load: Load) -> None:
    stop, end, next_check = asyncio.Event(), time.monotonic() + seconds, time.monotonic() + 5
    reading = [asyncio.create_task(_read_slowly(path, load, stop)) for _ in range(readers)]
    log = Path(f"{path}-wal")
    while time.monotonic() < end:
        load.longest = max(load.longest, log.stat().st_size if log.exists() else 0)
        if time.monotonic() > next_check and path.stat().st_size < CHECKED:
            await asyncio.to_thread(check_file, path)
            load.checks, next_check = load.checks + 1, time.monotonic() + 5
        await asyncio.sleep(LOOK)
    stop.set()
    await asyncio.gather(*reading)


def run_load(
    seconds: float, *, processes: int = 8, readers: int = 0, wish: int | None = None, pythons: Sequence[str] = ()
) -> Load:
    """Write with so many processes, and read with so many readers. Raises Unsound."""
    load = Load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.db"
        using(SQLiteStore(path), nothing)
        with writers(path, processes, wish, pythons or [sys.executable], load):
            asyncio.run(_watch(path, seconds, readers, load))
        asyncio.run(check_store(path, flows=False))
        load.checks += 1
    if load.longest > LIMIT:
        raise Unsound(f"the log has grown to {load.longest / 2**20:.1f} MiB")
    return load
