"""The teeth: rules switched off in the real code, one at a time, and which scenario notices first.

`python -m tests.faults.teeth [NAME...]` prints a table. The mutants are the simulation's; rules that no failing
call can break are for the simulation alone to watch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence

from tests.faults.run import one, plain_run, singles
from tests.faults.scenario import SCENARIOS, Scenario
from tests.simulation.mutant import Mutant
from tests.simulation.mutants import MUTANTS


def notice(mutant: Mutant, scenarios: Iterable[Scenario], stride: int = 1) -> str | None:
    """What the first run says that notices a mutant; None if none does."""
    with mutant.grow():
        plain = [plain_run(scenario, "memory") for scenario in scenarios]
        for world in plain:
            if world.problems:
                return f"{world.scenario.name}, without faults: {world.problems[0]}"
        for world in plain:
            for faults in singles(world, stride):
                if (failure := one(world, faults)) is not None:
                    return str(failure).split("\n")[0]
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.teeth", description="Switch rules off.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(MUTANTS)}")
    parser.add_argument("--stride", type=int, default=1, help="only every Nth of all faults")
    options = parser.parse_args(arguments)
    missed = 0
    for name in options.names or MUTANTS:
        begun = time.perf_counter()
        said = notice(MUTANTS[name], SCENARIOS.values(), options.stride)
        missed += said is None
        took = time.perf_counter() - begun
        print(f"{name:22} {MUTANTS[name].what:58} {took:4.0f} s  {(said or 'NOT NOTICED')[:150]}", flush=True)
    print(f"{len(options.names or MUTANTS)} mutants, {missed} not noticed")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
