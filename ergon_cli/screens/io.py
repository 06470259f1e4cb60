"""`--view io`: what went into each step and what came out, as JSON over several lines; markers that say nothing are
left out, and so are timers.

A pipe gets a row for each value: key, kind, status, `in` `out` or `error`, and the value in one line.
"""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.render import STATUS_STYLES
from ergon_cli.screens import blocks
from ergon_cli.screens.look import Line, Look, Part
from ergon_runtime.view import FlowView, StepView

INDENT = 2


def draw(view: FlowView, look: Look) -> Iterator[Line]:
    """Arguments and results of the steps, in their order."""
    shown = [step for step in view.steps if _has_values(step) and not (look.failed and step.status == "completed")]
    first, hidden, last = blocks.middle_cut(shown, look)
    for place, step in enumerate((*first, *last)):
        if hidden and place == len(first):
            yield blocks.left_out(hidden, "steps", look)
        if look.terminal:
            yield (Part(step.key, "bold"), f"  {step.kind}  ", Part(step.status, STATUS_STYLES[step.status]))
            yield from _values(step, look)
        else:
            for line in _values(step, look):
                yield step.key, step.kind, step.status, *line


def _has_values(step: StepView) -> bool:
    if step.kind == "marker":
        return step.args is not None or step.error is not None
    return step.kind != "timer"


def _values(step: StepView, look: Look) -> Iterator[Line]:
    if step.args is not None:
        yield from blocks.value_block("in", step.args, look, indent=INDENT if look.terminal else 0)
    if step.error is not None:
        text = blocks.said(step.error)
        yield from blocks.block("error", text, look, style="red", indent=INDENT if look.terminal else 0)
    elif step.status == "completed" and step.kind != "marker" and not (step.child and step.result is None):
        yield from blocks.value_block("out", step.result, look, indent=INDENT if look.terminal else 0)
