"""EncryptedStore: another store, whose payloads are encrypted on the way in and decrypted on the way out.

It decides one thing: whether arguments are equal (R1) where stored bytes cannot tell, as the flow was created with
another key, or before the store was encrypted. What cannot be read comes out as what `core/payloads.py` knows.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ergon_runtime.core.flows import (
    Beat,
    ClaimRequest,
    Claims,
    Commit,
    CommitReply,
    FlowQuery,
    FlowRow,
    Lease,
    Message,
    NewFlow,
    Send,
    WorkerRow,
)
from ergon_runtime.errors import Conflict
from ergon_runtime.stores.contract import Store, StoreIdentity
from ergon_runtime.stores.encrypted.cipher import Cipher
from ergon_runtime.stores.encrypted.keys import Keys
from ergon_runtime.stores.encrypted.payloads import Payloads
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record

T = TypeVar("T")


class EncryptedStore:
    """A store of any kind, with keys. `store_id` is that store's."""

    def __init__(self, inner: Store, keys: Keys, store_id: str) -> None:
        self._inner, self._keys, self._id = inner, keys, store_id
        self._payloads = Payloads(Cipher(keys, store_id))

    async def open(self) -> None:
        """Open the store itself."""
        await self._inner.open()

    async def close(self) -> None:
        """Close the store itself."""
        await self._inner.close()

    def clone(self) -> EncryptedStore:
        """Another handle, with a cipher of its own."""
        return EncryptedStore(self._inner.clone(), self._keys, self._id)

    async def identity(self) -> StoreIdentity:
        return replace(await self._inner.identity(), keys=tuple(self._keys.secrets))

    async def create(self, flow: NewFlow) -> bool:
        return await self._creating((flow,), lambda flows: self._inner.create(*flows))

    async def claim(self, request: ClaimRequest) -> Claims:
        found = await self._inner.claim(request)
        return replace(found, claims=tuple(map(self._payloads.claim, found.claims))) if found.claims else found

    async def commit(self, commit: Commit) -> CommitReply:
        encrypted = self._payloads.commit(commit, ())
        reply = await self._creating(
            commit.creates, lambda flows: self._inner.commit(replace(encrypted, creates=flows) if flows else encrypted)
        )
        return replace(reply, mail=self._payloads.mail(commit.lease.flow, reply.mail)) if reply.mail else reply

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        found = await self._inner.extend(leases, length, beat)
        return {flow: self._payloads.mail(flow, mail) for flow, mail in found.items()}

    async def send(self, send: Send) -> bool:
        return await self._inner.send(self._payloads.send(send))

    async def get(self, flow_id: str) -> FlowRow | None:
        row = await self._inner.get(flow_id)
        return None if row is None else self._payloads.row(row)

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        return self._payloads.journal(flow_id, start, await self._inner.journal(flow_id, start, limit))

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        return [self._payloads.row(row) for row in await self._inner.list(query)]

    async def workers(self) -> builtins.list[WorkerRow]:
        return await self._inner.workers()

    async def now(self) -> int:
        return await self._inner.now()

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        return await self._inner.wait(worker, timeout)

    async def prune(self, before: int) -> int:
        return await self._inner.prune(before)

    async def count(self, kind: Kind) -> int:
        return await self._inner.count(kind)

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        return [self._payloads.piece_from(piece) for piece in await self._inner.records(kind, after, limit)]

    async def restore(self, piece: Record | JournalPart) -> None:
        await self._inner.restore(self._payloads.piece_to(piece))

    async def begin_copy(self, source: StoreIdentity) -> None:
        await self._inner.begin_copy(source)

    async def end_copy(self) -> None:
        await self._inner.end_copy()

    async def verify(self) -> builtins.list[str]:
        return await self._inner.verify()

    async def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        return await self._inner.add_key_check(key, check, mixed=mixed)

    async def _creating(self, flows: tuple[NewFlow, ...], send: Callable[[tuple[NewFlow, ...]], Awaitable[T]]) -> T:
        """Send flows to create. One that is there with equal arguments, encrypted otherwise, is sent as it is there.
        Raises Conflict."""
        encrypted = tuple(map(self._payloads.new_flow, flows))
        while True:
            try:
                return await send(encrypted)
            except Conflict as conflict:
                there = await self._inner.get(conflict.flow_id)
                if there is None:
                    raise
                args = self._payloads.args(there)
                before, same = encrypted, {flow.id for flow in flows if flow.args == args} & {there.id}
                encrypted = tuple(replace(flow, args=there.args) if flow.id in same else flow for flow in encrypted)
                if encrypted == before:  # they are not equal, or more than they is not
                    raise
