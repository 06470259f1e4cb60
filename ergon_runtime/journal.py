"""Journals as workers see them: loaded in pages, and how long they may grow.

What is damaged or missing is a Fault (`unreadable`), and so is a life with as many entries as the worker allows
(`too_long`). Views load no journal here, since they show what is left of a damaged one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ergon_runtime.core.entries import Recorded, unpack
from ergon_runtime.core.faults import Fault, FaultKind

log = logging.getLogger(__name__)

PAGE = 1000
"""Journal entries read at a time."""
LONG = 10_000
"""Entries of one life after which a worker warns of it."""
MAX_ENTRIES = 200_000
LEAST_CAP = 100
"""The lowest cap that a worker may have."""

Read: TypeAlias = Callable[[int, int], Awaitable[Sequence[bytes]]]
"""Reads entries of one flow: from this sequence on, at most so many."""


async def load_journal(read: Read, base: int, length: int) -> list[Recorded]:
    """The entries from `base` to `length`. Raises Fault for what cannot be read, and what `read` raises."""
    if not 0 <= base <= length:
        raise Fault(FaultKind.UNREADABLE, f"the journal is to be read from entry {base} of {length}")
    records: list[Recorded] = []
    position = base
    while position < length:
        rows = await read(position, min(PAGE, length - position))
        if not rows:
            raise Fault(FaultKind.UNREADABLE, f"the journal ends at entry {position} of {length}")
        try:
            records += [unpack(row, position + n) for n, row in enumerate(rows)]
        except ValueError as error:
            raise Fault(FaultKind.UNREADABLE, str(error)) from error
        position += len(rows)
    return records


class JournalCap:
    """How many entries a life may have in one worker. A life begins anew, with none, when the flow continues as new."""

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self.entries = entries
        self._warned: dict[str, int] = {}

    def reached(self, length: int) -> bool:
        """Whether a life of this length may start nothing more."""
        return length >= self.entries

    def watch(self, flow: str, base: int, length: int) -> None:
        """Warn of a life that has grown long, once. It begins at `base` in the flow's journal."""
        if length <= LONG or self._warned.get(flow) == base:
            return
        self._warned[flow] = base
        log.warning(
            "the journal of flow %s has %d entries, the cap is %d: each takeover replays them all; let the flow "
            "continue_as_new, or do the work in child flows",
            flow,
            length,
            self.entries,
            extra={"flow_id": flow},
        )

    def fault(self, length: int) -> Fault:
        """Why such a life is blocked."""
        return Fault(FaultKind.TOO_LONG, f"the journal has {length:,} entries, the cap is {self.entries:,}")
