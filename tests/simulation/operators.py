"""People who retry, free, adopt and fork flows, as the commands do it, on a store as bad as that of the workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.errors import OperatorRefused, StoreError
from ergon_runtime.operators import fork_flow, plan_fork, plan_retry, retry_flow
from ergon_runtime.operators.recorded import operations
from ergon_runtime.operators.unfinished import unfinished_fork
from tests.simulation.loop import Process
from tests.simulation.stores import ChaosStore

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

FORKS = 2
"""Forks in one history."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A fork that somebody wants."""

    source: str
    from_step: str
    signals: bool


class Operators:
    """All of them. `cut_short` are the lives, by flow, that a person ended while the flow was blocked."""

    def __init__(self, world: Simulation) -> None:
        self.world = world
        self.cut_short: set[tuple[str, int]] = set()
        self.wishes: dict[str, Wish] = {}
        """By the new flow's id."""
        self._count = 0

    def retry(self, row: FlowRow) -> None:
        """Retry a flow that has failed, now and then from some step on."""
        key = self._some_key(row) if self.world.random.random() < 0.4 else None
        self._begin(row, partial(self._retry, row, key, False))

    def free(self, row: FlowRow) -> None:
        """Let a flow that was blocked go on, or begin a new life of it."""
        random = self.world.random
        key = self._some_key(row) if random.random() < 0.2 else None
        adopt = row.length > 0 and key is None and random.random() < 0.5
        self._begin(row, partial(self._retry, row, key, adopt))

    def fork(self, row: FlowRow) -> None:
        """Fork a flow from some step on."""
        key = self._some_key(row)
        if key is None or len(self.wishes) >= FORKS:
            return
        name = f"k{len(self.wishes)}"
        self.wishes[name] = Wish(row.id, key, self.world.random.random() < 0.7)
        self.finish(name)

    def finish(self, name: str) -> None:
        """Make a fork, or what is left to make of it."""
        core = self.world.core
        row, half = core.get(self.wishes[name].source), core.get(name)
        begun = unfinished_fork(half) if half is not None else None
        if row is None or (begun is not None and any(core.get(child) is None for child in begun.children)):
            if half is not None:  # what it was made of was pruned: it can only be cancelled
                self.world.people.command_cancel(name)
            return
        self.world.auditor.disturbed[name] += 2
        self._begin(row, partial(self._fork, name, row, self.wishes[name]))

    def unfinished(self) -> list[str]:
        """The forks that stand half done."""
        rows = map(self.world.core.get, self.wishes)
        return [row.id for row in rows if row is not None and is_half_done(row)]

    # --- as processes of their own
    def _begin(self, row: FlowRow, work: Callable[[ChaosStore], Coroutine[Any, Any, None]]) -> None:
        self._count += 1
        self.world.auditor.disturbed[row.id] += 2
        process = Process(f"operator {self._count}")
        with self.world.loop.as_owner(process):
            self.world.loop.create_task(self._try(work(self.world.store_for(process))))

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(StoreError, OperatorRefused):
            await work

    async def _retry(self, row: FlowRow, from_step: str | None, adopt: bool, store: ChaosStore) -> None:
        plan = await plan_retry(store, row, from_step=from_step, adopt=adopt)
        self.world.count(f"operators plan {plan.action}{'' if plan.cut is None else ' with a cut'}")
        if row.status is Status.BLOCKED and plan.marker is not None:
            self.cut_short.add((row.id, plan.marker.life - 1))
        await retry_flow(store, plan)
        self.world.count(f"operators {plan.action}{'' if plan.cut is None else ' with a cut'}")

    async def _fork(self, name: str, row: FlowRow, wish: Wish, store: ChaosStore) -> None:
        plan = await plan_fork(store, row, from_step=wish.from_step, new_id=name, signals=wish.signals)
        self.world.people.roots.append(name)
        await fork_flow(store, plan)
        self.world.count("operators fork")

    def _some_key(self, row: FlowRow) -> str | None:
        """The key of something recorded, in whichever life."""
        found = list(dict.fromkeys(each.shown for each in operations(self.world.journals(row.id))))
        return self.world.random.choice(found) if found else None


def is_half_done(row: FlowRow) -> bool:
    """Whether it is a fork that is not finished."""
    return row.status is Status.BLOCKED and "fork" in read_note(row.note)
