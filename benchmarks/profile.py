"""Where the CPU goes in a work of Ergon's: one run of it under cProfile, summed by part.

    python -m benchmarks.profile [T1] [--count 3000] [--place FOLDER]

`--place` may be the address of a Redis server. Only the thread of the event loop is profiled; SQLite's is told as a
whole. What is built in, or made by `dataclasses`, counts to the part that calls it. A profile makes calls dearer than
they are: the shares say where to look, the benchmarks what it costs.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType
from typing import Any

from benchmarks.programs import ergon
from benchmarks.programs.common import FLOW_STEPS, Order

PARTS = (
    ("core: flow code, machine, decisions", ("/ergon_runtime/core/", "/benchmarks/")),
    (
        "definitions and codec",
        ("/ergon_runtime/definitions/", "/ergon_runtime/codec/", "/ergon_runtime/limits", "/json/"),
    ),
    ("store and its client", ("/ergon_runtime/stores/", "/redis/", "/aiosqlite/")),
    ("runner, step bodies, worker", ("/ergon_runtime/",)),
    ("asyncio", ("/asyncio/", "/selectors.py", "/contextlib.py")),
)
"""The first that is in a file's path says which part it is."""
REST = "the rest"
WAITING = "'select.epoll'"
"""In the name of what waits, and costs nothing."""


def shares(profile: cProfile.Profile) -> tuple[dict[str, float], int]:
    """Seconds by part, and how many calls there were."""
    seconds, calls = defaultdict[str, float](float), 0
    for code, spent, count in _spent(profile.getstats()):
        seconds[_part(code)] += spent
        calls += count
    return seconds, calls


def _spent(stats: list[Any]) -> Iterator[tuple[CodeType, float, int]]:
    """Whose it is, seconds and calls. What has no file of its own is found at its callers."""
    for entry in stats:
        if not _has_file(entry.code):
            continue
        yield entry.code, entry.inlinetime, entry.callcount
        for called in entry.calls or ():
            if not _has_file(called.code) and WAITING not in str(called.code):
                yield entry.code, called.inlinetime, called.callcount


def _has_file(code: CodeType | str) -> bool:
    return isinstance(code, CodeType) and code.co_filename != "<string>"


def _part(code: CodeType) -> str:
    return next((part for part, signs in PARTS if any(sign in code.co_filename for sign in signs)), REST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", default="T1", choices=["T1", "T2", "T3", "T4"])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--place")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked = Order(given.work, given.count, "ergon, profiled", given.place or folder, "")
        profile = cProfile.Profile()
        threads = time.process_time() - time.thread_time()
        profile.runcall(asyncio.run, ergon.main(asked))
        threads = time.process_time() - time.thread_time() - threads
    steps = given.count * (FLOW_STEPS if given.work in ("T1", "T3") else 1)
    seconds, calls = shares(profile)
    whole = sum(seconds.values())
    for part, spent in sorted(seconds.items(), key=lambda each: -each[1]):
        print(f"{spent / whole:6.1%}  {part}")
    print(f"{calls / steps:.0f} calls a step; other threads: {threads / steps * 1e6:.0f} µs of CPU a step")


if __name__ == "__main__":
    main()
