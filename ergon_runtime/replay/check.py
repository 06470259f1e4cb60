"""Checking that code and journal agree. No step runs, nothing is written, no worker is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TypeAlias

from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowRow
from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.histories import FlowHistory, read_history
from ergon_runtime.replay.rehearsal import Rehearsal
from ergon_runtime.replay.report import ReplayReport, Verdict
from ergon_runtime.stores.contract import Store

Find: TypeAlias = Callable[[str, str | None], FlowDefinition | None]
"""Gives the flow type of exactly this name and version, or None."""


async def replay_flow(store: Store, row: FlowRow, find: Find) -> ReplayReport:
    """Replay one flow of a store with the code that `find` gives. Raises StoreError."""
    return await replay_history(await read_history(store, row), find)


async def replay_history(history: FlowHistory, find: Find) -> ReplayReport:
    """Replay one flow with the code that `find` gives."""
    row = history.row
    definition = find(row.type, row.version)
    if definition is None:
        version = f" version {row.version}" if row.version else ""
        message = f"no flow {row.type}{version} in the modules loaded"
        return ReplayReport(row.id, row.type, row.version, row.status, "unserved", message=message)
    try:
        records = await history.records()
    except Fault as fault:
        return _report(row, None, fault)
    rehearsal = Rehearsal(row, definition, records)
    try:
        await rehearsal.run()
    except Fault as fault:
        return _report(row, rehearsal, fault)
    finally:
        asyncio.get_running_loop().call_soon(rehearsal.machine.evict, context=Context())
    return _report(row, rehearsal, None)


def _report(row: FlowRow, rehearsal: Rehearsal | None, fault: Fault | None) -> ReplayReport:
    verdict: Verdict = "same"
    if fault is not None:
        verdict = "unreadable" if fault.kind is FaultKind.UNREADABLE else "diverged"
    return ReplayReport(
        row.id,
        row.type,
        row.version,
        row.status,
        verdict,
        delivered=tuple(rehearsal.delivered) if rehearsal else (),
        total=rehearsal.total if rehearsal else 0,
        kind=fault.kind if fault else None,
        message=fault.message if fault else None,
        key=fault.key if fault else None,
        recorded=fault.recorded if fault else None,
        current=fault.current if fault else (),
        where=fault.where if fault else None,
        patches=tuple(rehearsal.patches()) if rehearsal else (),
    )
