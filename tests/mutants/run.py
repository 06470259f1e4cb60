"""Breaks the protocol on purpose, one rule at a time, and sees that the named rig notices.

`python -m tests.mutants.run [NAME...] [--jobs 2] [--rigs]` prints a table, and exits with 1 if a mutant survives. NAME
may be the beginning of names. `--rigs` first sees that every rig passes when nothing is broken: else it would kill
anything. `--page` writes docs/mutants.md anew and runs nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import page
from tests.mutants.all import Known, everything
from tests.mutants.mutant import Copy, SourceMutant
from tests.mutants.rigs import Verdict, judge


class Copies:
    """Copies of the checkout, each used by one run at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        self._free = SimpleQueue[Copy]()
        for number in range(count):
            place = folder / str(number)
            place.mkdir()
            self._free.put(Copy(place))

    def try_one(self, rig: str, mutant: SourceMutant | None = None) -> tuple[Verdict, float]:
        """What a rig says of a mutant, and the seconds it took."""
        copy, begun = self._free.get(), time.perf_counter()
        try:
            with copy.broken(mutant) if mutant else nullcontext():
                verdict = judge(copy.root, rig)
        except ValueError as error:  # a patch that does not apply any more
            verdict = Verdict("broken", str(error))
        finally:
            self._free.put(copy)
        return verdict, time.perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description="Break rules, see who notices.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only mutants whose names begin so")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--rigs", action="store_true", help="first see that the rigs pass when nothing is broken")
    parser.add_argument("--page", action="store_true", help=f"only write {page.PAGE.name} anew")
    options = parser.parse_args(arguments)
    if options.page:
        page.PAGE.write_text(page.text())
        return 0
    chosen = [each for each in everything() if not options.names or each.name.startswith(tuple(options.names))]
    if not chosen:
        parser.error(f"no mutant's name begins with {' or '.join(options.names)}")
    with tempfile.TemporaryDirectory(prefix="ergon-mutants-") as folder:
        copies = Copies(Path(folder), options.jobs)
        if options.rigs and not _rigs_pass(copies, chosen, options.jobs):
            return 1
        return _kill(copies, chosen, options.jobs)


def _kill(copies: Copies, chosen: Sequence[Known], jobs: int) -> int:
    begun, left = time.perf_counter(), list[str]()
    with ThreadPoolExecutor(jobs) as pool:
        tries = pool.map(lambda each: copies.try_one(each.killer, each.source), chosen)
        for each, (verdict, took) in zip(chosen, tries, strict=True):
            print(f"{each.name:34} {each.rule:4} {verdict.kind:8} {took:5.1f} s  {verdict.said[:130]}", flush=True)
            if verdict.kind != "killed":
                left.append(f"{each.name} ({each.what}): repeat with python -m tests.mutants.run {each.name}")
    took = time.perf_counter() - begun
    print(f"Python {sys.version.split()[0]}: {len(chosen)} mutants, {len(left)} not killed, {took:.0f} s")
    print("\n".join(left))
    return bool(left)


def _rigs_pass(copies: Copies, chosen: Sequence[Known], jobs: int) -> bool:
    rigs = list(dict.fromkeys(each.rig for each in chosen))
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        for rig, (verdict, _) in zip(rigs, pool.map(copies.try_one, rigs), strict=True):
            if verdict.kind != "survived":
                failed += 1
                print(f"rig fails with nothing broken: {rig}: {verdict.said}", flush=True)
    print(f"{len(rigs)} rigs without a mutant, {failed} failed", flush=True)
    return not failed


if __name__ == "__main__":
    sys.exit(main())
