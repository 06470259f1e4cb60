"""Shrinks a history that fails: `python -m tests.simulation.shrink SEED [--store NAME] [--depth N] …`.

Tries smaller options one after the other (fewer flows, shallower programs, some kinds of trouble left out, an earlier
calm) and keeps each with which the history still fails, until none is left. Prints the command that repeats what is
left; its options belong into regressions.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.simulation.books import BOOKS
from tests.simulation.options import TROUBLE, Options, add_arguments, changed, options_of
from tests.simulation.run import history
from tests.simulation.traces import Bad

CALMS = (2.0, 4.0, 6.0, 10.0, 20.0)


def complaint(options: Options) -> str | None:
    """What is wrong with a history; None if nothing is."""
    try:
        history(options).books.close()
    except Bad as bad:
        return str(bad)
    except Exception as error:
        return f"the rig itself failed: {error!r}"
    return None


def smaller(options: Options) -> Iterator[Options]:
    """Options with a little less in them, the largest cuts first."""
    if options.chaos:
        yield replace(options, chaos=0.0)
    if options.store != "memory":
        yield replace(options, store="memory")
    if options.poison:
        yield replace(options, poison=0)
    for name in ("jumps", "prunes", "pipelined", "partial"):
        if getattr(options, name):
            yield replace(options, **{name: False})
    for name in ("flows", "depth"):
        for less in range(1 if name == "flows" else 0, getattr(options, name)):
            yield replace(options, **{name: less})
    for codes in range(1, options.codes):
        yield replace(options, codes=codes)
    for kind in TROUBLE:
        if kind not in options.without:
            yield replace(options, without=(*options.without, kind))
    for calm in CALMS:
        if not options.calm or calm < options.calm:
            yield replace(options, calm=calm)


def shrunk(options: Options, fails: Callable[[Options], bool]) -> Options:
    """The smallest options found with which it still fails."""
    while (less := next((each for each in smaller(options) if fails(each)), None)) is not None:
        options = less
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.shrink", description="Shrink a failing history.")
    parser.add_argument("seed", type=int)
    parser.add_argument("--store", choices=[*BOOKS], default="memory")
    add_arguments(parser)
    said = parser.parse_args(arguments)
    options = changed(options_of(said.seed, said.store), said)
    if complaint(options) is None:
        print(f"seed {said.seed} does not fail")
        return 1
    left = shrunk(options, lambda each: complaint(each) is not None)
    print(f"{complaint(left)}\n{left.said()}\n{left!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
