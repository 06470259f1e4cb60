"""Views of flows, read from a store. No user code runs, and a journal that cannot be read is still shown.

A view with steps reads the whole journal, in pages; one without reads at most the last few, for a retry's error. A wait
for a child is followed down to its deepest cause.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace

from ergon_runtime.core.entries import unpack
from ergon_runtime.core.flows import FlowQuery, FlowRow, Status, WorkerRow, queue_of
from ergon_runtime.stores.contract import Store
from ergon_runtime.view.model import FlowView, Why
from ergon_runtime.view.steps import Timeline
from ergon_runtime.view.stored import Note, note_of, outcome_of, value_of
from ergon_runtime.view.why import Scene, why_of

PAGE = 1000
"""Journal entries read at a time."""
FLOWS = 100
"""Flows read at a time."""
DEPTH = 20
"""Children followed down in search of a cause."""
TAIL = 50
"""Entries read for a retry's error, in a view without steps."""

_URGENCY = (Status.BLOCKED, Status.WAITING, Status.PENDING, Status.RUNNING)
"""Of several children waited for, the first of these is followed."""


async def view_flow(store: Store, row: FlowRow, *, now: int, workers: Sequence[WorkerRow]) -> FlowView:
    """Everything about a flow. `now` is the store's time, `workers` its live workers. Raises StoreError."""
    note, timeline = note_of(row.note), Timeline()
    for start in range(0, row.length, PAGE):
        rows = await store.journal(row.id, start, min(PAGE, row.length - start))
        _feed(timeline, rows, start)
    timeline.close(row, note, now)
    why = await _why(store, row, note, _scene(now, workers), timeline)
    view = _view(row, why, max(timeline.attempt, 1))
    return replace(view, children=tuple(dict.fromkeys(timeline.children)), steps=timeline.steps)


async def view_row(store: Store, row: FlowRow, *, now: int, workers: Sequence[WorkerRow]) -> FlowView:
    """A flow without its steps and children, for lists. Raises StoreError."""
    note = note_of(row.note)
    why = await _why(store, row, note, _scene(now, workers), None)
    between_lives = why is not None and why.kind == "retry" and why.key is None
    return _view(row, why, note.attempt + between_lives)


async def find_flows(
    store: Store,
    *,
    statuses: Iterable[Status] = (),
    types: Iterable[str] = (),
    part: str | None = None,
    limit: int = 100,
) -> list[FlowRow]:
    """Flows that match, newest first; `part` matches anywhere in the id. Raises StoreError."""
    return await store.list(FlowQuery(statuses=tuple(statuses), types=tuple(types), part=part, limit=limit))


async def every_flow(
    store: Store, *, statuses: Iterable[Status] = (), types: Iterable[str] = ()
) -> AsyncGenerator[FlowRow]:
    """Every flow that matches, read in pages: first those that are not over, then the others, each newest first. A flow
    that ends meanwhile comes at most once. Raises StoreError."""
    wanted, kinds, began = tuple(statuses) or tuple(Status), tuple(types), await store.now()
    live = tuple(status for status in wanted if not status.ended)
    for group in (live, tuple(status for status in wanted if status.ended)):
        query = FlowQuery(statuses=group, types=kinds, limit=FLOWS)
        while group and (rows := await store.list(query)):
            for row in rows:
                if not (live and row.status.ended and row.updated > began):  # else it may have come already
                    yield row
            query = replace(query, before=(rows[-1].created, rows[-1].id))


def _view(row: FlowRow, why: Why | None, attempt: int) -> FlowView:
    result, error = outcome_of(row.result) if row.status.ended else (None, None)
    return FlowView(
        id=row.id,
        flow=row.type,
        version=row.version,
        status=row.status,
        why=why,
        args=value_of(row.args),
        result=result,
        error=error,
        parent=row.parent,
        children=(),
        attempt=attempt,
        recoveries=row.recoveries,
        created_at=row.created,
        updated_at=row.updated,
        steps=(),
        worker=row.owner,
        entries=row.length - row.base,
        queue=queue_of(row.lane, row.type, row.version),
        lease_until=row.due if row.owner else None,
        started_at=row.started,
    )


def _feed(timeline: Timeline, rows: Iterable[bytes], start: int) -> None:
    for seq, packed in enumerate(rows, start):
        try:
            entry = unpack(packed, seq).entry
        except (ValueError, RecursionError) as problem:
            timeline.take_unreadable(seq, str(problem))
            continue
        timeline.take(entry)


def _scene(now: int, workers: Iterable[WorkerRow]) -> Scene:
    return Scene(now, frozenset(lane for worker in workers if worker.until > now for lane in worker.lanes))


async def _why(store: Store, row: FlowRow, note: Note, scene: Scene, timeline: Timeline | None) -> Why | None:
    why = why_of(row, note, scene)
    if why is None:
        return None
    if why.kind == "child":
        return await _follow(store, why, scene, DEPTH)
    if why.kind == "retry":
        timeline = timeline or await _tail(store, row, note)
        return replace(why, error=timeline.failure(why.key))
    return why


async def _tail(store: Store, row: FlowRow, note: Note) -> Timeline:
    """The end of a journal, where a retry's error is."""
    timeline = Timeline()
    timeline.life = note.life or 1
    start = max(0, row.length - TAIL)
    _feed(timeline, await store.journal(row.id, start, TAIL), start)
    return timeline


async def _follow(store: Store, why: Why, scene: Scene, depth: int) -> Why:
    """Of the children waited for, choose the one that needs most help; find out why it has not ended."""
    waits = [each for each in (why, *why.also) if each.kind == "child"]
    found: list[tuple[int, int, Why, FlowRow]] = []
    for place, wait in enumerate(waits):
        row = await store.get(wait.child or "")
        if row is not None and row.status in _URGENCY:
            found.append((_URGENCY.index(row.status), place, wait, row))
    if not found or depth == 0:
        return why
    _, _, chosen, row = min(found, key=lambda each: each[:2])
    note = note_of(row.note)
    cause = why_of(row, note, scene)
    if cause is not None and cause.kind == "child":
        cause = await _follow(store, cause, scene, depth - 1)
    elif cause is not None and cause.kind == "retry":
        cause = replace(cause, error=(await _tail(store, row, note)).failure(cause.key))
    also = tuple(each for each in (why, *why.also) if each is not chosen)
    also = tuple(replace(each, also=(), open=None) for each in also)
    cause = cause and replace(cause, flow_id=row.id)
    fix = cause.fix if cause else None
    return replace(chosen, also=also, open=why.open, cause=cause, fix=fix)
