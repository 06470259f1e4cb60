"""The part of a store that copies and checks use, for the tests' own stores, which are never copied."""

from __future__ import annotations

from collections.abc import Sequence

from ergon_runtime.stores.contract import StoreIdentity
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record


class NeverCopied:
    async def count(self, kind: Kind) -> int:
        raise NotImplementedError

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        raise NotImplementedError

    async def restore(self, piece: Record | JournalPart) -> None:
        raise NotImplementedError

    async def begin_copy(self, source: StoreIdentity) -> None:
        raise NotImplementedError

    async def end_copy(self) -> None:
        raise NotImplementedError

    async def verify(self) -> list[str]:
        raise NotImplementedError
