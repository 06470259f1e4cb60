"""Waiting for a flow that runs here: until it is over, or nothing can wake it any more.

A flow rests when it is blocked, or waits with nothing due. If all that live of it and its children rest, it would be
waited for in vain. Only a signal could still come, and into memory:// nobody can send one.
"""

from __future__ import annotations

import contextlib

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.render import note
from ergon_cli.why import why_line
from ergon_runtime import FlowHandle, FlowQuery, FlowRow, Outcome, Status, Store
from ergon_runtime.view import Why, view_row

LOOK = 0.5
"""Seconds between two looks at a flow that has not ended."""
LIVE = tuple(status for status in Status if not status.ended)
MANY = 10_000


async def until_over(store: Store, handle: FlowHandle[object], *, kept: bool, tell: bool) -> Outcome:
    """How the flow ends. `kept`: the store outlives this process, so others may send signals; `tell` of waits for them.

    Raises CommandError: FLOW_FAILED when nothing can wake it any more; StoreError.
    """
    told: set[tuple[str | None, str | None]] = set()
    before: dict[str, str | None] = {}
    while True:
        with contextlib.suppress(TimeoutError):
            return await handle.outcome(timeout=LOOK)
        # Rows are read one by one, so what rests has to be the same twice.
        heads = await _resting(store, handle.id, kept=kept)
        if heads and heads == before:
            raise await _in_vain(store, handle.id, kept=kept)
        before = heads
        why, now = await _why(store, handle.id)
        if kept and tell and why is not None and why.deepest.kind == "signal":
            signal = (why.deepest.flow_id, why.deepest.name)
            if signal not in told:
                note(f"flow {handle.id} {why_line(why, now)}: {why.fix}")
            told.add(signal)


async def _resting(store: Store, flow_id: str, *, kept: bool) -> dict[str, str | None]:
    """The heads of a flow and of all that live below it, if all of them rest; else nothing."""
    first = await store.get(flow_id)
    rows, heads = [first] if first is not None else [], dict[str, str | None]()
    while rows:
        row = rows.pop()
        if not _rests(row, kept=kept):
            return {}
        heads[row.id] = row.head
        rows += await store.list(FlowQuery(parent=row.id, statuses=LIVE, limit=MANY))
    return heads


def _rests(row: FlowRow, *, kept: bool) -> bool:
    if row.status is Status.WAITING and row.due is None:
        return not (kept and any(wait.channel.startswith("signal:") for wait in row.waits))
    return row.status is Status.BLOCKED


async def _why(store: Store, flow_id: str) -> tuple[Why | None, int]:
    now, row = await store.now(), await store.get(flow_id)
    if row is None:
        return None, now
    return (await view_row(store, row, now=now, workers=await store.workers())).why, now


async def _in_vain(store: Store, flow_id: str, *, kept: bool) -> CommandError:
    why, now = await _why(store, flow_id)
    said = f"flow {flow_id} {why_line(why, now)}" if why is not None else f"flow {flow_id} does not go on"
    hint = (
        f"see: ergon inspect {flow_id}"
        if kept
        else "memory:// cannot be reached: name a file, --store sqlite:///ergon.db"
    )
    return CommandError(ExitCode.FLOW_FAILED, said, hint)
