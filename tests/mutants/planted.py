"""Runs tests with a mutant of the simulation planted, for rules that histories meet too seldom.

`python -m tests.mutants.planted NAME TEST...` exits as pytest does.
"""

from __future__ import annotations

import sys

import pytest

from tests.simulation.mutants import MUTANTS


def main() -> int:
    name, *tests = sys.argv[1:]
    with MUTANTS[name].grow():
        return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--tb=short", "--timeout=60", *tests]))


if __name__ == "__main__":
    sys.exit(main())
