"""Runs the state machine for longer: `python -m tests.stores.run_state_machine 2000 [--steps 50] [--store sqlite|redis]
[--seed N]`. Prints the seed; the same seed gives the same histories, until one fails, which is then made small."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stores.test_state_machine import OnRedis, OnSQLite, TwoStores

MACHINES: dict[str, type[TwoStores]] = {"sqlite": OnSQLite, "redis": OnRedis}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stores.run_state_machine", description="Compare stores.")
    parser.add_argument("histories", type=int)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--store", choices=list(MACHINES), default="sqlite")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    given = parser.parse_args(arguments)
    again = f"{parser.prog} {given.histories} --steps {given.steps} --store {given.store} --seed {given.seed}"
    chosen = settings(
        max_examples=given.histories,
        stateful_step_count=given.steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    print(f"seed {given.seed}", flush=True)
    begun = time.perf_counter()
    try:
        run_state_machine_as_test(seed(given.seed)(MACHINES[given.store]), settings=chosen)
    except BaseException:
        print(f"failed; repeat it with: {again}", flush=True)
        raise
    took = time.perf_counter() - begun
    print(f"{given.histories} histories of up to {given.steps} steps, memory beside {given.store}: clean, {took:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
