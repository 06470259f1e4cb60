"""The encrypting store: what it does besides the contract, which the conformance tests see to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from ergon_runtime.core.flows import CANCEL, FlowQuery, FlowRow, Message, Send
from ergon_runtime.core.payloads import key_of, reason_against
from ergon_runtime.errors import Conflict, PayloadUnreadable
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.copying import copy_store
from ergon_runtime.stores.encrypted.keys import Keys
from ergon_runtime.stores.encrypted.store import EncryptedStore
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.stores.records import JournalPart, Kind, Numbered
from tests.stores.copies import everything, populate
from tests.stores.harness import Bench, Clock, mail, new, signal

OLD, NEW = bytes(32), b"\1" * 32
ID = "store"


class Pair:
    """A plain store and, over it, encrypting ones."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.plain = MemoryStore(self.clock)
        self.old = self.keyed(k1=OLD)

    def keyed(self, *, read_plain: bool = False, **secrets: bytes) -> EncryptedStore:
        return EncryptedStore(self.plain, Keys(secrets, read_plain), ID)

    def bench(self, store: Store | None = None) -> Bench:
        return Bench(store or self.old, self.clock)


def pair(test: Callable[[Pair], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test(Pair())

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


def payloads(row: FlowRow) -> list[bytes | None]:
    return [row.args, row.result, row.note, *(message.body for message in row.aside)]


async def row_of(store: Store, flow: str = "a") -> FlowRow:
    row = await store.get(flow)
    assert row is not None
    return row


# What the store itself sees


@pair
async def test_store_itself_sees_no_payload(p: Pair) -> None:
    await populate(p.bench())
    found: list[Any] = [await p.plain.records(kind, None, 100) for kind in Kind]
    seen: list[bytes] = [numbered.message.body for numbered in found[2]]
    for piece in found[0]:
        mails = [*piece.mail, *piece.aside, *(wait.reserved for wait in piece.waits if wait.reserved)]
        seen += [*filter(None, payloads(piece.row)), *(each.message.body for each in mails)]
        seen += await p.plain.journal(piece.row.id, 0, 100)
    assert len(seen) > 20
    assert {key_of(payload) for payload in seen if payload} == {"k1"}


@pair
async def test_message_sent_by_a_commit_is_encrypted_and_read(p: Pair) -> None:
    await p.old.create(new("b"))
    held = await p.bench().begin("a")
    await held.commit(sends=(mail("b", CANCEL, body=b"secret"),))
    ours, theirs = [(await p.bench(store).take("b", lease=0)).claim.mail for store in (p.old, p.plain)]
    assert [message.body for message in ours] == [b"secret"]
    assert [key_of(message.body) for message in theirs] == ["k1"]


@pair
async def test_names_and_numbers_stay_readable(p: Pair) -> None:
    await p.bench().waiting("a", "signal:go")
    ours, theirs = await row_of(p.old), await row_of(p.plain)
    assert replace(theirs, args=ours.args, note=ours.note) == ours
    assert [row.id for row in await p.old.list(FlowQuery(waiting_on="signal:go"))] == ["a"]


# Equal arguments (R1)


@pair
async def test_r1_flow_created_with_another_key_is_the_same_flow(p: Pair) -> None:
    await p.old.create(new("a", args=b"1"))
    rotated = p.keyed(k2=NEW, k1=OLD)
    assert await rotated.create(new("a", args=b"1")) is False
    with pytest.raises(Conflict):
        await rotated.create(new("a", args=b"2"))
    with pytest.raises(Conflict):
        await rotated.create(new("a", args=b"1", type="U"))


@pair
async def test_r1_flow_created_before_encryption_is_the_same_flow(p: Pair) -> None:
    await p.plain.create(new("a", args=b"1"))
    assert await p.keyed(k1=OLD, read_plain=True).create(new("a", args=b"1")) is False
    for store in (p.old, p.keyed(k1=OLD, read_plain=True)):
        with pytest.raises(Conflict):
            await store.create(new("a", args=b"2" if store is not p.old else b"1"))


@pair
async def test_r1_without_the_key_of_a_flow_an_equal_one_is_a_conflict(p: Pair) -> None:
    await p.old.create(new("a", args=b"1"))
    with pytest.raises(Conflict):
        await p.keyed(k2=NEW).create(new("a", args=b"1"))


@pair
async def test_k2_children_created_with_another_key_are_attached_to(p: Pair) -> None:
    rotated = p.keyed(k2=NEW, k1=OLD)
    held = await p.bench(rotated).begin("a")
    kids = [new(f"a/{n}", args=b"%d" % n, parent="a") for n in range(3)]
    for kid in kids[:2]:
        await p.old.create(kid)
    await held.commit(b"1", creates=tuple(kids))
    assert [(await row_of(rotated, kid.id)).args for kid in kids] == [b"0", b"1", b"2"]
    with pytest.raises(Conflict):
        await held.commit(b"2", creates=(kids[0], replace(kids[1], args=b"other")))


@pair
async def test_commit_that_creates_one_flow_twice_differently_is_a_conflict(p: Pair) -> None:
    held = await p.bench().begin("a")
    with pytest.raises(Conflict):
        await held.commit(b"1", creates=(new("kid", args=b"1"), new("kid", args=b"2")))
    await held.commit(b"1", creates=(new("kid", args=b"1"), new("kid", args=b"1")))


@pair
async def test_c1_commit_sent_again_is_answered_as_before(p: Pair) -> None:
    held = await p.bench().begin("a")
    commit = held.next(b"1", note=b"{}", creates=(new("kid"),))
    assert await held.apply(commit) == await p.old.commit(commit)
    assert await p.old.journal("a", 0, 9) == [b"1"]


# Somebody changes the store


@pair
async def test_arguments_of_a_flow_whose_type_was_changed_are_not_taken(p: Pair) -> None:
    await p.old.create(new("a", args=b"1"))
    row = p.plain.state.flows["a"]
    row.flow = replace(row.flow, type="U")
    for args in ((await row_of(p.old)).args, (await p.bench().take("a")).claim.args):
        assert "the arguments of flow a is not what was written" in (reason_against(args) or "")
    with pytest.raises(Conflict):
        await p.old.create(new("a", args=b"1", type="U"))


@pair
async def test_rows_that_were_exchanged_are_not_taken(p: Pair) -> None:
    for flow in ("a", "b"):
        await (await p.bench().begin(flow, args=flow.encode())).commit(b"1", b"2", note=flow.encode())
    one, other = p.plain.state.flows["a"], p.plain.state.flows["b"]
    one.journal.reverse()
    one.flow, other.flow = replace(one.flow, args=other.flow.args), replace(other.flow, args=one.flow.args)
    one.note = other.note
    row, entries = await row_of(p.old), await p.old.journal("a", 0, 9)
    said = [reason_against(payload) for payload in (row.args, row.note, *entries)]
    assert [text and text.partition(" is not what")[0].partition(" has as ")[2] for text in said] == [
        "the arguments of flow a",
        "the note of flow a",
        "the journal entry 0 of flow a",
        "the journal entry 1 of flow a",
    ]


@pair
async def test_messages_that_were_moved_are_not_taken(p: Pair) -> None:
    await p.old.create(new("a"))
    await p.old.send(signal("go", "1", body=b'"named"'))
    await p.old.send(mail("a", "signal:go", "2", body=b'"own"'))
    (kept,) = await p.plain.records(Kind.KEPT, None, 9)
    assert isinstance(kept, Numbered)
    body = kept.message.body
    for channel, message_id in (("signal:stop", "1"), ("signal:go", "3"), ("child:a", "1"), (CANCEL, "1")):
        await p.plain.send(Send("a", Message(message_id, channel, body)))
    held = await p.bench().take("a")
    await held.listen("signal:go", "signal:stop", "child:a")
    found = {(m.channel, m.id): m.body for m in (await p.bench().take("a")).claim.mail}
    assert found.pop(("signal:go", "2")) == b'"own"'
    assert found.pop(("signal:go", "1")) == b'"named"'
    assert len(found) == 4
    assert all("was changed, cut off, or moved" in (reason_against(body) or "") for body in found.values())


@pair
async def test_result_of_another_flow_is_not_taken_for_a_childs(p: Pair) -> None:
    await p.old.create(new("a"))
    for flow in ("x", "y"):
        await (await p.bench().begin(flow)).end(flow.encode())
    results = {flow: (await row_of(p.plain, flow)).result or b"" for flow in ("x", "y")}
    await p.plain.send(Send("a", Message("1", "child:x", results["x"])))
    await p.plain.send(Send("a", Message("2", "child:y", results["x"])))
    await (await p.bench().take("a")).listen("child:x", "child:y")
    right, wrong = (await p.bench().take("a")).claim.mail
    assert right.body == b"x"
    assert "the result of flow y is not what was written" in (reason_against(wrong.body) or "")


@pair
async def test_what_could_not_be_read_is_written_nowhere(p: Pair) -> None:
    held = await p.bench().begin("a")
    await held.commit(b"1")
    p.plain.state.flows["a"].journal[0] = b"forged"
    (entry,) = await p.old.journal("a", 0, 1)
    with pytest.raises(
        PayloadUnreadable,
        match="entry 0 of flow b cannot be written: what the store has as the journal entry 0 of flow a",
    ):
        await p.old.restore(JournalPart("b", 0, (entry,)))
    p.clock.now += 100_000
    target = MemoryStore(p.clock)
    with pytest.raises(
        PayloadUnreadable, match="the store cannot be copied: what the store has as the journal entry 0 of flow a"
    ):
        await copy_store(p.old, target)
    assert (await target.identity()).copy_of is not None


def forge_args(store: MemoryStore) -> None:
    row = store.state.flows["a"]
    row.flow = replace(row.flow, args=b"forged")


def forge_result(store: MemoryStore) -> None:
    store.state.flows["a"].result = b"forged"


def forge_mail(store: MemoryStore) -> None:
    (box,) = store.state.flows["a"].mail.values()
    box[0] = replace(box[0], message=replace(box[0].message, body=b"forged"))


def forge_kept(store: MemoryStore) -> None:
    (box,) = store.state.mailboxes.kept.values()
    box[0] = replace(box[0], message=replace(box[0].message, body=b"forged"))


@pytest.mark.parametrize("forge", [forge_args, forge_result, forge_mail, forge_kept])
def test_store_with_anything_forged_is_not_copied_even_unencrypted(forge: Callable[[MemoryStore], None]) -> None:
    async def main() -> None:
        p = Pair()
        await p.old.create(new("a"))
        await p.old.send(mail("a", "signal:go"))
        await p.old.send(signal("later"))
        forge(p.plain)
        with pytest.raises(PayloadUnreadable, match="the store cannot be copied: what the store has as the "):
            await copy_store(p.old, MemoryStore(p.clock))

    asyncio.run(main())


# Copies


@pair
async def test_copy_is_encrypted_anew_and_equal(p: Pair) -> None:
    await populate(p.bench())
    inner = MemoryStore(p.clock)
    target = EncryptedStore(inner, Keys({"k2": NEW}), "another")
    assert (await copy_store(p.old, target)).unequal == []
    assert await everything(target) == await everything(p.old)
    assert key_of((await inner.list(FlowQuery()))[0].args) == "k2"


@pair
async def test_copy_to_a_plain_store_is_decrypted(p: Pair) -> None:
    await populate(p.bench())
    target = MemoryStore(p.clock)
    assert (await copy_store(p.old, target)).unequal == []
    assert await everything(target) == await everything(p.old)


@pair
async def test_clone_reads_what_its_original_wrote(p: Pair) -> None:
    await p.old.create(new("a", args=b"1"))
    assert (await row_of(p.old.clone())).args == b"1"
