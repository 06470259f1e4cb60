"""What `ergon inspect` draws: one file per view, and the table of views.

A view is a coroutine function that is given the store, the flow and how to look, and answers lines. Most need nothing
but the flow: a plain `draw(view, look)`, made a view by `of_flow`. head.py draws what stands above every view.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import StrEnum
from typing import TypeAlias

from ergon_cli.screens import error, events, head, io, steps, timeline, tree
from ergon_cli.screens.look import Line, Look
from ergon_runtime import Store
from ergon_runtime.view import FlowView

Screen: TypeAlias = Callable[[Store, FlowView, Look], Awaitable[Iterator[Line]]]


def of_flow(draw: Callable[[FlowView, Look], Iterator[Line]]) -> Screen:
    """A view that needs nothing but the flow."""

    async def screen(store: Store, view: FlowView, look: Look) -> Iterator[Line]:
        return draw(view, look)

    return screen


class ViewName(StrEnum):
    """What `--view` takes."""

    TIMELINE = "timeline"
    STEPS = "steps"
    TREE = "tree"
    EVENTS = "events"
    IO = "io"
    ERROR = "error"


VIEWS: Mapping[ViewName, Screen] = {
    ViewName.TIMELINE: of_flow(timeline.draw),
    ViewName.STEPS: of_flow(steps.draw),
    ViewName.TREE: tree.screen,
    ViewName.EVENTS: events.screen,
    ViewName.IO: of_flow(io.draw),
    ViewName.ERROR: error.screen,
}
"""Every view by its name."""
OF_STEPS = (ViewName.TIMELINE, ViewName.STEPS)
"""Views below which the traceback stands that a flow failed with."""


async def page(store: Store, view: FlowView, name: ViewName, look: Look) -> list[Line]:
    """All that is shown of a flow. Raises StoreError."""
    below = head.traceback(view) if name in OF_STEPS else ()
    return [*head.draw(view, look), ("",), *await VIEWS[name](store, view, look), *below]
