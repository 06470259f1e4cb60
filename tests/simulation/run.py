"""Runs simulations: `python -m tests.simulation.run SEEDS [--first N] [--store memory|sqlite] [--jobs N] [--trace]`.

Prints each seed that breaks a promise, and statistics. A seed gives the same history on the same version of Python,
whatever the hash seed; `--trace` prints what it comes to.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from random import Random

from ergon_runtime.core.flows import FlowQuery, Status
from tests.simulation.checks import check
from tests.simulation.simulation import Bad, Simulation

BATCH = 25
"""Seeds that a process runs at a time."""


@dataclass(slots=True)
class Batch:
    """What some seeds came to."""

    stats: Counter[str] = field(default_factory=Counter[str])
    failed: dict[int, str] = field(default_factory=dict[int, str])
    traces: dict[int, str] = field(default_factory=dict[int, str])


def one(seed: int, store: str = "memory") -> Simulation:
    """One history, checked. Raises Bad."""
    dice = Random(seed)
    poison = dice.choice([1, 2, 4, 6, 7, 12]) if seed % 7 == 3 else 0
    chaos = dice.choice([0, 1, 1, 3] if not poison else [0, 0, 1])
    world = Simulation(seed, chaos=chaos, changes=seed % 5 == 0, store=store, poison=poison, jumps=seed % 11 == 5).run()
    check(world)
    return world


def tally(world: Simulation) -> Counter[str]:
    """What happened in a history, in numbers."""
    rows = world.core.list(FlowQuery(limit=1_000_000))
    found = Counter(world.stats) + world.auditor.stats + world.beats.stats
    found["virtual seconds"] += round(world.loop.now)
    found["flows"] += len(rows)
    found["entries"] += sum(row.length for row in rows)
    found["step bodies"] += world.ledger.runs
    found["machines"] += len(world.traces)
    for status in Status:
        found[f"ended {status}"] += sum(row.status is status for row in rows)
    for trace in world.traces:
        for how, _, _ in trace.delivered:
            found[f"delivered {how}"] += 1
    return found


def trace_of(world: Simulation) -> str:
    """A hash over all that happened: what machines delivered, what flows recorded, and the dice that are left."""
    rows = sorted(world.core.list(FlowQuery(limit=1_000_000)), key=lambda row: row.id)
    kept = [(row.id, row.status.value, row.result, world.books.core.journal(row.id, 0, 1_000_000)) for row in rows]
    delivered = [(trace.flow, trace.life, trace.delivered) for trace in world.traces]
    everything = kept, delivered, sorted(world.stats.items()), world.loop.callbacks, world.random.random()
    return hashlib.sha256(repr(everything).encode()).hexdigest()[:16]


def run_batch(seeds: range, store: str, *, traced: bool = False) -> Batch:
    """Some seeds, one after the other."""
    found = Batch()
    for seed in seeds:
        try:
            world = one(seed, store)
        except Bad as bad:
            found.failed[seed] = str(bad)[:1200]
        except Exception:
            found.failed[seed] = f"the rig itself failed\n{traceback.format_exc()}"
        else:
            found.stats += tally(world)
            if traced:
                found.traces[seed] = trace_of(world)
    return found


def spare_memory() -> None:
    """Let the collector pass over what is loaded, and come less often: histories are short."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description="Simulate histories.")
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--store", choices=["memory", "sqlite"], default="memory")
    parser.add_argument("--stop", type=int, default=20, help="stop after so many failing seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print a hash of each history")
    options = parser.parse_args(arguments)
    total, begun, last = Batch(), time.perf_counter(), options.first + options.seeds
    batches = [range(first, min(first + BATCH, last)) for first in range(options.first, last, BATCH)]
    for batch in _batches(partial(run_batch, store=options.store, traced=options.trace), batches, options.jobs):
        for seed, trace in batch.traces.items():
            print(f"seed {seed}: {trace}")
        for seed, said in batch.failed.items():
            print(f"seed {seed}: {said}", flush=True)
        total.stats += batch.stats
        total.failed |= batch.failed
        if len(total.failed) >= options.stop:
            break
    took = time.perf_counter() - begun
    about = f"Python {sys.version.split()[0]}, {options.store}: {options.seeds} seeds"
    print(f"{about} in {took:.0f} s, {len(total.failed)} failed")
    print(", ".join(f"{what} {n}" for what, n in sorted(total.stats.items()) if n))
    return bool(total.failed)


def _batches(work: partial[Batch], batches: Sequence[range], jobs: int) -> Iterator[Batch]:
    """What the batches came to, in order."""
    if jobs == 1:
        spare_memory()
        yield from map(work, batches)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=spare_memory) as pool:
        try:
            yield from pool.map(work, batches)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
