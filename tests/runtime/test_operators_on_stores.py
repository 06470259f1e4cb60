"""Retries and forks on every store: who comes first wins, what was interrupted never runs by half, what is refused
changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ergon_runtime.audit import audit
from ergon_runtime.core.entries import (
    Adopted,
    CancelReceived,
    ChildCreated,
    ChildEnded,
    Entry,
    Outcome,
    Recorded,
    Retried,
    Started,
    StepEnded,
    pack,
    unpack,
)
from ergon_runtime.core.flows import FlowQuery, FlowRow, NewFlow, Status
from ergon_runtime.errors import OperatorRefused, StoreUnavailable
from ergon_runtime.operators import ForkPlan, end_flow, fork_flow, plan_fork, plan_retry, retry_flow
from ergon_runtime.stores.records import JournalPart, Kind
from tests.stores.copies import everything
from tests.stores.harness import LANE, Bench, Held, on_each_store

STEPS = 450
"""More than are written at a time."""
OVER = 60_000
"""Milliseconds after which every lease is over."""


def journal(at: int) -> list[Entry]:
    done = StepEnded("a", at, "d", "a", "[]", "1", None, 1, at, at, "w")
    return [Started("", at, "seed", None, 1, "3"), *(replace(done, key=f"a#{n}") for n in range(STEPS))]


async def ended(b: Bench, status: Status = Status.FAILED) -> FlowRow:
    """A flow `a` that has failed with a long journal."""
    held = await b.begin("a")
    entries = journal(b.clock.now)
    for start in range(0, len(entries), 100):
        await held.commit(*(pack(entry, start // 100 + 1) for entry in entries[start : start + 100]))
    await held.end(Outcome(status, error='{"it":"failed"}').pack(), status)
    b.clock.now += 5
    return await b.row()


async def records(b: Bench, flow: str) -> list[Recorded]:
    return [unpack(row, seq) for seq, row in enumerate(await b.store.journal(flow, 0, 10_000))]


@on_each_store
async def test_retry_appends_a_marker_and_hands_the_flow_to_workers(b: Bench) -> None:
    row = await ended(b)
    await retry_flow(b.store, await plan_retry(b.store, row))
    last = (await records(b, "a"))[-1]
    assert last.commit == 6
    assert last.entry == Retried(
        "", b.clock.now, 2, 1, 1, True, b.clock.now, '{"it":"failed"}', operator=True, cut=None
    )
    found = await b.row()
    assert (found.status, found.due, found.result, found.length) == (Status.PENDING, b.clock.now, None, STEPS + 2)
    assert await b.claimed() == ["a"]


@on_each_store
async def test_p3_of_several_retries_at_once_one_wins(b: Bench) -> None:
    row = await ended(b)
    plans = [await plan_retry(b.store, row) for _ in range(5)]
    ends = await asyncio.gather(*(retry_flow(b.store, plan) for plan in plans), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType", *["OperatorRefused"] * 4]
    assert (await b.row()).length == STEPS + 2


@on_each_store
async def test_p3_stale_plan_leaves_the_flow_as_it_stands(b: Bench) -> None:
    row = await ended(b)
    stale = replace(await plan_retry(b.store, row), head="another")
    with pytest.raises(OperatorRefused, match="moved on"):
        await retry_flow(b.store, stale)
    found = await b.row()
    assert replace(found, head=row.head, updated=row.updated) == row
    b.clock.now += OVER
    assert await b.claimed() == []
    assert await b.store.prune(b.clock.now) == 1


@on_each_store
async def test_p3_flow_that_a_worker_has_taken_meanwhile_is_left_to_it(b: Bench) -> None:
    held = await b.begin("a")
    await held.release(Status.BLOCKED, due=b.clock.now + 10, note=b'{"why":{"kind":"diverged","times":1}}')
    plan = await plan_retry(b.store, await b.row())
    b.clock.now += 10
    assert await b.claimed() == ["a"]
    with pytest.raises(OperatorRefused, match="moved on meanwhile: it is running"):
        await retry_flow(b.store, plan)
    assert (await b.row()).owner == "w"


@on_each_store
async def test_p4_retry_of_a_blocked_flow_goes_on_with_its_life_and_forgets_why(b: Bench) -> None:
    held = await b.begin("a")
    await held.commit(pack(journal(b.clock.now)[0], 1))
    note = b'{"attempt":2,"life":3,"heartbeats":[],"why":{"kind":"diverged","times":7}}'
    await held.release(Status.BLOCKED, due=b.clock.now + OVER, note=note, fingerprint="code")
    plan = await plan_retry(b.store, await b.row())
    assert (plan.action, plan.marker) == ("again", None)
    await retry_flow(b.store, plan)
    found = await b.row()
    assert (found.status, found.fingerprint, found.length) == (Status.PENDING, None, 1)
    assert found.note == b'{"attempt":2,"life":3,"heartbeats":[]}'
    assert await b.claimed(fingerprint="code") == ["a"]


@on_each_store
async def test_p3_stale_plan_leaves_a_blocked_flow_to_be_tried_when_it_was(b: Bench) -> None:
    held = await b.begin("a")
    await held.release(Status.BLOCKED, due=b.clock.now + 10, note=b'{"why":{"kind":"diverged","times":1}}')
    row = await b.row()
    stale = replace(await plan_retry(b.store, row), head="another")
    with pytest.raises(OperatorRefused, match="moved on meanwhile: it is blocked"):
        await retry_flow(b.store, stale)
    found = await b.row()
    assert replace(found, head=row.head, updated=row.updated) == row


@on_each_store
async def test_m1_adoption_keeps_attempt_and_epoch(b: Bench) -> None:
    at = b.clock.now
    held = await b.begin("a")
    await held.commit(pack(journal(at)[0], 1), pack(Retried("", at, 2, 2, 2, keep=False, due=at), 1))
    await held.release(Status.BLOCKED)
    plan = await plan_retry(b.store, await b.row(), adopt=True)
    await retry_flow(b.store, plan)
    last = (await records(b, "a"))[-1]
    assert (last.commit, last.entry) == (2, Adopted("", b.clock.now, 3, 2, 2))


@on_each_store
async def test_operators_cancel_is_numbered_after_all_commits(b: Bench) -> None:
    held = await b.begin("a")
    await held.commit(pack(journal(b.clock.now)[0], 7))
    await held.release(Status.BLOCKED)
    assert await end_flow(b.store, await b.row())
    assert [record.commit for record in await records(b, "a")] == [7, 8]


# --- forks
async def planned(b: Bench, new_id: str = "g") -> ForkPlan:
    return await plan_fork(b.store, await b.row(), from_step=f"a#{STEPS - 1}", new_id=new_id)


@on_each_store
async def test_m1_fork_in_a_live_store_is_a_flow_like_any_other(b: Bench) -> None:
    row = await ended(b)
    await b.begin("other")
    plan = await planned(b)
    await fork_flow(b.store, plan)
    assert (await b.row("g")).started == row.started != b.clock.now
    taken = [(record.commit, record.entry) for record in await records(b, "a")][:STEPS]
    copied = [(record.commit, record.entry) for record in await records(b, "g")]
    assert copied == [*taken, (6, replace(plan.marker, at=b.clock.now))]
    assert [row.id for row in await b.store.list(FlowQuery())] == ["other", "g", "a"]
    assert [row.id for row in await b.store.list(FlowQuery(statuses=(Status.PENDING,)))] == ["g"]
    assert await b.store.count(Kind.FLOWS) == 3
    before = await everything(b.store)
    for piece in await b.store.records(Kind.FLOWS, None, 10):
        await b.store.restore(piece)
    assert await everything(b.store) == before
    (claim,) = (await b.claims()).claims
    assert (claim.lease.flow, claim.length, claim.head is None) == ("g", STEPS + 1, False)
    await Held(b, claim, claim.head, claim.length).end()
    assert await b.store.prune(b.clock.now + OVER) == 2


class Dying:
    """A store that is gone at the call of this number, before it was heard or before it could answer."""

    def __init__(self, store: Any, last: int, *, heard: bool) -> None:
        self._store, self._left, self._heard = store, last, heard

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(found) if name in ("restore", "claim", "commit") else found

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def counted(*args: Any) -> Any:
            self._left -= 1
            answer = await call(*args) if self._left or self._heard else None
            if not self._left:
                raise StoreUnavailable("gone")
            return answer

        return counted


async def run_all(b: Bench) -> list[str]:
    """Claim what workers get, and end it."""
    claims = (await b.claims()).claims
    for claim in claims:
        await Held(b, claim, claim.head, claim.length).end()
    return [claim.lease.flow for claim in claims]


CALLS = 6
"""Of those: the flow, three parts of its journal, the claim and the commit."""


@on_each_store
async def test_p3_fork_that_was_interrupted_anywhere_never_runs_by_half_and_is_finished_by_doing_it_again(
    b: Bench,
) -> None:
    await ended(b)
    for last in range(1, CALLS + 1):
        for heard in (False, True):
            plan = await planned(b, f"g{last}{'' if heard else 'x'}")
            with pytest.raises(StoreUnavailable):
                await fork_flow(Dying(b.store, last, heard=heard), plan)  # type: ignore[arg-type]  # it is one
            b.clock.now += OVER
            if (last, heard) >= (CALLS - 1, True):  # from its claim on all of it is there, whoever has it
                assert await run_all(b) == [plan.new_id]
            else:
                assert await run_all(b) == []
                again = await planned(b, plan.new_id)
                await fork_flow(b.store, again)
                assert await run_all(b) == [plan.new_id]
            assert [record.seq for record in await records(b, plan.new_id)] == list(range(STEPS + 1))
    await fork_flow(Dying(b.store, CALLS + 1, heard=False), await planned(b, "last"))  # type: ignore[arg-type]  # too


@on_each_store
async def test_r4_fork_that_is_cancelled_half_made_gets_no_entry_behind_which_the_rest_is_written(b: Bench) -> None:
    await ended(b)
    for last in range(1, CALLS - 1):
        for goes_on in (False, True):
            plan = await planned(b, f"g{last}{goes_on}")
            with pytest.raises(StoreUnavailable):
                await fork_flow(Dying(b.store, last, heard=True), plan)  # type: ignore[arg-type]  # it is one
            assert await end_flow(b.store, await b.row(plan.new_id))
            if goes_on:  # whoever was only slow
                for start in range(0, STEPS + 1, 200):
                    await b.store.restore(JournalPart(plan.new_id, start, whole(plan)[start : start + 200]))
            found = await records(b, plan.new_id)
            assert [record.seq for record in found] == list(range(len(found)))
            there = STEPS + 1 if goes_on else [0, 200, 400, STEPS + 1][last - 1]
            was_whole = last == CALLS - 2
            assert [type(record.entry) for record in found[there:]] == [CancelReceived] * was_whole
            with pytest.raises(OperatorRefused, match="is cancelled"):
                await fork_flow(b.store, plan)
    assert [each async for each in audit(b.store)] == []


def whole(plan: ForkPlan) -> tuple[bytes, ...]:
    return (*plan.entries, pack(plan.marker, plan.number))


@on_each_store
async def test_p3_of_two_who_make_the_same_fork_one_is_refused_or_both_find_it_whole(b: Bench) -> None:
    await ended(b)
    one, other = await planned(b), await planned(b)
    ends = await asyncio.gather(*(fork_flow(b.store, plan) for plan in (one, other)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["OperatorRefused", "str"]
    assert await b.claimed() == ["g"]
    assert len(await records(b, "g")) == STEPS + 1


@on_each_store
async def test_p3_fork_that_others_have_finished_and_run_meanwhile_is_left_to_them(b: Bench) -> None:
    await ended(b)
    plan = await planned(b)

    class Slow:
        """A store that others use before it is heard."""

        def __getattr__(self, name: str) -> Any:
            return self.claim if name == "claim" else getattr(b.store, name)

        async def claim(self, request: Any) -> Any:
            await fork_flow(b.store, plan)
            claim = (await b.claims()).claims[0]
            await Held(b, claim, claim.head, claim.length).release(Status.BLOCKED, due=b.clock.now + 5, note=b"{}")
            return await b.store.claim(request)

    with pytest.raises(OperatorRefused, match="flow g exists already, and is blocked"):
        await fork_flow(Slow(), plan)  # type: ignore[arg-type]  # it is one
    found = await b.row("g")
    assert (found.status, found.due, found.note) == (Status.BLOCKED, b.clock.now + 5, b"{}")


@on_each_store
async def test_k3_fork_knows_when_a_detached_child_has_completed(b: Bench) -> None:
    held = await b.begin("a")
    made = ChildCreated("kid", b.clock.now, "d", "a/kid", "T", None, "[]", detached=True)
    await held.commit(pack(journal(0)[0], 1), pack(made, 1), pack(journal(b.clock.now)[1], 2))
    child = await b.begin("a/kid", parent="a")
    b.clock.now += 70
    await child.end(Outcome(Status.COMPLETED, value="5").pack())
    plan = await plan_fork(b.store, await b.row(), from_step="a#0")
    assert plan.children == ("a/kid",)
    end = unpack(plan.entries[-1], 2)
    assert end.entry == ChildEnded("kid", b.clock.now, "d", "result a/kid", "a/kid", Status.COMPLETED, "5", None)


@on_each_store
async def test_p3_id_of_another_flow_is_not_forked_into(b: Bench) -> None:
    await ended(b)
    await b.store.create(NewFlow("g", "T", None, LANE, b"{}", "seed"))
    plan = await planned(b)
    with pytest.raises(OperatorRefused, match="flow g exists already, and is pending"):
        await fork_flow(b.store, plan)
    assert (await b.row("g")).length == 0
