"""What is replayed, one flow after the other: flows of the store by their ids, or all that match; files are another.

A source gives histories that are complete in themselves, so that all of them take one path through the replay. What
cannot be found comes as an error in its place, and stops nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ergon_cli.exits import CommandError
from ergon_cli.ids import resolve
from ergon_runtime import Status, Store
from ergon_runtime.histories import FlowHistory, read_history
from ergon_runtime.view import every_flow

Found: TypeAlias = FlowHistory | CommandError


@dataclass(frozen=True, slots=True)
class Source:
    """Where histories come from. `many`: a line for each and a summary, not each at length. `live`: no flow that is not
    over is left out. `total`: how many there are, if that is known."""

    histories: AsyncIterator[Found]
    many: bool = False
    live: bool = False
    total: int | None = None


def flows_named(store: Store, parts: Sequence[str]) -> Source:
    """The flows with these ids, or unique parts of them."""
    return Source(_named(store, parts), total=len(parts))


def flows_matching(store: Store, statuses: Sequence[Status], types: Sequence[str]) -> Source:
    """Every flow that matches, those that are not over first."""
    live = not statuses or {each for each in Status if not each.ended} <= set(statuses)
    return Source(_matching(store, statuses, types), many=True, live=live)


async def _named(store: Store, parts: Sequence[str]) -> AsyncIterator[Found]:
    for part in parts:
        try:
            row = await resolve(store, part)
        except CommandError as error:
            yield error
        else:
            yield await read_history(store, row)


async def _matching(store: Store, statuses: Sequence[Status], types: Sequence[str]) -> AsyncIterator[Found]:
    async for row in every_flow(store, statuses=statuses, types=types):
        history = await read_history(store, row)
        if len(history.entries) < row.length - row.base and await store.get(row.id) is None:
            continue  # it was pruned meanwhile
        yield history
