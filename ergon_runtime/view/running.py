"""Which steps of a flow run now, as the worker that holds its lease told with its last sign of life.

What was told before the flow's lease began, or by another worker, is not used. A commit may have come since: then the
journal knows better of the steps it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ergon_runtime.core.doing import RunningStep, read_doing
from ergon_runtime.core.flows import FlowRow, Status, WorkerRow


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker told of a flow: the steps that ran. `current` says whether nothing was committed to the flow since,
    `complete` whether no others ran."""

    worker: str
    steps: tuple[RunningStep, ...]
    current: bool
    complete: bool


def report_on(row: FlowRow, live: Mapping[str, WorkerRow], now: int) -> Report | None:
    """What is told of a running flow by its worker, if that is one of the `live` ones, by name."""
    worker = live.get(row.owner or "")
    if row.status is not Status.RUNNING or row.due is None or row.due <= now or worker is None:
        return None
    doing = read_doing(worker.doing)
    renewed = row.due - (worker.until - worker.seen)  # a worker's silence and its leases are of one length
    current = worker.seen >= renewed
    if doing is None or not (current or renewed == row.updated):
        return None  # it tells nothing, or has claimed the flow since: no commit renewed the lease
    return Report(worker.worker, doing.steps.get(row.id, ()), current, doing.complete)
