"""Runs simulations: `python -m tests.simulation.run SEEDS [--first N] [--store memory|sqlite] [--mutant NAME]`.

Prints each seed that breaks a promise, and statistics. A seed gives the same history on the same version of Python.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from random import Random

from ergon_runtime.core.flows import FlowQuery, Status
from tests.simulation.checks import check
from tests.simulation.simulation import Bad, Simulation


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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.run", description="Simulate histories.")
    parser.add_argument("seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--store", choices=["memory", "sqlite"], default="memory")
    parser.add_argument("--stop", type=int, default=20, help="stop after so many failing seeds")
    options = parser.parse_args(arguments)
    stats: Counter[str] = Counter()
    failed: list[int] = []
    begun = time.perf_counter()
    for seed in range(options.first, options.first + options.seeds):
        try:
            stats += tally(one(seed, options.store))
        except Bad as bad:
            failed.append(seed)
            print(f"seed {seed}: {str(bad)[:1200]}", flush=True)
        except Exception:
            failed.append(seed)
            print(f"seed {seed}: the rig itself failed", flush=True)
            traceback.print_exc()
        if len(failed) >= options.stop:
            break
    took = time.perf_counter() - begun
    print(
        f"Python {sys.version.split()[0]}, {options.store}: {options.seeds} seeds in {took:.0f} s, {len(failed)} failed"
    )
    print(", ".join(f"{what} {n}" for what, n in sorted(stats.items()) if n))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
