"""The children of a flow whose life a person ends, or of which a fork is made.

K3  A child that has completed is remembered, though its parent never heard of it.
K4  One that has not ended is cancelled with the life that made it, unless it is detached.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ergon_runtime.core.entries import ChildCreated, ChildEnded, Outcome, Recorded
from ergon_runtime.core.flows import CANCEL, FlowQuery, FlowRow, Message, Send, Status
from ergon_runtime.stores.contract import Store

CHILDREN = 1000
"""Children of a flow that are read at a time."""


def unheard(records: Sequence[Recorded], *, detached: bool) -> list[ChildCreated]:
    """The children, detached or not, of which the creation is recorded and not the end; the latest of each key."""
    ended = {record.entry.child for record in records if isinstance(record.entry, ChildEnded)}
    made = {entry.key: entry for record in records if isinstance(entry := record.entry, ChildCreated)}
    return [each for each in made.values() if each.detached is detached and each.child not in ended]


async def completed(store: Store, made: Iterable[ChildCreated], at: int) -> list[ChildEnded]:
    """The ends of those that have completed, as entries none of which is before `at`. Raises StoreError."""
    found: list[ChildEnded] = []
    for each in made:
        child = await store.get(each.child)
        if child is not None and child.status is Status.COMPLETED:
            at = max(at, child.updated)
            found.append(_end(each, child, at))
    return found


def _end(made: ChildCreated, child: FlowRow, at: int) -> ChildEnded:
    outcome = Outcome.unpack(child.result or b"")
    return ChildEnded(
        made.key, at, made.digest, f"result {child.id}", child.id, outcome.status, outcome.value, outcome.error
    )


async def live_children(store: Store, flow_id: str) -> list[str]:
    """The ids of a flow's children that have not ended. Raises StoreError."""
    found: list[str] = []
    before: tuple[int, str] | None = None
    while page := await store.list(FlowQuery(parent=flow_id, limit=CHILDREN, before=before)):
        found += [row.id for row in page if not row.status.ended]
        if len(page) < CHILDREN:
            break
        before = page[-1].created, page[-1].id
    return found


def cancels(children: Iterable[str], message_id: str) -> tuple[Send, ...]:
    """What cancels these flows."""
    return tuple(Send(child, Message(message_id, CANCEL, b"null")) for child in children)
