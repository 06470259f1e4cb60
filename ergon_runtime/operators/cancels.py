"""Ending a flow without its code: one that never ran, or is blocked (P3)."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from ergon_runtime.core.decide import cancel_before
from ergon_runtime.core.entries import ChildCreated, Recorded, unpack
from ergon_runtime.core.flows import CANCEL, Claim, FlowRow
from ergon_runtime.journal import PAGE
from ergon_runtime.operators.children import cancels, live_children
from ergon_runtime.operators.claims import commit, take
from ergon_runtime.stores.contract import Store


async def end_flow(store: Store, row: FlowRow) -> bool:
    """Claim a flow and end it as cancelled, with its children; False if somebody else was faster. Raises StoreError."""
    claim = await take(store, row.id, row.status)
    if claim is None:
        return False
    message = next((m for m in claim.mail if m.channel == CANCEL), None)
    records = await _records(store, claim)
    entries = [record.entry for record in records]
    draft = cancel_before(max((entry.at for entry in entries), default=claim.now), claim.now, message)
    own = {entry.child for entry in entries if isinstance(entry, ChildCreated) and not entry.detached}
    sends = cancels((child for child in await live_children(store, row.id) if child in own), f"end of {row.id}")
    number = max((record.commit for record in records), default=claim.length) + 1
    return await commit(store, claim, replace(draft, sends=sends), number)


async def _records(store: Store, claim: Claim) -> list[Recorded]:
    """The journal of a claimed flow, but what cannot be read of it: that may be why the flow is blocked."""
    found: list[Recorded] = []
    for start in range(max(0, claim.base), claim.length, PAGE):
        rows = await store.journal(claim.lease.flow, start, PAGE)
        if not rows:
            break  # there is less than the flow's row says
        for row in rows:
            with contextlib.suppress(ValueError):
                found.append(unpack(row, start))
    return found
