"""What steps tell while they run, what commits tell of it, and what later tries must get (T6).

Each heartbeat has a number of its own, larger than all before. A try gets one that its step has told, and none older
than what was committed. The commit of a failed try leaves nothing untold. A note tells nothing of a step whose end is
recorded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from random import Random
from typing import TypeAlias

from ergon_runtime.core.entries import AttemptFailed
from ergon_runtime.core.flows import Commit
from ergon_runtime.core.heartbeats import heartbeats_in, read_note
from ergon_runtime.primitives import StepInfo, heartbeat

Place: TypeAlias = tuple[str, int, str, str]
"""A step: its flow, life, key and argument digest."""


class Beats:
    """Lets some bodies tell how far they are, by dice of its own, and complains of what is lost or made up."""

    def __init__(self, seed: int, blame: Callable[[str], None], *, changing: bool) -> None:
        self.stats: Counter[str] = Counter()
        self._random, self._blame, self._changing = Random(f"beats {seed}"), blame, changing
        self._number = 0
        self._said: dict[Place, set[int]] = defaultdict(set)
        self._kept: dict[Place, int] = {}
        self._last: dict[tuple[str, Place], int] = {}
        """The last heartbeat of a step under a token."""

    def begin(self, info: StepInfo, life: int, digest: str, *, fresh: bool) -> Callable[[], None]:
        """A body begins; what this gives makes it tell something, now and then. `fresh`: under the flow's token."""
        place, got = (info.flow_id, life, info.key, digest), info.heartbeat
        self.stats["heartbeats got"] += got is not None
        if got is not None and got not in self._said[place]:
            self._blame(f"{place} gets the heartbeat {got} that it has never told")
        kept = self._kept.get(place)
        if fresh and kept is not None and (got is None or got < kept) and not self._changing:
            self._blame(f"{place} gets the heartbeat {got}, and {kept} was committed")
        chatty = self._random.random() < 0.3

        def say() -> None:
            if not chatty or self._random.random() < 0.3:
                return
            self._number += 1
            self.stats["heartbeats told"] += 1
            self._said[place].add(self._number)
            self._last[info.token, place] = self._number
            heartbeat(self._number)

        return say

    def look(self, commit: Commit, life: int, over: Collection[str], failed: Iterable[AttemptFailed]) -> None:
        """A commit was applied. The steps that are `over` have ended in this life; those of `failed` failed in it."""
        flow, fields = commit.lease.flow, read_note(commit.note)
        for beat in heartbeats_in(fields):
            place = flow, fields["life"], beat.key, beat.digest
            told = int(beat.detail or 0)
            self.stats["heartbeats committed"] += 1
            if told not in self._said[place]:
                self._blame(f"{place}: {told} is committed, and the step has never told it")
            if told < self._kept.get(place, 0):
                self._blame(f"{place}: {told} is committed after {self._kept[place]}")
            if fields["life"] == life and beat.key in over:
                self._blame(f"{place}: {told} is committed, and the step has ended")
            self._kept[place] = max(told, self._kept.get(place, 0))
        for entry in failed:
            place = flow, life, entry.key, entry.digest
            left = self._last.get((commit.lease.token, place), 0) > self._kept.get(place, 0)
            if left and entry.key not in over:
                self._blame(f"{place}: a try has failed, and its last heartbeat is not committed")
