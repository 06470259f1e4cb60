"""Runs simulations: `python -m tests.simulation.run SEEDS [--first N] [--store NAME] [--jobs N] [--trace]`.

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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from ergon_runtime.core import loop
from ergon_runtime.core.flows import FlowQuery, Status
from tests.simulation.books import BOOKS
from tests.simulation.checks import check
from tests.simulation.options import Options, add_arguments, changed, options_of
from tests.simulation.plant import planted
from tests.simulation.simulation import Simulation
from tests.simulation.traces import Bad

BATCH = 25
"""Seeds that a process runs at a time."""


EXERCISED = {
    "P1 lanes and priorities": ("workers that serve some lanes", "flows of other priorities"),
    "P4 several codes": ("histories with three codes or more", "blocked diverged", "P4 other code tries"),
    "P5 suspects": ("claims alone", "blocked crash_loop", "operators again"),
    "S3 ids of signals": ("signals sent again", "prunes", "flows pruned"),
    "S4 payloads that do not fit": ("signals set aside",),
    "L5 spinning": ("blocked spinning",),
    "T4 results that cannot be stored": ("T4 results that cannot be stored",),
    "M1 forks": ("operators fork",),
    "M1 adoptions": ("entry adopted",),
    "as_completed": ("node completed",),
    "several await one child": ("node shared_child", "node twice"),
    "commits in a pipeline": ("histories with calls in pipelines", "commits in a pipeline", "pipelines cut"),
}
"""Rules that the simulation alone proves, and what shows that it does."""
SPIN = 4000
"""Callbacks in one drain after which a flow spins; fewer than in earnest, to be quick."""


@dataclass(slots=True)
class Batch:
    """What some seeds came to."""

    stats: Counter[str] = field(default_factory=Counter[str])
    failed: dict[int, str] = field(default_factory=dict[int, str])
    traces: dict[int, str] = field(default_factory=dict[int, str])


def one(seed: int, store: str = "memory") -> Simulation:
    """The history of a seed, checked. Raises Bad."""
    return history(options_of(seed, store))


def history(options: Options) -> Simulation:
    """One history, checked. Raises Bad."""
    with planted(loop, "SPIN", SPIN):
        world = Simulation(options).run()
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
    found["histories with three codes or more"] += world.options.codes > 2
    found["histories with calls in pipelines"] += world.options.pipelined
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


@dataclass(frozen=True, slots=True)
class Plan:
    """How each seed of a run is run."""

    store: str
    said: argparse.Namespace
    traced: bool = False

    def options(self, seed: int) -> Options:
        return changed(options_of(seed, self.store), self.said)

    def run(self, seeds: range) -> Batch:
        """Some seeds, one after the other."""
        found = Batch()
        for seed in seeds:
            options = self.options(seed)
            try:
                world = history(options)
            except Bad as bad:
                found.failed[seed] = f"{str(bad)[:1200]}\n  again: {options.said()}"
            except Exception:
                found.failed[seed] = f"the rig itself failed\n{traceback.format_exc()}  again: {options.said()}"
            else:
                found.stats += tally(world)
                if self.traced:
                    found.traces[seed] = trace_of(world)
                world.books.close()
        return found


def spare_memory() -> None:
    """Let the collector pass over what is loaded, and come less often: histories are short."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description="Simulate histories.")
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--store", choices=[*BOOKS], default="memory")
    parser.add_argument("--stop", type=int, default=20, help="stop after so many failing seeds")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print a hash of each history")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    plan = Plan(options.store, options, options.trace)
    total, begun, last = Batch(), time.perf_counter(), options.first + options.seeds
    batches = [range(first, min(first + BATCH, last)) for first in range(options.first, last, BATCH)]
    for batch in _batches(plan.run, batches, options.jobs):
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
    for rule, counts in EXERCISED.items():
        print(f"{rule}: {', '.join(f'{what} {total.stats[what]}' for what in counts)}")
    return bool(total.failed)


def _batches(work: Callable[[range], Batch], batches: Sequence[range], jobs: int) -> Iterator[Batch]:
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
