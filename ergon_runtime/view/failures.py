"""Why a flow failed: the step whose error it ended with, and through failed children down to where that came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ergon_runtime.core.flows import WorkerRow
from ergon_runtime.stores.contract import Store
from ergon_runtime.view.model import ErrorInfo, FlowView, StepView
from ergon_runtime.view.read import view_flow
from ergon_runtime.view.steps import CANCELLED, LEFT, STOPPED

DEPTH = 20
"""Children followed down at most."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A flow with an error, and the step it comes from; None if it comes from the flow's own code."""

    flow: FlowView
    step: StepView | None


async def failures(store: Store, view: FlowView, *, now: int, workers: Sequence[WorkerRow]) -> tuple[Failure, ...]:
    """The flow's failure, that of the child it comes from, and so on, the deepest last. Raises StoreError."""
    found = [Failure(view, failing_step(view))]
    while (step := found[-1].step) is not None and step.child is not None and len(found) <= DEPTH:
        row = await store.get(step.child)
        if row is None:
            break
        child = await view_flow(store, row, now=now, workers=workers)
        found.append(Failure(child, failing_step(child)))
    return tuple(found)


def failing_step(view: FlowView) -> StepView | None:
    """The last step that failed with the flow's error or with what led to it."""
    met = {(error.type, error.message) for error in chain(view.error)}
    for step in reversed(view.steps):
        if step.kind == "marker" or step.error is None or step.error in (STOPPED, CANCELLED, LEFT):
            continue
        if (step.error.type, step.error.message) in met:
            return step
    return None


def chain(error: ErrorInfo | None) -> Iterator[ErrorInfo]:
    """An error, its cause, and so on."""
    while error is not None:
        yield error
        error = error.cause
