"""Loading a journal: in pages, each entry unpacked. What is damaged or missing is a Fault (`unreadable`).

Workers and replays read a flow here; views do not, since they show what is left of a damaged journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from ergon_runtime.core.entries import Recorded, unpack
from ergon_runtime.core.faults import Fault, FaultKind

PAGE = 1000
"""Journal entries read at a time."""

Read: TypeAlias = Callable[[int, int], Awaitable[Sequence[bytes]]]
"""Reads entries of one flow: from this sequence on, at most so many."""


async def load_journal(read: Read, base: int, length: int) -> list[Recorded]:
    """The entries from `base` to `length`. Raises Fault for what cannot be read, and what `read` raises."""
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
