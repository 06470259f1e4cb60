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
SELDOM = {
    "unseen": "tests/core/test_machine.py::test_e6_marker_not_asked_for_is_divergence_when_nothing_recorded_is_left",
    "no_other_code": "tests/runtime/test_blocked.py::"
    "test_p4_diverged_flow_is_left_by_its_code_and_resumed_by_code_that_fits",
}
"""Mutants that only some thousand histories notice, and the test that does at once."""


def killer(name: str) -> str:
    """The command of the rig that has to kill this mutant."""
    if name in SELDOM:
        return f"tests.mutants.planted {name} {SELDOM[name]}"
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
