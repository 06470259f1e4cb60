"""Every case of every sample again, with its worker dead before, and after, each of its commits in turn.

Whatever dies, the end is the same; no step begins again once its end is recorded; each end is recorded once. A commit
that was not applied arrives late, when another worker has gone on, and is refused. In virtual XX"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from ergon_runtime import FlowRow, step_info
from ergon_runtime.core.entries import AttemptFailed, StepEnded
from ergon_runtime.definitions import StepCall
from tests.runtime.rigs import Rig, store_clock, virtual
from tests.samples.cases import Case, all_cases
from tests.samples.inline import CoreStore, Death, Ghost, InlineExecutor
from tests.samples.running import all_ended, check, served
from tests.simulation.books import BOOKS
from tests.simulation.ledger import Journals, lives, remembered

LEASE = 0.05
"""Seconds: shorter than what the cases' timeouts leave, for a flow stands still as long when its worker dies."""
PATIENCE = 300.0
"""Virtual seconds after which a run has failed."""
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


async def live(case: Case, store: str, patch: pytest.MonkeyPatch, death: Death) -> None:
    """Run a case on a worker that may die; then a second one goes on to the end."""
    tokens = count(1)
    books = BOOKS[store](store_clock, lambda: f"token {next(tokens)}")
    witness, bound = Witness(Journals(books)), StepCall.bound

    def watched(call: StepCall) -> Callable[[], Any]:
        witness.begins(call)
        return bound(call)

    core = CoreStore(books.core)
    rig = Rig(core)
    flows, settings = served(case), {"lease": LEASE, "pool": InlineExecutor()}
    try:
        with patch.context() as patched:
            patched.setattr(StepCall, "bound", watched)
            handle = await rig.scheduler.schedule(case.flow(), id="f")
            for name, payload in case.signals:
                await handle.signal(name, payload)
            first = rig.start(*flows, store=core.under(death), **settings)
            end = asyncio.ensure_future(all_ended(core, "f"))
            killed = asyncio.ensure_future(death.died.wait())
            await asyncio.wait({end, killed}, return_when=asyncio.FIRST_COMPLETED)
            killed.cancel()
            if death.died.is_set():
                await first.abort()
                rig.start(*flows, store=core.under(Ghost(death, witness.problems)), **settings)
            rows = await end
            witness.ended(rows)
            await check(case, core, rows)
            assert witness.problems == []
    finally:
        await rig.close()
        books.close()


def run(case: Case, store: str, patch: pytest.MonkeyPatch, at: int = 0, *, after: bool = False) -> Death:
    """Run a case whose worker dies at this commit; what became of that."""

    async def main() -> Death:
        death = Death(at, after=after)
        async with asyncio.timeout(PATIENCE):
            await live(case, store, patch, death)
        return death

    try:
        return virtual(main)
    except BaseException as error:
        error.add_note(f"the worker was to die {'after' if after else 'before'} its commit {at}" if at else "no death")
        raise


@pytest.mark.parametrize("store", BOOKS)
@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.name)
def test_case_whose_worker_dies_at_any_commit_comes_to_its_end(
    case: Case, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = run(case, store, monkeypatch).commits
    stride = -(-commits // MOST)
    for at in count(1, stride):
        deaths = [run(case, store, monkeypatch, at, after=after) for after in (False, True)]
        if not any(death.died.is_set() for death in deaths):
            assert at > commits // 2, f"{commits} commits in one run, fewer than {at} in another"
            return
