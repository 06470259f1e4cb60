"""A flow with its journal, complete in itself. A replay needs no more, whether it is of a store or a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ergon_runtime.core.entries import Recorded
from ergon_runtime.core.flows import FlowRow
from ergon_runtime.journal import PAGE, load_journal
from ergon_runtime.stores.contract import Store


@dataclass(frozen=True, slots=True)
class FlowHistory:
    """A flow as it stood, and its journal from `row.base` on. `hash_seed` is the PYTHONHASHSEED of its store (L8)."""

    row: FlowRow
    entries: tuple[bytes, ...]
    hash_seed: str

    async def records(self) -> list[Recorded]:
        """The journal, read. Raises Fault for what cannot be."""
        return await load_journal(self._read, self.row.base, self.row.length)

    async def _read(self, start: int, limit: int) -> Sequence[bytes]:
        return self.entries[start - self.row.base : start - self.row.base + limit]


async def read_history(store: Store, row: FlowRow) -> FlowHistory:
    """A flow's history. Raises StoreError."""
    found: list[bytes] = []
    while row.base >= 0 and (left := row.length - row.base - len(found)) > 0:
        page = await store.journal(row.id, row.length - left, min(left, PAGE))
        if not page:
            break  # who reads it will say so
        found += page
    return FlowHistory(row, tuple(found), (await store.identity()).hash_seed)
