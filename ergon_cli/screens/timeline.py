"""The default view: each step with a bar on a time axis that all of them share."""

from __future__ import annotations

from collections.abc import Iterator

from ergon_cli.screens import steps
from ergon_cli.screens.look import Line, Look
from ergon_runtime.view import FlowView


def draw(view: FlowView, look: Look) -> Iterator[Line]:
    """The steps with their bars; for a pipe the table of steps."""
    yield from steps.draw(view, look)
