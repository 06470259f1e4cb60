"""Rigs of SQLite's world: disks that are full or fail, bytes that change, processes that die, write and read at once.

    python -m tests.stores.sqlite_rig full 200 --kind pages        no room (pages space files disk broken)
    python -m tests.stores.sqlite_rig calls 1                      a fault at every system call (2: at every second)
    python -m tests.stores.sqlite_rig flips 2000 --seed 1          2,000 changed bytes
    python -m tests.stores.sqlite_rig deaths 1                     a SIGKILL at every system call
    python -m tests.stores.sqlite_rig migrations 1                 a SIGKILL at every statement of each migration
    python -m tests.stores.sqlite_rig wal 600                      600 seconds of 10 slow readers and 8 writers
    python -m tests.stores.sqlite_rig stress 600 --python PATH     600 seconds of 8 writers, checkpoint after checkpoint

They print what was done; a violation is an AssertionError that says how to repeat it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.stores.sqlite.broken_calls import broken_calls
from tests.stores.sqlite.deaths import deaths, dying_migrations
from tests.stores.sqlite.flips import flips
from tests.stores.sqlite.load import run_load
from tests.stores.sqlite.outages import ROOM, outages


def run(options: argparse.Namespace) -> str:
    count: int = options.count
    match options.rig:
        case "full":
            runs, refused = outages(options.kind, count)
            return f"{runs} budgets of {options.kind}, {refused} of them too small: nothing failed, all went on"
        case "calls":
            lives, faults = broken_calls(count, options.first or 1)
            return f"{lives} lives, {faults} of them with a fault: typed errors, nothing acknowledged was lost"
        case "deaths":
            return f"{deaths(count, options.first or 1)} deaths: nothing acknowledged was lost"
        case "migrations":
            return f"{dying_migrations(count)} migrations that died: one schema or the other, never between"
        case "wal":
            return str(run_load(count, processes=options.processes, readers=10))
        case "stress":
            return str(run_load(count, processes=options.processes, wish=0, pythons=[sys.executable, *options.python]))
        case _:
            found = flips(count, options.seed, options.first)
            return f"{count} changed bytes: " + ", ".join(f"{name} {number}" for name, number in sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rig", choices=["full", "calls", "flips", "deaths", "migrations", "wal", "stress"])
    parser.add_argument("count", type=int)
    parser.add_argument("--kind", choices=list(ROOM), default="pages", help="how the disk is full")
    parser.add_argument("--python", action="append", default=[], help="every other writer is of this Python")
    parser.add_argument("--processes", type=int, default=8, help="that write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="begin with this one")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of workers that find no room
    began = time.monotonic()
    print(f"seed {options.seed}" if options.rig == "flips" else options.rig, flush=True)
    print(f"{run(options)}; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
