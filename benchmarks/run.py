"""Runs the benchmarks: Ergon, its peers and bare loops, in turn, and compares.

    python -m benchmarks.run [WORK…] [--rounds 5] [--add] [--json FILE] [--plot FILE] [--write-docs] [--only NAME…]

Works are T1 to T10 (default: all but T8, which is long). Each program runs in its system's own environment, on a new
folder or an empty Redis server. With `--json` figures of other works that the file has stay in it, with `--add` those
of these works too. `--write-docs` writes docs/benchmarks/ and the tables of docs/benchmarks.md; `--rounds 0
--write-docs` does that from the figures kept there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import page, plot, tables
from benchmarks.environments import ROOT, Environment, NotInstalled, environment
from benchmarks.machine import machine
from benchmarks.report import Report
from benchmarks.results import Result, Setting, read_all
from benchmarks.works import WORKS, Entry, Place
from tests.redis_server import Server, executable, version

LIMIT = 1800
"""Seconds that one program may take."""


class Failed(Exception):
    """A program did not do its work; the message says what it said."""


class Programs:
    """Runs programs, and remembers which environments there are."""

    def __init__(self) -> None:
        self._environments: dict[str, Environment | NotInstalled] = {}
        self.missing: dict[str, str] = {}

    def run(self, work: str, entry: Entry) -> list[Result]:
        """One program's figures; none if its environment cannot be made, or it fails, which is then said."""
        try:
            where = self.environment(entry.environment)
            with place(entry.place) as given:
                variant = where.server or entry.variant
                order = (work, str(entry.count), "--name", entry.name, "--place", given, "--variant", variant)
                figures = call(where.python, f"benchmarks.programs.{entry.module}", *order)
        except (NotInstalled, Failed) as why:
            self.missing[f"{work} {entry.name}"] = str(why)
            print(f"{work} {entry.name}: {why}", file=sys.stderr)
            return []
        return [with_settings(each, **server(entry.place)) for each in figures]

    def environment(self, name: str) -> Environment:
        """One of the environments, made once. Raises NotInstalled."""
        if name not in self._environments:
            try:
                self._environments[name] = environment(name)
            except NotInstalled as why:
                self._environments[name] = why
        found = self._environments[name]
        if isinstance(found, NotInstalled):
            raise found
        return found


def call(python: Path, module: str, *arguments: str) -> list[Result]:
    """Run a program; its figures. Raises Failed."""
    try:
        done = subprocess.run(
            [str(python), "-m", module, *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        figures = read_all(done.stdout.splitlines())
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise Failed(str(error)[:300]) from error
    if done.returncode or not figures:
        said = done.stderr.strip().splitlines()
        raise Failed(f"exit {done.returncode}: {said[-1][:200] if said else 'it said nothing'}")
    return figures


@contextmanager
def place(kind: Place) -> Generator[str]:
    """A new folder, or the address of an empty Redis server; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="ergon-bench-") as folder:
        if kind == "folder":
            yield folder
            return
        server = Server(Path(folder), "--appendfsync", kind)
        server.start()
        try:
            yield server.url
        finally:
            server.kill()


def measure(works: Sequence[str], rounds: int, only: Sequence[str] = ()) -> tuple[list[Result], dict[str, str]]:
    """All figures of these works, and what is missing. The programs of a work take turns."""
    programs, figures = Programs(), list[Result]()
    for work in works:
        entries = [each for each in WORKS[work].entries if not only or each.name.startswith(tuple(only))]
        for number in range(1, rounds + 1):
            for entry in entries:
                found = programs.run(work, entry)
                figures += [with_settings(each, round=number) for each in found]
                print(f"{work} {number}/{rounds} {tables.brief(found)}", file=sys.stderr, flush=True)
        alone = WORKS[work].alone
        if alone is not None and rounds:
            try:
                figures += call(programs.environment("ergon").python, f"benchmarks.{alone}")
            except (NotInstalled, Failed) as why:
                programs.missing[work] = str(why)
    return figures, programs.missing


def with_settings(figure: Result, **settings: Setting) -> Result:
    """The figure, with more settings said of it."""
    return replace(figure, settings={**figure.settings, **settings})


def server(kind: Place) -> dict[str, Setting]:
    """The Redis server of such a place, if it has one."""
    if kind == "folder":
        return {}
    return {"redis": ".".join(map(str, version(executable()))), "appendfsync": kind}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Ergon, its peers, and bare loops.")
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"any of {' '.join(WORKS)} (default: all but T8)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each program runs (default: 5)")
    parser.add_argument("--add", action="store_true", help="add the rounds to those that the file has of these works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there, as SVG")
    parser.add_argument(
        "--write-docs", action="store_true", help="keep them in docs/benchmarks, write docs/benchmarks.md"
    )
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="only programs whose names begin so")
    options = parser.parse_args(arguments)
    works = options.works or [work for work in WORKS if not WORKS[work].long]
    if unknown := [work for work in works if work not in WORKS]:
        parser.error(f"no work {' '.join(unknown)}; there are {' '.join(WORKS)}")
    kept = options.json or (page.RESULTS if options.write_docs else None)
    report = Report.load(kept) if kept is not None and kept.exists() else Report({})
    if options.rounds:
        now = machine()
        figures, missing = measure(works, options.rounds, options.only)
        report.take(works, figures, missing, now, add=options.add)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            report.write(kept)
    tables.show(report)
    if options.plot:
        options.plot.write_text(plot.draw(report))
    if options.write_docs:
        page.write(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
