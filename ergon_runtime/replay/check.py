"""Checking that code and journal agree. No step runs, nothing is written, no worker is needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import TypeAlias

from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import FlowRow
from ergon_runtime.core.machine import FlowMachine
from ergon_runtime.definitions import FlowDefinition
from ergon_runtime.histories import FlowHistory, read_history
from ergon_runtime.replay.differences import Comparison, Finding, unfit_value
from ergon_runtime.replay.fixes import ways_out
from ergon_runtime.replay.rehearsal import Rehearsal
from ergon_runtime.replay.report import ComparedRow, ReplayReport, Verdict
from ergon_runtime.replay.rows import compared_rows, unfit_rows
from ergon_runtime.stores.contract import Store
from ergon_runtime.turns import in_callback

Find: TypeAlias = Callable[[str, str | None], FlowDefinition | None]
"""Gives the flow type of exactly this name and version, or None."""


async def replay_flow(store: Store, row: FlowRow, find: Find, *, check_result: bool = False) -> ReplayReport:
    """Replay one flow of a store with the code that `find` gives. Raises StoreError."""
    return await replay_history(await read_history(store, row), find, check_result=check_result)


async def replay_history(history: FlowHistory, find: Find, *, check_result: bool = False) -> ReplayReport:
    """Replay one flow with the code that `find` gives. `check_result`: a flow that ended must have the same result too,
    or an error of the same class and message."""
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
        await rehearsal.run(check_result=check_result)
    except Fault as fault:
        return await _explained(rehearsal, fault)
    finally:
        await in_callback(rehearsal.machine.evict)  # here, so that what its code prints is where the caller wants it
    return _report(row, rehearsal, None)


async def _explained(rehearsal: Rehearsal, fault: Fault) -> ReplayReport:
    """The report of a fault, with the difference that it comes from, if it is one."""
    report = _report(rehearsal.row, rehearsal, fault)
    if fault.kind is FaultKind.UNREADABLE:
        unfit = unfit_value(rehearsal, fault)
        if unfit is None:
            return report
        rehearsal.drop_last(unfit.key)  # it was delivered, and did not agree
        report = replace(report, delivered=tuple(rehearsal.delivered))
        return _with_finding(report, rehearsal.row, unfit, unfit_rows(rehearsal, unfit))
    if fault.kind is not FaultKind.DIVERGED:
        return report
    diagnosis = await rehearsal.diagnose(fault.key)
    try:
        finding = Comparison(rehearsal, fault, diagnosis).finding()
        if finding is None:
            return report
        return _with_finding(report, rehearsal.row, finding, compared_rows(rehearsal, diagnosis, finding))
    finally:
        await in_callback(partial(_evict_quietly, diagnosis))


def _with_finding(report: ReplayReport, row: FlowRow, finding: Finding, rows: tuple[ComparedRow, ...]) -> ReplayReport:
    return replace(
        report,
        message=finding.message,
        key=finding.key,
        recorded=finding.recorded,
        current=finding.current,
        where=finding.where,
        difference=finding.difference,
        lines=finding.lines,
        rows=rows,
        fixes=ways_out(finding, row),
    )


def _evict_quietly(machine: FlowMachine) -> None:
    with redirect_stdout(StringIO()):  # what the code prints was printed once
        machine.evict()


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
