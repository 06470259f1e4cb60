"""Step keys from the command line: whole, as they are shown, or any part of one that no other step of the flow has.

`#1` and `~1`, which keys never show, may be written all the same: the first of its name, the first life.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.ids import resolve
from ergon_runtime import Store
from ergon_runtime.view import FlowView, StepView

SHOWN = 5


def find_step(view: FlowView, text: str) -> StepView:
    """The step of a flow with this key, or whose key alone has this part. Raises CommandError: NOT_FOUND; USAGE if
    several fit."""
    step = exactly(view, text)
    if step is not None:
        return step
    found = [step for step in view.steps if text and text in step.key]
    if len(found) == 1:
        return found[0]
    if found:
        said = f"{text!r} fits {len(found)} steps of {view.id}: {_some([step.key for step in found])}"
        raise CommandError(ExitCode.USAGE, said, "give more of the key")
    raise CommandError(ExitCode.NOT_FOUND, f"flow {view.id} has no step {text!r}", nearest(view, text))


def exactly(view: FlowView, text: str) -> StepView | None:
    """The step with this very key; of a key that a step and a marker have, the first."""
    meant = {text, text.replace("#1~", "~").removesuffix("#1"), text.removesuffix("~1"), text.removesuffix("#1~1")}
    return next((step for step in view.steps if step.key in meant), None)


def nearest(view: FlowView, text: str) -> str:
    """The keys that may have been meant."""
    keys = list(dict.fromkeys(step.key for step in view.steps))
    if not keys:
        return "it has no steps yet"
    close = difflib.get_close_matches(text, keys, n=SHOWN, cutoff=0.5)
    return f"did you mean: {_some(close)}" if close else f"its steps: {_some(keys)}"


async def means_step(store: Store, view: FlowView, text: str) -> bool:
    """Whether the word after a flow's id names a step of it, rather than another flow. A step's exact key does, then a
    flow's id or part of it, then a part of a step's key."""
    if exactly(view, text) is not None:
        return True
    try:
        await resolve(store, text)
    except CommandError as error:
        return error.code is ExitCode.NOT_FOUND and any(text and text in step.key for step in view.steps)
    return False


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")
