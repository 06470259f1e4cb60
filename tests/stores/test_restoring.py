"""Histories put into stores of every kind (P8): as they were, or blocked; again, and again after a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ergon_runtime.core.entries import Continued, Patched, Retried, pack
from ergon_runtime.core.flows import ClaimRequest, FlowRow, Status
from ergon_runtime.errors import Conflict
from ergon_runtime.histories import FlowHistory, read_history, restore_history
from ergon_runtime.histories.restoring import PART
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.records import JournalPart, Kind
from ergon_runtime.view import view_row
from tests.runtime.test_history_lines import ROW
from tests.stores.harness import LANE, LEASE, Bench, new, on_each_store


def history(status: Status = Status.WAITING, entries: int = 3, **changes: object) -> FlowHistory:
    """A flow of these many entries, as a worker holds it, from elsewhere."""
    packed = tuple(pack(Patched(f"p{n}", n), 1) for n in range(entries))
    row = replace(ROW, id="a", lane=LANE, status=status, length=entries, note=b'{"attempt":2,"life":3,"waits":[]}')
    ended = {"due": None, "owner": None, "result": b"[]"} if status.ended else {}
    return FlowHistory(replace(row, **(ended | changes)), packed, "7")


async def row_in(store: Store, flow: str = "a") -> FlowRow:
    row = await store.get(flow)
    assert row is not None
    return row


async def everything(store: Store) -> tuple[object, ...]:
    return tuple(await store.records(Kind.FLOWS, None, 100)), await store.journal("a", 0, 10_000)


@on_each_store
async def test_ended_flow_comes_as_it_was(b: Bench) -> None:
    one = history(Status.FAILED)
    assert await restore_history(b.store, one, "x.jsonl") == "new"
    assert await row_in(b.store) == one.row
    assert (await read_history(b.store, await row_in(b.store))).entries == one.entries
    assert await b.store.prune(one.row.updated) == 0
    assert await b.store.prune(one.row.updated + 1) == 1


@on_each_store
async def test_flow_that_was_not_over_is_blocked_and_no_worker_gets_it(b: Bench) -> None:
    for name, status in (("r", Status.RUNNING), ("p", Status.PENDING), ("w", Status.WAITING), ("b", Status.BLOCKED)):
        await restore_history(b.store, history(status, id=name, fingerprint="other"), "x.jsonl")
        row = await row_in(b.store, name)
        assert (row.status, row.due, row.owner, row.fingerprint) == (Status.BLOCKED, None, None, None)
        view = await view_row(b.store, row, now=b.clock.now, workers=())
        why = view.why
        assert why is not None
        assert view.attempt == 2
        assert (why.kind, why.message) == ("paused", "imported from x.jsonl; nothing runs it")
    b.clock.now += 10**9
    assert (await b.claims()).claims == ()
    asked = ClaimRequest("operator", LEASE, 1, ids=("w",), operator=True)
    (claim,) = (await b.store.claim(asked)).claims
    assert (claim.status, claim.head, claim.length) == (Status.BLOCKED, "h", 3)


@on_each_store
async def test_ended_flow_that_claims_to_be_due_is_never_claimed(b: Bench) -> None:
    await restore_history(b.store, history(Status.COMPLETED, due=1, owner="w"), "x.jsonl")
    b.clock.now += 10**9
    assert (await b.claims()).claims == ()
    row = await row_in(b.store)
    assert (row.due, row.owner) == (None, None)


@on_each_store
async def test_flow_that_is_there_is_left_as_it_is(b: Bench) -> None:
    await restore_history(b.store, history(entries=PART + 1), "x.jsonl")
    before = await everything(b.store)
    b.clock.now += 5
    assert await restore_history(b.store, history(entries=PART + 1), "y.jsonl") == "there"
    assert await everything(b.store) == before


@on_each_store
async def test_other_flow_of_the_same_id_is_a_conflict_and_nothing_changes(b: Bench) -> None:
    await restore_history(b.store, history(), "x.jsonl")
    before = await everything(b.store)
    others = [history(args=b"{}"), history(seed="t"), history(created=9), history(type="other")]
    others += [replace(history(), entries=(history().entries[0], b"[]", b"[]")), history(entries=4, head="later")]
    for other in others:
        with pytest.raises(Conflict):
            await restore_history(b.store, other, "x.jsonl")
    assert await everything(b.store) == before


@on_each_store
async def test_flow_that_has_gone_on_since_is_there(b: Bench) -> None:
    await restore_history(b.store, history(entries=4, head="later"), "x.jsonl")
    before = await everything(b.store)
    assert await restore_history(b.store, history(entries=3), "x.jsonl") == "there"
    assert await everything(b.store) == before


@on_each_store
async def test_interrupted_import_is_not_run_and_is_finished_by_the_next(b: Bench) -> None:
    whole = history(entries=2 * PART + 1)
    for kept in (0, 1, PART):
        flow = replace(whole, row=replace(whole.row, id=f"f{kept}"))
        await restore_partly(b.store, flow, kept)
        assert (await b.claims()).claims == ()
        assert await restore_history(b.store, flow, "x.jsonl") == "finished"
        assert tuple(await b.store.journal(flow.row.id, 0, 10_000)) == whole.entries
        assert (await row_in(b.store, flow.row.id)).length == len(whole.entries)


async def restore_partly(store: Store, flow: FlowHistory, kept: int) -> None:
    """As a process that dies after so many entries."""

    class Died(Exception):
        pass

    class Dying:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def restore(self, piece: object) -> None:
            if isinstance(piece, JournalPart):
                if kept:
                    await store.restore(replace(piece, entries=piece.entries[:kept]))
                raise Died
            await store.restore(piece)  # type: ignore[arg-type]  # only pieces come here

    with pytest.raises(Died):
        await restore_history(Dying(), flow, "x.jsonl")  # type: ignore[arg-type]  # it stands for a store


@on_each_store
async def test_flow_that_is_created_meanwhile_is_not_given_the_journal(b: Bench) -> None:
    await b.store.create(new("a"))
    before = await everything(b.store)

    class Late:
        """Looks before the flow is there."""

        looks = 0

        def __getattr__(self, name: str) -> object:
            return getattr(b.store, name)

        async def get(self, flow: str) -> FlowRow | None:
            self.looks += 1
            return await b.store.get(flow) if self.looks > 1 else None

    with pytest.raises(Conflict):
        await restore_history(Late(), history(), "x.jsonl")  # type: ignore[arg-type]  # it stands for a store
    assert await everything(b.store) == before


@on_each_store
async def test_journal_that_begins_late_begins_at_zero_with_its_cut(b: Bench) -> None:
    begins = pack(Continued("", 1, 2, 2, "{}"), 9)
    cut = Retried("", 2, 3, 2, 2, True, 2, cut=42)
    late = replace(history(base=40, length=42), entries=(begins, pack(cut, 10)))
    await restore_history(b.store, late, "x.jsonl")
    row = await row_in(b.store)
    assert (row.base, row.length) == (0, 2)
    assert await b.store.journal("a", 0, 9) == [begins, pack(replace(cut, cut=2), 10)]
    assert await restore_history(b.store, late, "x.jsonl") == "there"


@on_each_store
async def test_flow_whose_journal_began_before_is_there_in_its_own_store(b: Bench) -> None:
    held = await b.begin("a")
    await held.commit(b"[0]", b"[1]", base=1)
    found = await read_history(b.store, await row_in(b.store))
    assert (found.row.base, found.entries) == (1, (b"[1]",))
    assert await restore_history(b.store, found, "x.jsonl") == "there"


@on_each_store
async def test_history_that_lacks_entries_is_refused(b: Bench) -> None:
    with pytest.raises(ValueError, match="has 3 of 5 entries"):
        await restore_history(b.store, history(length=5), "x.jsonl")
    assert await b.store.get("a") is None
