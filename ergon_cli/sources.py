"""What is replayed, one flow after the other: flows of the store by their ids, or all that match; files are another.

A source gives histories that are complete in themselves, so that all of them take one path through the replay. What
cannot be found comes as an error in its place, and stops nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ergon_cli.exits import CommandError
from ergon_cli.ids import resolve
from ergon_cli.recordings import Survey, read_recordings
from ergon_cli.selecting import Selection
from ergon_cli.under_seeds import reports_by_seed
from ergon_runtime import Status, Store
from ergon_runtime.histories import FlowHistory, read_history
from ergon_runtime.replay import ReplayReport
from ergon_runtime.stores.records import Kind

Stored: TypeAlias = FlowHistory | CommandError
"""A history, or why there is none."""
Found: TypeAlias = Stored | ReplayReport
"""Or what another process has found by replaying it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where histories come from. `many`: a line for each and a summary, not each at length. `live`: no flow that is not
    over is left out. `total`: how many there are, if that is known. `served`: a type that is not loaded is a fault even
    among many."""

    histories: AsyncIterator[Found]
    many: bool = False
    live: bool = False
    total: int | None = None
    served: bool = False


def flows_in_files(files: Sequence[str], held: Survey) -> Source:
    """The flows of files; each is there for a reason, so its type has to be."""
    found = reports_by_seed(files, held.seeds) if len(held.seeds) > 1 else _in_files(files)
    return Source(found, many=held.count != 1, total=held.count, served=True)


def flows_named(store: Store, parts: Sequence[str]) -> Source:
    """The flows with these ids, or unique parts of them."""
    return Source(histories_named(store, parts), total=len(parts))


async def flows_matching(store: Store, chosen: Selection) -> Source:
    """Every flow that is chosen, those that are not over first. Raises StoreError."""
    by_status = not chosen.statuses or {each for each in Status if not each.ended} <= set(chosen.statuses)
    whole = replace(chosen, statuses=(), types=()) == Selection(every=True)
    return Source(
        histories_matching(store, chosen), many=True, live=by_status and whole, total=await _total(store, chosen)
    )


async def _total(store: Store, chosen: Selection) -> int | None:
    """How many will come, if a store can tell without looking at each."""
    most = chosen.limit or chosen.sample
    if replace(chosen, limit=None, sample=None) != Selection(every=True):
        return None
    flows = await store.count(Kind.FLOWS)
    return flows if most is None else min(flows, most)


async def _in_files(files: Sequence[str]) -> AsyncIterator[Stored]:
    for found in read_recordings(files):
        yield found


async def histories_named(store: Store, parts: Sequence[str]) -> AsyncIterator[Stored]:
    """The flows with these ids, or unique parts of them."""
    for part in parts:
        try:
            row = await resolve(store, part)
        except CommandError as error:
            yield error
        else:
            yield await read_history(store, row)


async def histories_matching(store: Store, chosen: Selection) -> AsyncIterator[Stored]:
    """Every flow that is chosen, those that are not over first. Raises StoreError."""
    async for row in chosen.flows(store):
        history = await read_history(store, row)
        if len(history.entries) < row.length - row.base and await store.get(row.id) is None:
            continue  # it was pruned meanwhile
        yield history
