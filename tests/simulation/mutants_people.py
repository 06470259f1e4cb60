"""Mutants of what people do to flows: cuts, adopted and forked lives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ergon_runtime.core import history
from ergon_runtime.core.entries import Adopted, Forked
from ergon_runtime.core.flows import Status
from ergon_runtime.operators import forks, retries
from tests.simulation.mutant import mutant


@mutant("M1 a cut forgets nothing", (history.History, "_cut"))
def cut_nothing(outer: Any) -> Any:
    return lambda self, end: None


@mutant("M1 a cut forgets one entry too few", (history.History, "_cut"))
def cut_late(outer: Any) -> Any:
    return lambda self, end: outer(self, end + 1)


@mutant("M1 a fork takes over what the other has begun", (history.History, "_begin_life"))
def begun_elsewhere(outer: Any) -> Any:
    def begin(self: Any, marker: Any) -> None:
        if isinstance(marker, Forked):
            marker = Adopted("", marker.at, marker.life, 1, marker.epoch)
        outer(self, marker)

    return begin


@mutant("T5 a cut may forget that an at-most-once step was run", (retries, "_check_once"))
def once_more(outer: Any) -> Any:
    return lambda *args: None


@mutant("P3 a fork may be run before its journal is whole", (forks, "_new_row"))
def half_fork(outer: Any) -> Any:
    return lambda *args: replace(outer(*args), status=Status.PENDING, due=0)
