"""What all runners of cases share: the flow types of a sample, the end of a flow and its children, and what is wrong
with it."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from pathlib import Path

from ergon_runtime import FlowDefinition, FlowQuery, FlowRow, Outcome, Status, Store, registry
from ergon_runtime.codec import describe_error
from ergon_runtime.core.entries import Entry, StepEnded, unpack
from ergon_runtime.replay import replay_flow
from tests.samples.cases import Case

ROOT = Path(__file__).resolve().parents[2]


def served(case: Case) -> list[FlowDefinition]:
    """What a worker serves that has loaded the case's module."""
    importlib.import_module(case.module)
    registry.resolve()
    return [definition for definition in registry.flows() if definition.module == case.module]


def sample_file(module: str) -> str:
    """Where a sample is, for `ergon -m`."""
    return str(ROOT / f"{module.replace('.', '/')}.py")


async def family(store: Store, flow_id: str) -> list[FlowRow]:
    """A flow and all its descendants."""
    row = await store.get(flow_id)
    assert row is not None, flow_id
    found = [row]
    for child in await store.list(FlowQuery(parent=flow_id, limit=10_000)):
        found += await family(store, child.id)
    return found


async def all_ended(store: Store, flow_id: str) -> list[FlowRow]:
    """Wait until a flow and all its descendants have ended, and give them. Fails if one is blocked."""
    while True:
        rows = await family(store, flow_id)
        for row in rows:
            assert row.status is not Status.BLOCKED, (row.id, row.note)
        if all(row.status.ended for row in rows):
            return rows
        await store.wait("", 1.0)


async def journal(store: Store, flow_id: str) -> list[Entry]:
    return [unpack(row, seq).entry for seq, row in enumerate(await store.journal(flow_id, 0, 100_000))]


async def check(case: Case, store: Store, rows: list[FlowRow]) -> None:
    """Fail unless these flows, the case's own first, came to the case's end, and a replay finds them all the same."""
    check_outcome(case, Outcome.unpack(rows[0].result or b""))
    if case.steps is not None:
        entries = [entry for row in rows for entry in await journal(store, row.id)]
        counts = Counter(entry.name for entry in entries if isinstance(entry, StepEnded))
        assert counts == case.steps
    for row in rows:
        report = await replay_flow(store, row, registry.get)
        assert report.verdict == "same", report


def check_outcome(case: Case, outcome: Outcome) -> None:
    error = describe_error(outcome.error) if outcome.error is not None else None
    assert (error.type if error else None) == case.error, error
    assert outcome.status is (Status.FAILED if case.error else Status.COMPLETED)
    if outcome.value is not None:
        check_result(case, json.loads(outcome.value))


def check_result(case: Case, result: object) -> None:
    assert case.result(result) if callable(case.result) else result == case.result, result
