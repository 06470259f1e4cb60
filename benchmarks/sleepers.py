"""What new flows cost in a store that is full (T8): `python -m benchmarks.sleepers [--count 1000000]`.

A flow that waits for a signal, at the longest for a month, and one that has finished a step are run for real. The store
is then filled with copies of both, `count` of each (in thousands), journals and all, under ids of the last month. They
are of the type and lane of the flows that are measured then: the same calls on this store and on an empty one, in turn.
Figures are CPU: of this process and, on Redis, of its server; medians of the rounds. At last a real worker runs flows
on both: what one costs it, and the memory that it has had at most (needs Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from redis import Redis

from benchmarks.results import Setting, emit
from benchmarks.run import place
from ergon_runtime import Scheduler, Store, Worker, flow, open_store, step, wait_signal
from ergon_runtime.client import new_flow_id
from ergon_runtime.core.flows import Claim, ClaimRequest, Commit, FlowQuery, NewFlow, Status
from ergon_runtime.definitions import flow_definition
from ergon_runtime.stores.sqlite import transaction

ROOT = Path(__file__).resolve().parent.parent
MONTH = 30 * 86_400
CALLS, BATCH = 256, 64
"""Flows in a round; flows that are claimed at once, as workers do."""
FLOWS = 1000
"""Flows that the real worker runs."""
LEASE = 15_000


@step
async def work(n: int) -> int:
    return n


@flow
async def sleeper(n: int) -> int:
    return await wait_signal("never", int, timeout=MONTH) if n < 0 else await work(n)


LANE = flow_definition(sleeper).lane


@dataclass(frozen=True, slots=True)
class Place:
    """A store to be measured, and its server if it has one."""

    name: str
    url: str
    store: Store
    server: Redis | None

    def cpu(self) -> float:
        """Seconds of CPU that this process and the server have taken."""
        if self.server is None:
            return time.process_time()
        said = self.server.info("cpu")
        return time.process_time() + float(said["used_cpu_user"]) + float(said["used_cpu_sys"])


@asynccontextmanager
async def new_place(kind: str, name: str) -> AsyncGenerator[Place]:
    """A new store, with a folder or a server of its own."""
    async with AsyncExitStack() as stack:
        given = stack.enter_context(place("folder" if kind == "sqlite" else "everysec"))
        url, server = f"sqlite:///{given}/ergon.db", None
        if kind == "redis":
            url, server = given, Redis(unix_socket_path=given.removeprefix("unix://"))
            server.config_set("auto-aof-rewrite-percentage", 0)  # a rewrite would take the other core
        yield Place(name, url, await stack.enter_async_context(open_store(url)), server)
        if server is not None:
            server.close()


async def measure(kind: str, count: int, rounds: int) -> None:
    async with new_place(kind, "empty") as empty, new_place(kind, "full") as full:
        began = time.monotonic()
        await fill(full, count)
        settings: dict[str, Setting] = {"waiting": count, "finished": count, "rounds": rounds}
        emit("T8", f"{kind}, filling", round(time.monotonic() - began, 1), "s", **settings, **size(full))
        taken: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for each in (empty, full):
                for what, cost in (await costs(each)).items():
                    taken.setdefault((what, each.name), []).append(cost)
        for what in dict.fromkeys(what for what, _ in taken):
            compare(f"{kind}, {what}", median(taken[what, "empty"]), median(taken[what, "full"]), **settings)
        idle = {each.name: await of_worker(each) for each in (empty, full)}
        compare(f"{kind}, a flow by a worker", idle["empty"][0], idle["full"][0], flows=FLOWS, **settings)
        emit("T8", f"{kind}, memory of the worker", round(idle["full"][1] / 1024, 1), "MiB", **settings)


def compare(what: str, empty: float, full: float, **settings: Setting) -> None:
    """Print a cost in a full store against that in an empty one."""
    us = {"empty_cpu_us": round(empty * 1e6, 1), "full_cpu_us": round(full * 1e6, 1)}
    emit("T8", f"{what}, full / empty", round(full / empty, 2), "times", **us, **settings)


def size(full: Place) -> dict[str, Setting]:
    """What the store takes."""
    if full.server is not None:
        return {"server_mib": round(full.server.info("memory")["used_memory"] / 2**20)}
    return {"file_mib": round(Path(full.url.removeprefix("sqlite:///")).stat().st_size / 2**20)}


# Filling


async def fill(place: Place, count: int) -> None:
    """Put `count` waiting and as many finished flows into the store."""
    models = await run_models(place.store)
    if place.server is None:
        fill_file(Path(place.url.removeprefix("sqlite:///")), models, count)
    else:
        fill_server(place.server, models, count)


CLONE = """
local model, keys, sets = ARGV[1], cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
for i = 4, #ARGV do
  for _, key in ipairs(keys) do
    redis.call('COPY', key .. model, key .. ARGV[i])
  end
  for key, score in pairs(sets) do
    redis.call('ZADD', key, score, ARGV[i])
  end
