"""Mutants of heartbeats: what is told of steps, and who gets it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ergon_runtime.core.heartbeats import Heartbeats
from tests.simulation.mutant import constant, mutant

constant(
    "beats_unread", "T6 heartbeats are not read from the note", Heartbeats, "restore", lambda self, note, life: None
)
constant("beats_kept", "T6 the heartbeat of a step stays when that ends", Heartbeats, "drop", lambda self, key: None)


@mutant("T6 a failed try's commit leaves its heartbeat out", (Heartbeats, "changed"))
def beats_late(outer: Any) -> Any:
    def changed(self: Any, over: Collection[str]) -> bool:
        return False

    return changed


@mutant("T6 a heartbeat goes to a step with other arguments", (Heartbeats, "last"))
def beats_mixed(outer: Any) -> Any:
    def last(self: Any, key: str, digest: str) -> Any:
        found = list(self._last.values())
        return found[-1] if found else None

    return last
