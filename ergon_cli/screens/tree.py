"""`--view tree`: a flow with its children, theirs, and so on."""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.screens.look import Line, Look
from ergon_runtime import Store
from ergon_runtime.view import FlowView


async def screen(store: Store, view: FlowView, look: Look) -> Iterator[Line]:
    """The tree below a flow."""
    return iter([(view.id, view.flow, view.status.value)])
