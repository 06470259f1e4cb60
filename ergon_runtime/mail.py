"""Mail to flows, by their ids or by a signal's name alone: signals as JSON text, and cancels. It knows no definitions.

P3  A cancel is mail, except for a flow that never started or is blocked: that one is claimed and ended without its
    code.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import replace

from ergon_runtime.core.decide import cancel_before
from ergon_runtime.core.entries import ChildCreated, Entry, unpack
from ergon_runtime.core.flows import CANCEL, Claim, ClaimRequest, FlowQuery, FlowRow, Message, Send, Status
from ergon_runtime.errors import DefinitionError, FlowNotFound, LeaseLost
from ergon_runtime.stores.contract import Store

OPERATOR_LEASE = 10_000
"""Milliseconds for which an operator holds a flow."""
PAGE = 1000
"""Journal entries read at a time."""


async def send_signal_text(
    store: Store, name: str, text: str, *, flow: str | None, message_id: str | None = None
) -> bool:
    """Send a signal whose payload is a JSON text; to whoever waits for it if `flow` is None. Equal `message_id`s count
    once. False if the flow does not exist or has ended. Raises DefinitionError for the name, StoreError."""
    if not name or len(name) > 200:
        raise DefinitionError("a signal's name has 1 to 200 characters")
    return await store.send(
        Send(flow, Message(f"{name} {message_id or secrets.token_hex(8)}", f"signal:{name}", text.encode()))
    )


async def cancel_flow(store: Store, flow_id: str) -> bool:
    """Cancel a flow; False if it has ended. Raises FlowNotFound, StoreError."""
    while True:
        row = await store.get(flow_id)
        if row is None:
            raise FlowNotFound(flow_id)
        if row.status.ended:
            return False
        never_ran = row.length == 0 and row.status is not Status.RUNNING
        if row.status is Status.BLOCKED or never_ran:
            if await _cancel_as_operator(store, row):
                return True
        elif await store.send(Send(flow_id, Message(f"cancel {secrets.token_hex(4)}", CANCEL, b"null"))):
            return True


async def _cancel_as_operator(store: Store, row: FlowRow) -> bool:
    """Claim a flow by id and end it; False if somebody else was faster."""
    request = ClaimRequest("operator", OPERATOR_LEASE, 1, ids=(row.id,), operator=True, statuses=(row.status,))
    claims = (await store.claim(request)).claims
    if not claims:
        await asyncio.sleep(0.02)
        return False
    claim: Claim = claims[0]
    message = next((m for m in claim.mail if m.channel == CANCEL), None)
    entries = await _entries(store, claim)
    draft = cancel_before(max((entry.at for entry in entries), default=claim.now), claim.now, message)
    own = {entry.child for entry in entries if isinstance(entry, ChildCreated) and not entry.detached}
    children = [
        Send(child, Message(f"end of {row.id}", CANCEL, b"null"))
        for child in await live_children(store, row.id)
        if child in own
    ]
    number = claim.length + 1  # above every commit's number: each commit that has one holds an entry
    try:
        await store.commit(
            replace(draft, sends=tuple(children)).commit(
                secrets.token_hex(8),
                claim.lease,
                predecessor=claim.head,
                start=claim.length,
                number=number,
                lease_length=OPERATOR_LEASE,
            )
        )
    except LeaseLost:
        return False
    return True


async def _entries(store: Store, claim: Claim) -> list[Entry]:
    """The journal of a claimed flow, but what cannot be read of it: that may be why the flow is blocked."""
    found: list[Entry] = []
    for start in range(claim.base, claim.length, PAGE):
        for row in await store.journal(claim.lease.flow, start, PAGE):
            with contextlib.suppress(ValueError):
                found.append(unpack(row, start).entry)
    return found


async def live_children(store: Store, flow_id: str) -> list[str]:
    """The ids of a flow's children that have not ended."""
    rows = await store.list(FlowQuery(parent=flow_id, limit=10_000))
    return [row.id for row in rows if not row.status.ended]
