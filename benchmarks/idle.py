"""What an idle worker costs (T9): `python -m benchmarks.idle [--seconds 20] [--workers 1]`.

Real `ergon worker` processes on an empty store, first SQLite, then Redis. Figures: the CPU of one of them, of all its
threads, as the kernel counts it (needs Linux); and what is written in the same time, which should be the signs of life,
a commit every third of a lease each. On SQLite commits are counted by a reader, and any change of another table
than the workers' is an error; on Redis the server counts changed keys, of which a sign of life makes two.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from redis import Redis

from benchmarks.results import emit
from benchmarks.run import place

ROOT = Path(__file__).resolve().parent.parent
FLOWS = "from ergon_runtime import flow\n@flow\nasync def hello(): ...\n"
LEASE = 15.0
"""Seconds; the default."""
SETTLE = 3.0
"""Seconds that workers get to start."""
SIGNS = ("worker", "doing")
"""The tables of signs of life."""
Writes = Callable[[], float]
"""How many commits, or groups of changes, there have been up to now."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    with place("folder") as folder:
        file = Path(folder) / "ergon.db"
        measure("sqlite", f"sqlite:///{file}", Path(folder), given.seconds, given.workers)
    with place("folder") as folder, place("everysec") as url:
        measure("redis", url, Path(folder), given.seconds, given.workers)


def measure(kind: str, url: str, folder: Path, seconds: float, workers: int) -> None:
    """Let workers idle on a store, and print what they cost."""
    (folder / "flows.py").write_text(FLOWS)
    command = (sys.executable, "-m", "ergon_cli", "worker", "-m", "flows.py", "--store", url)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) for _ in range(workers)
    ]
    try:
        time.sleep(SETTLE)
        reader = SQLiteReader(folder / "ergon.db") if kind == "sqlite" else RedisReader(url)
        cpu, writes, began = cpu_of(started), reader.writes(), time.monotonic()
        while time.monotonic() < began + seconds:
            time.sleep(0.05)
            reader.writes()
        spent, written = time.monotonic() - began, reader.writes() - writes
        used = sum(cpu_of(started)) - sum(cpu)
        signs = spent / (LEASE / 3) * workers
        settings = {"seconds": round(spent, 1), "workers": workers, "lease_s": LEASE, "cores": os.cpu_count() or 0}
        emit("T9", f"{kind}, CPU of an idle worker", round(used / spent / workers * 100, 2), "% of a core", **settings)
        emit("T9", f"{kind}, writes for a sign of life", round(written / signs, 2), "writes", **settings)
        reader.close()
    finally:
        for process in started:
            process.terminate()
            process.wait()


def cpu_of(processes: Sequence[subprocess.Popen[bytes]]) -> list[float]:
    """Seconds of CPU that each has taken, all threads together."""
    return [
        sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{process.pid}/task").glob("*/schedstat")) / 1e9
        for process in processes
    ]


class SQLiteReader:
    """Counts the commits that it sees, looking often. Raises SystemExit for a write that is no sign of life."""

    def __init__(self, file: Path) -> None:
        self._conn = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        self._version, self._commits = self._ask(), 0
        self._rest = self._others()

    def writes(self) -> float:
        version = self._ask()
        if version != self._version:
            self._version = version
            self._commits += 1
            if self._others() != self._rest:
                sys.exit("an idle worker has written something else than its sign of life")
        return self._commits

    def close(self) -> None:
        self._conn.close()

    def _ask(self) -> int:
        version: int = self._conn.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _others(self) -> list[object]:
        tables = [name for (name,) in self._conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [self._conn.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name not in SIGNS]


class RedisReader:
    """Counts changes by the server's own counter: a sign of life makes two."""

    def __init__(self, url: str) -> None:
        self._client = Redis(unix_socket_path=url.removeprefix("unix://"))

    def writes(self) -> float:
        changes: int = self._client.info("persistence")["rdb_changes_since_last_save"]
        return changes / 2

    def close(self) -> None:
        with suppress(OSError):
            self._client.close()


if __name__ == "__main__":
    main()
