"""Runs scenarios with a fault at every call:

    python -m tests.faults.run [SCENARIO...] [--store memory|sqlite|redis] [--mode MODE...] [--stride N] [--pairs]

prints per scenario how many calls it makes, how many runs there were, and what was wrong. `--at K` (twice for a pair)
repeats one run, and a failure prints that command. Runs are the same every time; nothing is random.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.faults import children as children  # fills the table
from tests.faults import lives as lives  # fills the table
from tests.faults import people as people  # fills the table
from tests.faults import steps as steps  # fills the table
from tests.faults import waits as waits  # fills the table
from tests.faults.checks import compare
from tests.faults.handle import Mode
from tests.faults.scenario import SCENARIOS, Scenario
from tests.faults.world import World

MODES = tuple(Mode)


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that broke a promise, and how."""

    scenario: str
    store: str
    faults: Mapping[int, Mode]
    calls: tuple[str, ...]
    problem: str

    def __str__(self) -> str:
        what = ", ".join(f"call {k} ({self.calls[k - 1]}) {mode}" for k, mode in self.faults.items())
        return f"{self.scenario} on {self.store}, {what or 'no fault'}: {self.problem}\n  repeat: {self.command}"

    @property
    def command(self) -> str:
        words = ["python", "-m", "tests.faults.run", self.scenario, "--store", self.store]
        for k, mode in self.faults.items():
            words += ["--at", str(k), "--mode", mode]
        return shlex.join(words)


def plain_run(scenario: Scenario, store: str) -> World:
    """A run without faults."""
    return World(scenario, store).run()


def one(plain: World, faults: Mapping[int, Mode]) -> Failure | None:
    """One run beside the one without faults."""
    world = World(plain.scenario, plain.store, faults).run()
    problems = world.problems or compare(world, plain)
    if not problems:
        return None
    return Failure(plain.scenario.name, plain.store, faults, tuple(world.calls), problems[0])


def singles(plain: World, stride: int = 1, first: int = 0, modes: Sequence[Mode] = MODES) -> Iterator[dict[int, Mode]]:
    """Every `stride`th of all single faults, from the one numbered `first`."""
    every = ({k: mode} for k in range(1, len(plain.calls) + 1) for mode in modes)
    return (fault for n, fault in enumerate(every) if n % stride == first % stride)


def pairs(plain: World, stride: int = 1, first: int = 0, modes: Sequence[Mode] = MODES) -> Iterator[dict[int, Mode]]:
    """Two faults: the second is at a call that may only be made because of the first."""
    every = (
        {k: mode, later: other}
        for k in range(1, len(plain.calls) + 1)
        for later in range(k + 1, len(plain.calls) + 1 + len(plain.calls) // 4)
        for mode in modes
        for other in modes
    )
    return (fault for n, fault in enumerate(every) if n % stride == first % stride)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    runs = failures = 0
    begun = time.perf_counter()
    for name in options.scenario or SCENARIOS:
        scenario = SCENARIOS[name]
        if options.pairs and not scenario.delicate and not options.scenario:
            continue
        began = time.perf_counter()
        plain = plain_run(scenario, options.store)
        found = [Failure(name, options.store, {}, tuple(plain.calls), problem) for problem in plain.problems]
        done = 0
        for faults in () if found else _chosen(options, plain):
            done += 1
            if (failure := one(plain, faults)) is not None:
                found.append(failure)
                if len(found) >= options.stop:
                    break
        took = time.perf_counter() - began
        print(f"{name:22} {len(plain.calls):4} calls {done:5} runs {len(found):3} violations {took:6.1f} s", flush=True)
        for failure in found[: options.show]:
            print(f"  {failure}", flush=True)
        runs, failures = runs + done, failures + len(found)
    took = time.perf_counter() - begun
    python = sys.version.split()[0]
    print(f"Python {python}, {options.store}: {runs} runs in {took:.0f} s, {failures} violations")
    return bool(failures)


def _chosen(options: argparse.Namespace, plain: World) -> Iterator[dict[int, Mode]]:
    modes = [Mode(mode) for mode in options.mode or MODES]
    if options.at:
        return iter([dict(zip(options.at, modes, strict=True))])
    return (pairs if options.pairs else singles)(plain, options.stride, options.first, modes)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description="A fault at every call.")
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(SCENARIOS)}")
    parser.add_argument("--store", choices=["memory", "sqlite", "redis"], default="memory")
    parser.add_argument("--mode", action="append", choices=list(Mode), help="only these; with --at one for each")
    parser.add_argument("--at", action="append", type=int, metavar="K", help="only a fault at this call, from 1")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="only every Nth of all faults")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="with --stride: begin with this one")
    parser.add_argument("--pairs", action="store_true", help="two faults at once, in the delicate scenarios")
    parser.add_argument("--stop", type=int, default=50, help="go to the next scenario after so many violations")
    parser.add_argument("--show", type=int, default=3, help="so many violations of each scenario")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
