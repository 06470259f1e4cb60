"""Ending a flow without its code: one that never ran, or is blocked (P3).

R4  A flow whose journal is shorter than its row says is being written, or is damaged. It ends without an entry of its
    own: whoever still writes the journal would write behind it.
"""

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
    records, whole = await _records(store, claim)
    entries = [record.entry for record in records]
    draft = cancel_before(max((entry.at for entry in entries), default=claim.now), claim.now, message)
    own = {entry.child for entry in entries if isinstance(entry, ChildCreated) and not entry.detached}
    sends = cancels((child for child in await live_children(store, row.id) if child in own), f"end of {row.id}")
    number = max((record.commit for record in records), default=claim.length) + 1
    return await commit(store, claim, replace(draft, sends=sends, entries=draft.entries if whole else ()), number)


async def _records(store: Store, claim: Claim) -> tuple[list[Recorded], bool]:
    """The journal of a claimed flow, but what cannot be read of it: that may be why the flow is blocked. And whether
    the store has all of it."""
    found: list[Recorded] = []
    start = max(0, claim.base)
    while start < claim.length:
        rows = await store.journal(claim.lease.flow, start, min(PAGE, claim.length - start))
        if not rows:
            return found, False
        for seq, row in enumerate(rows, start):
            with contextlib.suppress(ValueError):
                found.append(unpack(row, seq))
        start += len(rows)
    return found, True
