"""The machines of waiting flows that a worker keeps in memory, so that a wake-up replays nothing.

C2  They are bounded by count and by size; the one used longest ago is dropped first. A machine that is dropped is
    evicted (L6), in a callback and a context of its own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from contextvars import Context
from dataclasses import dataclass

from ergon_runtime.core.machine import FlowMachine

COUNT = 1000
"""Machines that a worker keeps."""
SIZE = 64 * 1024 * 1024
"""Bytes of memory that they take, about."""
OF_MACHINE, OF_ENTRY = 32 * 1024, 1024
"""Bytes that a machine, and an entry of its journal, take besides what is stored."""


def size_of(rows: Iterable[bytes]) -> int:
    """Bytes of memory that stored entries take in a machine, about."""
    return sum(len(row) + OF_ENTRY for row in rows)


@dataclass(slots=True)
class Resident:
    """A machine kept in memory while its flow waits, and what the store knew of it. `size` is that of its entries."""

    machine: FlowMachine
    head: str | None
    length: int
    commits: int
    size: int


class Residents:
    """Those of one worker, by flow. It belongs to one event loop."""

    def __init__(self, count: int = COUNT, size: int = SIZE) -> None:
        self._count, self._most, self._size = count, size, 0
        self._kept: OrderedDict[str, Resident] = OrderedDict()

    @property
    def flows(self) -> list[str]:
        """Of which flows there are machines, the one used longest ago first."""
        return list(self._kept)

    def take(self, flow: str) -> Resident | None:
        """A flow's machine, which is kept no longer."""
        found = self._kept.pop(flow, None)
        if found is not None:
            self._size -= found.size + OF_MACHINE
        return found

    def keep(self, flow: str, resident: Resident) -> None:
        """Keep a machine, and drop others if there is no room."""
        self.drop(flow)
        self._kept[flow] = resident
        self._size += resident.size + OF_MACHINE
        while len(self._kept) > self._count or self._size > self._most:
            self.drop(next(iter(self._kept)))

    def drop(self, flow: str) -> None:
        """End a flow's machine, if there is one."""
        if (found := self.take(flow)) is not None:
            evict(found.machine)

    def clear(self) -> None:
        """End all of them."""
        for flow in self.flows:
            self.drop(flow)


def evict(machine: FlowMachine) -> None:
    """End a machine, in a callback: never inside a task."""
    asyncio.get_running_loop().call_soon(machine.evict, context=Context())
