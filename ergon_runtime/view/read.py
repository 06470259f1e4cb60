"""Views of flows, read from a store. No user code runs, and a journal that cannot be read is still shown.

A view with steps reads the whole journal, in pages; one without reads at most the last few, for a retry's error. A wait
for a child is followed down to its deepest cause.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace

from ergon_runtime.core.entries import unpack
from ergon_runtime.core.flows import FlowQuery, FlowRow, Status, WorkerRow, queue_of
from ergon_runtime.core.payloads import key_of
from ergon_runtime.journal import PAGE
from ergon_runtime.stores.contract import Store
from ergon_runtime.view.model import BLOCKED_KINDS, FlowView, Why, WhyKind
from ergon_runtime.view.running import report_on
from ergon_runtime.view.steps import Timeline
from ergon_runtime.view.stored import Note, note_of, outcome_of, value_of
from ergon_runtime.view.why import Scene, running_why, scene_of, why_of

FLOWS = 100
"""Flows read at a time."""
DEPTH = 50
"""Children followed down in search of a cause."""
TAIL = 50
"""Entries read for a retry's error, in a view without steps."""

_HELPLESS: tuple[WhyKind, ...] = ("no_worker", "lease_expired")
_BUSY: tuple[WhyKind, ...] = ("queued", "running")


async def view_flow(store: Store, row: FlowRow, *, now: int, workers: Sequence[WorkerRow]) -> FlowView:
    """Everything about a flow. `now` is the store's time, `workers` its live workers. Raises StoreError."""
    note, timeline = note_of(row.note), Timeline()
    for start in range(0, row.length, PAGE):
        rows = await store.journal(row.id, start, min(PAGE, row.length - start))
        if not rows:
            break  # there is less than the row says
        _feed(timeline, rows, start)
    scene = scene_of(now, workers)
    timeline.close(row, note, now, report_on(row, scene.live, now))
    why = await _why(store, row, note, scene, timeline)
    view = _view(row, why, max(timeline.attempt, 1))
    return replace(view, children=tuple(dict.fromkeys(timeline.children)), steps=timeline.steps)


async def view_row(store: Store, row: FlowRow, *, now: int, workers: Sequence[WorkerRow]) -> FlowView:
    """A flow without its steps and children, for lists. Raises StoreError."""
    note = note_of(row.note)
    why = await _why(store, row, note, scene_of(now, workers), None)
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
    result, error = outcome_of(row.result, row.status) if row.status.ended else (None, None)
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
        if key_of(packed) is not None:
            timeline.take_encrypted()
            continue
        try:
            entry = unpack(packed, seq).entry
        except (ValueError, RecursionError) as problem:
            timeline.take_unreadable(seq, str(problem))
            continue
        timeline.take(entry)


async def _why(store: Store, row: FlowRow, note: Note, scene: Scene, timeline: Timeline | None) -> Why | None:
    why = why_of(row, note, scene)
    match why:
        case Why(kind="child"):
            return await _follow(store, why, scene, DEPTH)
        case Why(kind="retry"):
            timeline = timeline or await _tail(store, row, note)
            return replace(why, error=timeline.failure(why.key))
        case Why(kind="running"):
            return _running(row, note, scene, why, timeline)
        case _:
            return why


def _running(row: FlowRow, note: Note, scene: Scene, why: Why, timeline: Timeline | None) -> Why:
    """What a running flow does. Without its journal, what was told of it counts only if nothing has happened since."""
    report = report_on(row, scene.live, scene.now)
    report = report if report is not None and report.current else None
    if timeline is None:
        timeline = Timeline()
        timeline.life = report.steps[0].life if report is not None and report.steps else note.life or 1
        timeline.close(row, note, scene.now, report)
    all_told = report is not None and report.complete
    return running_why(why, timeline.running, timeline.life, all_told=all_told)


async def _tail(store: Store, row: FlowRow, note: Note) -> Timeline:
    """The end of a journal, where a retry's error is."""
    timeline = Timeline()
    timeline.life = note.life or 1
    start = max(0, row.length - TAIL)
    _feed(timeline, await store.journal(row.id, start, TAIL), start)
    return timeline


def _urgency(why: Why) -> int:
    """Of several children waited for, that with the lowest is followed: blocked, without a worker, waiting, busy."""
    if why.kind in BLOCKED_KINDS:
        return 0
    if why.kind in _HELPLESS and why.fix is not None:
        return 1
    return 3 if why.kind in _BUSY or why.kind == "lease_expired" else 2


async def _follow(store: Store, why: Why, scene: Scene, depth: int) -> Why:
    """Of the children waited for, choose the one that needs most help; find out why it has not ended."""
    waits = [each for each in (why, *why.also) if each.kind == "child"]
    found: list[tuple[int, int, Why, FlowRow, Why]] = []
    for place, wait in enumerate(waits):
        row = await store.get(wait.child or "")
        own = why_of(row, note_of(row.note), scene) if row is not None else None
        if row is not None and own is not None:
            found.append((_urgency(own), place, wait, row, own))
    if not found or depth == 0:
        return why
    _, _, chosen, row, own = min(found, key=lambda each: each[:2])
    if own.kind == "child":
        cause: Why | None = await _follow(store, own, scene, depth - 1)
    else:
        cause = await _why(store, row, note_of(row.note), scene, None)
    also = tuple(each for each in (why, *why.also) if each is not chosen)
    also = tuple(replace(each, also=(), open=None) for each in also)
    cause = cause and replace(cause, flow_id=row.id)
    fix = cause.fix if cause else None
    return replace(chosen, also=also, open=why.open, cause=cause, fix=fix)
