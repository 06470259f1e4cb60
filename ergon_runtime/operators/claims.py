"""How a person works on a flow: it is claimed by its id, changed by one commit, and released (P3).

Nothing is read between the plan and the claim that the plan did not read: a flow whose head or status has changed since
is given back as it was.
"""

from __future__ import annotations

import secrets

from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.flows import Claim, ClaimRequest, Commit, Status
from ergon_runtime.errors import LeaseLost
from ergon_runtime.stores.contract import Store

OPERATOR_LEASE = 10_000
"""Milliseconds for which an operator holds a flow."""


async def take(store: Store, flow_id: str, status: Status) -> Claim | None:
    """Claim a flow that has this status; None if somebody else was faster. Raises StoreError."""
    request = ClaimRequest("operator", OPERATOR_LEASE, 1, ids=(flow_id,), operator=True, statuses=(status,))
    claims = (await store.claim(request)).claims
    return claims[0] if claims else None


async def commit(store: Store, claim: Claim, draft: Draft, number: int) -> bool:
    """Commit to a claimed flow; False if the claim is lost. `number` is that of this commit among those that hold
    entries. Raises StoreError."""
    made = draft.commit(
        secrets.token_hex(8),
        claim.lease,
        predecessor=claim.head,
        start=claim.length,
        number=number,
        lease_length=OPERATOR_LEASE,
    )
    try:
        await store.commit(made)
    except LeaseLost:
        return False
    return True


async def give_back(store: Store, claim: Claim) -> None:
    """Leave a claimed flow as it was. Raises StoreError."""
    row = await store.get(claim.lease.flow)
    if row is None or row.owner is None:
        return
    unchanged = Commit(
        id=secrets.token_hex(8),
        lease=claim.lease,
        predecessor=claim.head,
        start=claim.length,
        lease_length=OPERATOR_LEASE,
        status=claim.status,
        due=claim.due,
        release=True,
        result=row.result,
    )
    try:
        await store.commit(unchanged)
    except LeaseLost:
        return
