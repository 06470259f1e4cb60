"""Every case of every sample again, with its worker dead before, and after, each of its commits in turn.

Whatever dies, the end is the same; no step begins again once its end is recorded; each end is recorded once. A commit
that was not applied arrives late, when another worker has gone on, and is refused. In virtual
time, on the stores' synchronous cores: leases, sleeps and retries cost nothing.

The Redis store has no such core, and a socket waits for no virtual clock: it has the cases of `test_in_process.py`,
and the workers of `tests/seed/test_crash.py` that die at each commit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest

from ergon_runtime import FlowRow, step_info
from ergon_runtime.core.entries import AttemptFailed, StepEnded
from ergon_runtime.definitions import StepCall
from tests.runtime.rigs import Rig, store_clock, virtual
from tests.samples.cases import Case, all_cases
from tests.samples.inline import CoreStore, Death, Fate, Ghost, InlineExecutor
from tests.samples.running import all_ended, check, served
from tests.simulation.books import BOOKS
from tests.simulation.ledger import Journals, lives, remembered

LEASE = 0.05
"""Seconds: shorter than what the cases' timeouts leave, for a flow stands still as long when its worker dies."""
SHORT = 0.01
"""The same for cases whose workers die one after another."""
PATIENCE = 300.0
"""Virtual seconds after which a run has failed."""
WORKERS = 300
"""How many may die one after another."""
MOST = 60
"""Commits of a case to die at; if it makes more, every second one is taken, or every third, and so on."""


class Witness:
    """Looks into the journal whenever a step's body begins, and remembers what must not be."""

    def __init__(self, journals: Journals) -> None:
        self.problems: list[str] = []
        self._journals = journals

    def begins(self, call: StepCall) -> None:
        info = step_info()
        journal = self._journals(info.flow_id)
        rows = lives(journal)
        mine = [entry for life, _, entry in rows if life == rows[-1][0] and entry.key == info.key]
        before = remembered(journal).get(info.key)
        args, _ = call.definition.resolve().arguments.encode(call.arguments)
        if any(isinstance(entry, StepEnded) for entry in mine):
            self.problems.append(f"{info.flow_id} {info.key} begins, and its end is recorded")
        if isinstance(before, StepEnded) and (before.name, before.args) == (call.definition.name, args):
            self.problems.append(f"{info.flow_id} {info.key} begins, and an earlier life has recorded its success")
        if info.attempt != 1 + sum(isinstance(entry, AttemptFailed) for entry in mine):
            self.problems.append(f"{info.flow_id} {info.key} begins as try {info.attempt}, which it is not")

    def ended(self, rows: list[FlowRow]) -> None:
        for row in rows:
            entries = lives(self._journals(row.id))
            ends = Counter((life, entry.key) for life, _, entry in entries if isinstance(entry, StepEnded))
            self.problems += [f"{row.id} {key} has {n} ends in life {life}" for (life, key), n in ends.items() if n > 1]


class Stage:
    """A store, and the workers that a case meets on it."""

    def __init__(self, case: Case, store: str, lease: float) -> None:
        tokens = count(1)
        self._books = BOOKS[store](store_clock, lambda: f"token {next(tokens)}")
        self.witness = Witness(Journals(self._books))
        self._core = CoreStore(self._books.core)
        self._rig = Rig(self._core)
        self._case, self._flows = case, served(case)
        self._settings = {"lease": lease, "pool": InlineExecutor()}

    async def live(self, fates: Iterable[Fate]) -> None:
        """Run the case: on a worker with the first fate, when that is dead on one with the next, and so on."""
        handle = await self._rig.scheduler.schedule(self._case.flow(), id="f")
        for name, payload in self._case.signals:
            await handle.signal(name, payload)
        end = asyncio.ensure_future(all_ended(self._core, "f"))
        for fate in fates:
            worker = self._rig.start(*self._flows, store=self._core.under(fate), **self._settings)
            death = asyncio.ensure_future(fate.died.wait())
            await asyncio.wait({end, death}, return_when=asyncio.FIRST_COMPLETED)
            death.cancel()
            if end.done():
                break
            await worker.abort()
        assert end.done(), "no worker is left"
        rows = end.result()
        self.witness.ended(rows)
        await check(self._case, self._core, rows)
        assert self.witness.problems == []

    async def close(self) -> None:
        await self._rig.close()
        self._books.close()


def run(
    case: Case,
    store: str,
    patch: pytest.MonkeyPatch,
    fates: Callable[[Witness], Iterable[Fate]],
    what: str,
    lease: float = LEASE,
) -> None:
    """Run a case in virtual time on workers with these fates; `what` tells a person of them."""
    bound = StepCall.bound

    async def main() -> None:
        stage = Stage(case, store, lease)

        def watched(call: StepCall) -> Callable[[], Any]:
            stage.witness.begins(call)
            return bound(call)

        try:
            with patch.context() as patched:
                patched.setattr(StepCall, "bound", watched)
                async with asyncio.timeout(PATIENCE):
                    await stage.live(fates(stage.witness))
        finally:
            await stage.close()

    try:
        virtual(main)
    except BaseException as error:
        error.add_note(what)
        raise


def run_with_death(case: Case, store: str, patch: pytest.MonkeyPatch, at: int = 0, *, after: bool = False) -> Death:
    """Run a case whose first worker dies at this commit; what became of that."""
    death = Death(at, after=after)
    run(case, store, patch, lambda witness: (death, Ghost(death, witness.problems)), f"its worker was to die {death}")
    return death


@pytest.mark.parametrize("store", BOOKS)
@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.name)
def test_case_whose_worker_dies_at_any_commit_comes_to_its_end(
    case: Case, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = run_with_death(case, store, monkeypatch).commits
    stride = -(-commits // MOST)
    for at in count(1, stride):
        deaths = [run_with_death(case, store, monkeypatch, at, after=after) for after in (False, True)]
        if not any(death.died.is_set() for death in deaths):
            assert at > commits // 2, f"{commits} commits in one run, fewer than {at} in another"
            return


@pytest.mark.parametrize(("at", "after"), [(2, True), (3, False)])
@pytest.mark.parametrize("store", BOOKS)
@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.name)
def test_case_whose_workers_all_die_after_two_commits_comes_to_its_end(
    case: Case, store: str, at: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two: the first commit after a takeover may only say again what the flow waits for."""

    def fates(_: Witness) -> Iterable[Fate]:
        return (Death(at, after=after) for _ in range(WORKERS))

    run(case, store, monkeypatch, fates, "all its workers were to die", lease=SHORT)
