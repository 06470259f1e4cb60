"""The audit of an open store, through its contract, in pages: one page of flows with their journals is in memory.

The store may be in use. What looks wrong is looked at again: it is told only if the flow stood still meanwhile. A flow
that never stands still is alive, and is left for the next time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TypeAlias

from ergon_runtime.audit.case import Case, Violation, make_case
from ergon_runtime.audit.families import left_behind
from ergon_runtime.audit.pieces import CHECKS, was_cancelled
from ergon_runtime.audit.post import Post, Suspicion
from ergon_runtime.core.flows import FlowQuery, FlowRow
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.records import FlowRecord, Kind, NameRecord, Numbered, Place

PAGE = 100
"""Pieces read at a time."""
ENTRIES = 1000
"""Journal entries read at a time."""
TOGETHER = 5000
"""Journal entries that are in memory at once, if no flow alone has more."""
LOOKS = 5
"""Looks at a flow before it is left alone."""

Tell: TypeAlias = Callable[[int, int], None]
"""Is told how many flows have been looked at, of how many."""


async def audit(
    store: Store, flows: Sequence[str] | None = None, tell: Tell = lambda done, total: None
) -> AsyncIterator[Violation]:
    """What is wrong with a store, or with these flows of it. It is only read. Raises StoreError."""
    if flows is not None:
        for n, flow in enumerate(flows):
            record = await find_record(store, flow)
            if record is not None:
                for violation in await _look(store, record, Post()):
                    yield violation
            tell(n + 1, len(flows))
        return
    post, done, total = Post(), 0, await store.count(Kind.FLOWS)
    after: Place | None = None
    while page := await store.records(Kind.FLOWS, after, PAGE):
        for part in _parts([piece for piece in page if isinstance(piece, FlowRecord)]):
            for found in await asyncio.gather(*(_look(store, record, post) for record in part)):
                for violation in found:
                    yield violation
        after, done = page[-1].place, done + len(page)
        tell(done, max(total, done))
    for violation in await _look_at_post(store, post):
        yield violation


async def damage(store: Store) -> list[Violation]:
    """What is damaged in how the store keeps its pieces. It is only read. Raises StoreError."""
    fix = "stop the workers, keep a copy, and restore a backup"
    return [Violation("R10", None, f"{text}; {fix}") for text in await store.verify()]


def _parts(records: Iterable[FlowRecord]) -> Iterable[list[FlowRecord]]:
    """Flows that are looked at together: their journals have to be in memory."""
    part, entries = list[FlowRecord](), 0
    for record in records:
        if part and entries + record.row.length > TOGETHER:
            yield part
            part, entries = [], 0
        part.append(record)
        entries += record.row.length
    if part:
        yield part


async def _look(store: Store, record: FlowRecord, post: Post) -> list[Violation]:
    """What is wrong with a flow, if it stands still."""
    case = await _read(store, record)
    found = _check(case)
    for _ in range(LOOKS):
        if not found:
            break
        again = await find_record(store, record.row.id)
        if again is None:
            return []  # it was pruned
        if again == case.record:
            break
        case = await _read(store, again)
        found = _check(case)
    else:
        found = []
    post.flow(case.record)
    post.journal(case)
    return found


def _check(case: Case) -> list[Violation]:
    return [violation for check in CHECKS for violation in check.violations(case)]


async def find_record(store: Store, flow: str) -> FlowRecord | None:
    """A flow with all that is its own. Raises StoreError."""
    row = await store.get(flow)
    if row is None:
        return None
    after: Place = row.created, flow[:-1]
    while page := await store.records(Kind.FLOWS, after, PAGE):
        for piece in page:
            if isinstance(piece, FlowRecord) and piece.row.id == flow:
                return piece
        after = page[-1].place
        if after > (row.created, flow):
            break
    return None


async def _read(store: Store, record: FlowRecord) -> Case:
    """A flow as it is now: the journal and the children are read after the flow."""
    row = record.row
    journal: list[bytes] = []
    while len(journal) <= row.length:
        wanted = min(ENTRIES, row.length + 1 - len(journal))
        entries = await store.journal(row.id, len(journal), wanted)
        journal += entries
        if len(entries) < wanted:
            break  # its end, or a gap, behind which it is not read on
    now = await store.now()
    children = {child.id: child for child in await _children(store, row.id)}
    case = make_case(record, journal, now, children)
    orphans = left_behind(case)
    if not orphans:
        return case
    found = [piece for child in orphans if (piece := await find_record(store, child)) is not None]
    return make_case(record, journal, now, children, frozenset(each.row.id for each in found if was_cancelled(each)))


async def _children(store: Store, flow: str) -> list[FlowRow]:
    found: list[FlowRow] = []
    before: Place | None = None
    while page := await store.list(FlowQuery(parent=flow, limit=PAGE, before=before)):
        found += page
        if len(page) < PAGE:
            break
        before = page[-1].created, page[-1].id
    return found


async def _look_at_post(store: Store, post: Post) -> list[Violation]:
    """What is wrong with the mail of the whole store."""
    after: Place | None = None
    while page := await store.records(Kind.KEPT, after, PAGE):
        for piece in page:
            if isinstance(piece, Numbered):
                post.kept(piece)
        after = page[-1].place
    await _tell_names(store, post)
    found = list(post.suspicions())
    return [each.violation for each in found if await _stands(store, each)] if found else []


async def _tell_names(store: Store, post: Post) -> None:
    after: Place | None = None
    while page := await store.records(Kind.NAMES, after, PAGE):
        for piece in page:
            if isinstance(piece, NameRecord):
                post.name(piece)
        after = page[-1].place


async def _stands(store: Store, suspicion: Suspicion) -> bool:
    """Whether it is still so, when the pieces that it is about are read by themselves, one after the other."""
    for _ in range(LOOKS):
        first = await _pieces(store, suspicion)
        post = Post()
        for piece in first:
            if isinstance(piece, FlowRecord):
                post.flow(piece)
                post.journal(await _read(store, piece))
            else:
                post.kept(piece)
        await _tell_names(store, post)
        if not any(each.violation == suspicion.violation for each in post.suspicions()):
            return False
        if await _pieces(store, suspicion) == first:
            return True
    return False


async def _pieces(store: Store, suspicion: Suspicion) -> list[FlowRecord | Numbered]:
    flows = [await find_record(store, flow) for flow in sorted(suspicion.flows)]
    kept = [await store.records(Kind.KEPT, (number - 1, ""), 1) for number in sorted(suspicion.kept)]
    messages = [piece for page in kept for piece in page if isinstance(piece, Numbered)]
    return [*(flow for flow in flows if flow is not None), *messages]