end
"""
"""Copies all keys of a flow, and its places in sorted sets, for other ids."""


def fill_server(server: Redis, models: Sequence[str], count: int) -> None:
    """By the server's own means."""
    keys = [str(key, "utf-8") for key in server.scan_iter()]
    ordered = [key for key in keys if server.type(key) == b"zset"]
    for model in models:
        own = [key.removesuffix(model) for key in keys if key.endswith(f":{model}")]
        scores = ((key, server.zscore(key, model)) for key in ordered)
        sets = {key: repr(score) for key, score in scores if score is not None}
        for _ in range(0, count, 1000):
            ids = (old_id() for _ in range(1000))
            server.eval(CLONE, 0, model, json.dumps(own), json.dumps(sets), *ids)


def fill_file(file: Path, models: Sequence[str], count: int) -> None:
    """By SQLite's own means, in long transactions that are not waited for."""
    conn = sqlite3.connect(file, isolation_level=None)
    for pragma in ("synchronous = off", "cache_size = -500000", "temp_store = memory"):
        conn.execute(f"PRAGMA {pragma}")
    conn.execute("CREATE TEMP TABLE fresh (id TEXT PRIMARY KEY) WITHOUT ROWID")
    for _ in range(0, count, 50_000):
        for model in models:
            with transaction(conn):
                conn.execute("DELETE FROM fresh")
                ids = ((old_id(),) for _ in range(min(count, 50_000)))
                conn.executemany("INSERT INTO fresh VALUES (?)", ids)
                for table, column in OWNED.items():
                    names = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
                    values = ", ".join("fresh.id" if name == column else f"model.{name}" for name in names)
                    own = f"model.{column} = ? ORDER BY fresh.id"
                    conn.execute(
                        f"INSERT INTO {table} SELECT {values} FROM fresh, {table} AS model WHERE {own}", (model,)
                    )
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()


OWNED = {"flow": "id", "input": "flow", "journal": "flow", "wait": "flow", "sent": "target"}
"""The tables that have rows of a flow, by the column that names it. Copies of a wait have its number, which the store
would give only once."""


async def run_models(store: Store) -> tuple[str, str]:
    """A waiting flow and a finished one; their ids."""
    scheduler = Scheduler(store)
    async with await Worker(store).register(sleeper).start():
        waiting, finished = await scheduler.schedule(sleeper(-1)), await scheduler.schedule(sleeper(1))
        await finished.result()
        while await waiting.status() is not Status.WAITING:
            await asyncio.sleep(0.01)
    return waiting.id, finished.id


def old_id() -> str:
    """An id as a flow would have that was made at some time in the last month."""
    earlier = time.time() * 1000 - random.randrange(MONTH * 1000)
    return f"{round(earlier):011x}" + secrets.token_hex(5)


# Measuring


async def costs(place: Place) -> dict[str, float]:
    """Seconds of CPU of each kind of call, for one flow."""
    store, found = place.store, dict[str, float]()

    async def timed(what: str, calls: Awaitable[object], flows: int = CALLS) -> None:
        before = place.cpu()
        await calls
        found[what] = (place.cpu() - before) / flows

    flows = [NewFlow(new_flow_id(), "sleeper", None, LANE, b"[1]", secrets.token_hex(8)) for _ in range(CALLS)]
    request = ClaimRequest("benchmark", LEASE, BATCH, (LANE,), fingerprint="code")
    await timed("schedule", asyncio.gather(*map(store.create, flows)))
    claims: list[Claim] = []

    async def claim() -> None:
        while got := (await store.claim(request)).claims:
            claims.extend(got)

    await timed("claim", claim())
    entries, end = (b'{"some": "entry"}', b'{"another": "entry"}'), b'{"value": "1"}'
    commits = [
        Commit(secrets.token_hex(8), each.lease, None, 0, LEASE, Status.COMPLETED, entries, release=True, result=end)
        for each in claims
    ]
    await timed("commit", asyncio.gather(*map(store.commit, commits)))
    await timed("look of an idle worker", repeat(lambda: store.claim(request)), 50)
    await timed("look for who waits for a signal", repeat(lambda: store.list(NOBODY)), 50)
    assert len(claims) == CALLS, len(claims)
    return found


NOBODY = FlowQuery(waiting_on="signal:other", limit=10_000)


async def repeat(call: Callable[[], Awaitable[object]]) -> None:
    for _ in range(50):
        await call()


async def of_worker(place: Place) -> tuple[float, int]:
    """Seconds of CPU that a flow costs a worker, and the KiB of memory that it has had at most."""
    scheduler = Scheduler(place.store)
    command = (sys.executable, "-m", "ergon_cli", "worker", "-m", "benchmarks/sleepers.py", "--store", place.url)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        await (await scheduler.schedule(sleeper(0))).result(timeout=60)
        before = spent_by(process.pid)
        handles = await asyncio.gather(*(scheduler.schedule(sleeper(n)) for n in range(FLOWS)))
        for handle in handles:
            await handle.result(timeout=60)
        status = Path(f"/proc/{process.pid}/status").read_text().split()
        return (spent_by(process.pid) - before) / FLOWS, int(status[status.index("VmHWM:") + 1])
    finally:
        process.terminate()
        process.wait()


def spent_by(pid: int) -> float:
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "redis"], choices=["sqlite", "redis"])
    given = parser.parse_args()
    for kind in given.stores:
        asyncio.run(measure(kind, given.count, given.rounds))


if __name__ == "__main__":
    main()
