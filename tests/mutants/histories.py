"""Mutants of the simulation: they are planted in memory, and its histories have to notice them.

`python -m tests.mutants.histories NAME SEEDS` exits with 1 as soon as a history notices: the mutant is killed. One
that fails without the mutant too kills nothing.
"""

from __future__ import annotations

import sys

from tests.simulation.mutants import MUTANTS, noticed
from tests.simulation.run import one

SEEDS = 400
"""Histories that a mutant has to survive to be a hole."""


def killer(name: str) -> str:
    """The command of the rig that has to kill this mutant."""
    return f"tests.mutants.histories {name} {SEEDS}"


def main() -> int:
    name, seeds = sys.argv[1], int(sys.argv[2])
    for seed, said in noticed(MUTANTS[name], range(seeds)):
        if passes(seed):
            print(f"seed {seed}: {said[:300]}".replace("\n", " "))
            return 1
    return 0


def passes(seed: int) -> bool:
    """Whether a history is good as it stands."""
    try:
        one(seed)
    except Exception:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
