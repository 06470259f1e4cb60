"""Mutants: rules switched off in the real code, one at a time, and how many histories notice.

`python -m tests.simulation.mutants SEEDS [NAME…] [--quick]` prints a table; `--quick`: each mutant until it is noticed.
A mutant that no history notices is a hole in the simulation, or a rule that nobody needs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from tests.simulation import mutants_claims as mutants_claims  # fills the table
from tests.simulation import mutants_core as mutants_core  # fills the table
from tests.simulation import mutants_dag as mutants_dag  # fills the table
from tests.simulation import mutants_heartbeats as mutants_heartbeats  # fills the table
from tests.simulation import mutants_people as mutants_people  # fills the table
from tests.simulation import mutants_runtime as mutants_runtime  # fills the table
from tests.simulation.mutant import MUTANTS, Mutant
from tests.simulation.run import one


def noticed(each: Mutant, seeds: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The seeds whose histories notice a mutant, and what they say."""
    for seed in seeds:
        with each.grow():
            try:
                one(seed)
            except Exception as error:  # a mutant may break the simulation itself
                said = f"{error}" or type(error).__name__
            else:
                continue
        yield seed, said


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description="Switch rules off.")
    parser.add_argument("seeds", type=int)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(MUTANTS)}")
    parser.add_argument("--quick", action="store_true", help="try each until it is noticed")
    options = parser.parse_args(arguments)
    missed = 0
    for name, each in MUTANTS.items():
        if options.names and name not in options.names:
            continue
        begun = time.perf_counter()
        found = list(islice(noticed(each, range(options.seeds)), 1 if options.quick else None))
        missed += not found
        first = f"first {found[0][0]}: {found[0][1][:100]}" if found else ""
        took = time.perf_counter() - begun
        print(f"{name:22} {each.what:58} {len(found):4} of {options.seeds} {took:5.0f} s  {first}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
