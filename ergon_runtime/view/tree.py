"""A flow with its children, theirs, and so on, read from a store level by level.

Large families are folded by flow type and status, unless everything is asked for: of those that failed or are open the
first are shown, before all others the one that the parent's WHY leads to; the rest is counted, and not looked below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ergon_runtime.core.flows import FlowQuery, FlowRow, Status, WorkerRow
from ergon_runtime.stores.contract import Store
from ergon_runtime.view.model import FlowView, Why
from ergon_runtime.view.read import view_row

PAGE = 1000
"""Children read at a time."""
AT_ONCE = 100
"""Flows whose children are asked for together."""
DEPTH = 50
"""Generations that are read."""
LARGE = 20
"""Children of one flow beyond which equal ones are folded."""
SHOWN = 5
"""Of equal ones that are not completed, so many are shown."""
FLOWS = 1000
"""Flows shown in all; below them nothing more is read."""

URGENCY = (
    Status.FAILED,
    Status.BLOCKED,
    Status.WAITING,
    Status.RUNNING,
    Status.PENDING,
    Status.CANCELLED,
    Status.COMPLETED,
)
"""Which children of a large family come first."""


@dataclass(frozen=True, slots=True)
class Siblings:
    """Children of one flow that are equal but for their times. Lengths in milliseconds, up to now for open ones."""

    flow: str
    status: Status
    count: int
    shortest: int
    longest: int


@dataclass(frozen=True, slots=True)
class FlowTree:
    """A flow, without its steps, and what is below it. `more`: there is something below that was not read."""

    flow: FlowView
    children: tuple[FlowTree, ...] = ()
    folded: tuple[Siblings, ...] = ()
    more: bool = False


@dataclass(slots=True)
class _Node:
    view: FlowView
    children: list[_Node] = field(default_factory=list["_Node"])
    folded: tuple[Siblings, ...] = ()
    more: bool = False

    def frozen(self) -> FlowTree:
        return FlowTree(self.view, tuple(child.frozen() for child in self.children), self.folded, self.more)


async def read_tree(
    store: Store,
    row: FlowRow,
    *,
    now: int,
    workers: Sequence[WorkerRow],
    full: bool = False,
    statuses: Iterable[Status] = (),
) -> FlowTree:
    """The tree below a flow, of `statuses` only if there are any. `full` folds nothing, and ends with DEPTH alone.
    `now` is the store's time. Raises StoreError."""
    root = _Node(await view_row(store, row, now=now, workers=workers))
    level, shown, wanted = [root], 1, tuple(statuses)
    for _ in range(DEPTH):
        following: list[_Node] = []
        for start in range(0, len(level), AT_ONCE):
            nodes = level[start : start + AT_ONCE]
            families = await asyncio.gather(*(_children(store, node.view.id, wanted) for node in nodes))
            for node, rows in zip(nodes, families, strict=True):
                if not full and shown >= FLOWS:
                    node.more = bool(rows)
                    continue
                kept, node.folded = (rows, ()) if full else _fold(rows, _led_to(node.view.why), now)
                node.children = [_Node(await view_row(store, each, now=now, workers=workers)) for each in kept]
                following += node.children
                shown += len(kept)
        level = following
        if not level:
            return root.frozen()
    for node in level:
        node.more = bool(await store.list(FlowQuery(parent=node.view.id, statuses=wanted, limit=1)))
    return root.frozen()


async def _children(store: Store, parent: str, statuses: tuple[Status, ...]) -> list[FlowRow]:
    """All children, oldest first."""
    found: list[FlowRow] = []
    query = FlowQuery(parent=parent, statuses=statuses, limit=PAGE)
    while True:
        rows = await store.list(query)
        found += rows
        if len(rows) < PAGE:
            return found[::-1]
        query = replace(query, before=(rows[-1].created, rows[-1].id))


def _fold(rows: list[FlowRow], first: str | None, now: int) -> tuple[list[FlowRow], tuple[Siblings, ...]]:
    """Which children to show, and the others counted. A small family is shown as it is."""
    if len(rows) <= LARGE:
        return rows, ()
    groups: dict[tuple[int, str], list[FlowRow]] = {}
    for row in sorted(rows, key=lambda row: row.id != first):
        groups.setdefault((URGENCY.index(row.status), row.type), []).append(row)
    kept: list[FlowRow] = []
    folded: list[Siblings] = []
    for place, group in sorted(groups.items(), key=lambda item: item[0]):
        show = SHOWN if URGENCY[place[0]] is not Status.COMPLETED or len(group) <= SHOWN else 0
        if len(group) == show + 1:
            show += 1  # a line that counts one is no shorter
        kept += group[:show]
        if rest := group[show:]:
            lengths = [(row.updated if row.status.ended else now) - row.created for row in rest]
            folded.append(Siblings(place[1], URGENCY[place[0]], len(rest), min(lengths), max(lengths)))
    return sorted(kept, key=lambda row: row.id != first), tuple(folded)


def _led_to(why: Why | None) -> str | None:
    return why.child if why is not None else None
