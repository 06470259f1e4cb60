"""`--view error`: what a flow failed with and what led to that, the step it comes from with its tries. Where that is a
child, the same of the child, down to where it began. At the end the lines of the user's code.

Of a flow that has not failed: the steps of its present life that did, or that are tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ergon_cli.render import STATUS_STYLES
from ergon_cli.screens import blocks
from ergon_cli.screens.look import Line, Look, Part
from ergon_cli.screens.steps import began
from ergon_cli.tries import try_lines, try_rows
from ergon_runtime import Store
from ergon_runtime.view import ErrorInfo, Failure, FlowView, StepView, chain, failures


async def screen(store: Store, view: FlowView, look: Look) -> Iterator[Line]:
    """Why a flow failed. Raises StoreError."""
    if view.error is None:
        return _handled(view, look)
    return draw(await failures(store, view, now=look.now, workers=await store.workers()), look)


def draw(found: Sequence[Failure], look: Look) -> Iterator[Line]:
    """The failures, from a flow down."""
    for place, failure in enumerate(found):
        if place:
            yield from _gap(look)
            yield from blocks.block("CHILD", f"{failure.flow.flow} {failure.flow.id}", look)
        if failure.flow.error is not None:
            yield from _errors(failure.flow.error, look, known=not place)
        if failure.step is not None:
            yield from _step(failure.step, failure.flow, look)
        else:
            yield from blocks.block("", "no step failed with it: it comes from the flow's own code", look)
    deepest = found[-1]
    if deepest.step is not None:
        yield from blocks.block("see:", f"ergon inspect {deepest.flow.id} {deepest.step.key}", look)
        yield from blocks.traceback_lines(deepest.step.error, f"in step {deepest.step.key}")
    yield from blocks.traceback_lines(deepest.flow.error, f"in flow {deepest.flow.id}")


def _handled(view: FlowView, look: Look) -> Iterator[Line]:
    """Of a flow without an error."""
    life = max((step.life for step in view.steps), default=1)
    failed = [step for step in view.steps if step.error is not None and step.life == life]
    if not failed:
        yield from blocks.block("ERROR", "none: the flow has not failed, nor has a step of its present life", look)
        return
    yield from blocks.block("ERROR", "the flow has not failed; of its steps these did, or may be tried again", look)
    for step in failed:
        yield from _gap(look)
        yield from _step(step, view, look)
        if step.error is not None:
            yield from _errors(step.error, look)
    yield from blocks.traceback_lines(failed[-1].error, f"in step {failed[-1].key}")


def _errors(error: ErrorInfo, look: Look, *, known: bool = False) -> Iterator[Line]:
    """An error and what led to it. `known`: the head of the screen has told its first line."""
    for place, each in enumerate(chain(error)):
        if known and not place and len(each.message.splitlines()) < 2:
            continue
        yield from blocks.block("by" if place else "ERROR", blocks.said(each), look, style="red")


def _step(step: StepView, view: FlowView, look: Look) -> Iterator[Line]:
    child = f"  -> {step.child}" if step.child else ""
    if not look.terminal:
        yield "STEP", f"{step.key}  {step.kind}  {step.status}{child}"
        yield from try_rows(step)
        return
    status = Part(step.status, STATUS_STYLES[step.status])
    yield Part(f"{'STEP':<{blocks.LABEL}}", "bold"), f"{step.key}  {step.kind}  ", status, child
    for line in try_lines(step, began(view), look):
        yield from blocks.block("", line, look)


def _gap(look: Look) -> Iterator[Line]:
    if look.terminal:
        yield ("",)
