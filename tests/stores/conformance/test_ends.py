"""What every store does: how flows end and are opened again, and what is stored.

Tests are named after the rules of the store contract.
"""

from __future__ import annotations

from ergon_runtime.core.flows import Status
from tests.stores.harness import LEASE, Bench, mail, new, on_each_store, signal

# R5: ends


@on_each_store
async def test_r5_end_clears_the_row(b: Bench) -> None:
    held = await b.begin()
    await held.commit(waits=frozenset({"signal:go"}))
    reply = await held.end(b"42", Status.FAILED, waits=frozenset({"signal:go"}), due=b.clock.now)
    row = await b.row()
    assert (row.status, row.result, row.owner, row.due, row.waits) == (Status.FAILED, b"42", None, None, ())
    assert not reply.held
    assert await b.claimed() == await b.claimed(ids=("a",)) == []


@on_each_store
async def test_r5_ended_flow_refuses_messages_but_childrens_results(b: Bench) -> None:
    parent = await b.begin("p")
    await parent.commit(creates=(new("c", parent="p"),))
    await parent.end()
    assert not await b.store.send(signal("go", to="p"))
    assert not await b.store.send(mail("p", "cancel"))
    await (await b.take("c")).end(b"C")
    assert (await b.row("p")).status is Status.COMPLETED
    reopened = await b.take("p", operator=True)
    reply = await reopened.commit(waits=frozenset({"child:c"}))
    assert [message.body for message in reply.mail] == [b"C"]


@on_each_store
async def test_r5_operator_reopens_an_ended_flow(b: Bench) -> None:
    held = await b.begin()
    await b.store.send(mail("a", "cancel", "stop"))
    await held.end(b"bad", Status.FAILED)
    reopened = await b.take("a", operator=True)
    assert (reopened.claim.status, reopened.claim.mail) == (Status.FAILED, ())
    assert await b.store.prune(b.clock.now + 1) == 0
    await reopened.commit(b"retried")
    row = await b.row()
    assert (row.status, row.result) == (Status.RUNNING, None)


# R8, R9, R10


@on_each_store
async def test_r8_payloads_are_opaque_bytes(b: Bench) -> None:
    odd = bytes(range(256)) + "\N{SNOWMAN}".encode()
    held = await b.begin("fl\N{LATIN SMALL LETTER O WITH DIAERESIS}w", args=odd)
    flow = held.claim.lease.flow
    await b.store.send(signal("go", to=flow, body=odd))
    reply = await held.commit(odd, b"", waits=frozenset({"signal:go"}))
    assert reply.mail[0].body == odd
    await held.end(odd, note=odd)
    row = await b.row(flow)
    assert (row.args, row.result, row.note, await b.store.journal(flow, 0, 9)) == (odd, odd, odd, [odd, b""])


@on_each_store
async def test_r8_result_and_note_without_bytes_are_not_none(b: Bench) -> None:
    held = await b.begin()
    await held.end(b"", note=b"")
    row = await b.row()
    assert (row.result, row.note) == (b"", b"")


@on_each_store
async def test_r9_waiting_flow_has_no_owner(b: Bench) -> None:
    held = await b.waiting("a", "signal:go")
    row = await b.row()
    assert (row.status, row.owner, row.due) == (Status.WAITING, None, None)
    assert await b.store.extend([held.claim.lease], LEASE) == {}


@on_each_store
async def test_r10_identity_states_durability_and_stays(b: Bench) -> None:
    identity = await b.store.identity()
    assert identity.durability
    assert 0 <= int(identity.hash_seed) < 2**32
    other = b.store.clone()
    await other.open()
    assert await other.identity() == identity
    await other.close()


@on_each_store
async def test_r10_clone_sees_what_was_acknowledged(b: Bench) -> None:
    other = b.store.clone()
    await other.open()
    await b.store.create(new())
    assert await other.get("a") == await b.row()
    await other.close()
