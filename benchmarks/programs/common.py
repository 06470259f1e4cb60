"""What the programs share: their command line, and a watch. Imports only the standard library, and nothing of ours."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.results import Setting, emit

FLOW_STEPS = 5
"""Steps of one small flow."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a program is to do: `count` of a work, in `place` (a new folder, or a server's address), under a name that
    the figures get. `variant` chooses among a system's settings."""

    work: str
    count: int
    name: str
    place: str
    variant: str


def order() -> Order:
    """The order on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("count", type=int)
    parser.add_argument("--name", required=True)
    parser.add_argument("--place", required=True, help="a new folder, or the address of a server")
    parser.add_argument("--variant", default="")
    given = parser.parse_args()
    return Order(given.work, given.count, given.name, given.place, given.variant)


class Watch:
    """Seconds, and seconds of this process's CPU, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Both, up to now."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def emit_rate(
    asked: Order, suffix: str, what: str, count: int, spent: tuple[float, float], **settings: Setting
) -> None:
    """Print how many there were in a second, and what one cost this process."""
    seconds, cpu = spent
    own: dict[str, Setting] = {"count": count, "seconds": round(seconds, 4), "cpu_us_each": round(cpu / count * 1e6, 1)}
    emit(asked.work, asked.name + suffix, round(count / seconds, 1), f"{what}/s", **own, **settings)


def versions(*packages: str) -> dict[str, Setting]:
    """What is installed here, by package."""
    return {package: version(package) for package in packages}
