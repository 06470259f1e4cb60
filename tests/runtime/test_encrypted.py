"""Flows over encrypted stores: nothing of them is there in the clear; what cannot be read blocks, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime import FlowHandle, Keys, Scheduler, Store, Worker, open_store
from ergon_runtime.core.flows import CANCEL, FlowRow, Message, Send, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.core.payloads import key_of
from ergon_runtime.core.retry import RetryPolicy
from ergon_runtime.definitions import flow, registry, step
from ergon_runtime.errors import Conflict
from ergon_runtime.primitives import continue_as_new, heartbeat, invoke, sleep, wait_signal
from ergon_runtime.stores.encrypted.store import EncryptedStore
from ergon_runtime.stores.memory import MemoryStore
from tests.redis_server import Server
from tests.runtime.rigs import Rig, stands, store_clock, virtual

K1, K2 = bytes(32), b"\1" * 32
CANARY = b"c4n4ry"


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    with registry.isolated():
        yield


# Nothing in the clear


def secretive() -> tuple[Any, Any]:
    """A flow that has the canary in everything it stores, and its child."""
    tries: list[str] = []

    @step(retry=RetryPolicy(max_attempts=2, initial=0.01))
    async def charge(card: str) -> str:
        heartbeat({"at": card})
        if not tries:
            tries.append(card)
            raise ValueError(f"{card} was refused")
        return card

    @flow
    async def bill(card: str) -> str:
        raise LookupError(f"no {card}")

    @flow
    async def order(card: str, again: bool = True) -> str:
        charged = await charge(card)
        said = await wait_signal("go", str)
        try:
            await invoke(bill(charged))
        except LookupError as error:
            said += str(error)
        if again:
            continue_as_new(order(f"{card} {said}", again=False))
        await sleep(0.01, name="pause")
        return f"{charged} {said} {card}"

    return order, bill


async def live_through(url: str, keys: Keys | None) -> None:
    """Run that flow, and leave others in every status."""
    order, bill = secretive()
    secret = CANARY.decode()
    async with open_store(url, keys=keys) as store:
        scheduler = Scheduler(store)
        handle = await scheduler.schedule(order(secret), id="a")
        async with await Worker(store).register(order, bill).start():
            await handle.signal("go", f"signal {secret}")
            await scheduler.signal("go", f"named {secret}")
            assert secret in await handle.result(timeout=120)
            waiting = await scheduler.schedule(order(secret), id="waiting")
            await stands(waiting, "waiting")
        await scheduler.signal("nobody", secret)
        await waiting.signal("later", secret)
        await scheduler.schedule(order(secret), id="pending")


def places_of(folder: Path) -> list[str]:
    """The files below a folder that hold the canary."""
    return [path.name for path in folder.rglob("*") if path.is_file() and CANARY in path.read_bytes()]


@pytest.mark.parametrize("keys", [None, Keys({"k1": K1})], ids=["plain", "encrypted"])
def test_canary_is_in_no_byte_of_a_sqlite_file(tmp_path: Path, keys: Keys | None) -> None:
    found: set[str] = set()

    async def main() -> None:
        url = f"sqlite:///{tmp_path}/store.db"
        async with open_store(url):  # as long as it is open, the log is not deleted
            await live_through(url, keys)
            assert (tmp_path / "store.db-wal").stat().st_size > 10_000
            found.update(places_of(tmp_path))

    asyncio.run(main())
    found.update(places_of(tmp_path))
    assert found == (set() if keys else {"store.db", "store.db-wal"})


@pytest.mark.parametrize("keys", [None, Keys({"k1": K1})], ids=["plain", "encrypted"])
def test_canary_is_in_no_byte_of_a_redis_log(tmp_path: Path, keys: Keys | None) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        asyncio.run(live_through(server.url, keys))
    finally:
        server.kill()
    logs = [path for path in tmp_path.rglob("*.aof") if path.stat().st_size > 10_000]
    assert logs
    assert bool(places_of(tmp_path)) == (keys is None)


# What cannot be read


class Shop:
    """A plain store, and handles on it with keys."""

    def __init__(self) -> None:
        self.plain = MemoryStore(clock=store_clock)

    def keyed(self, *, read_plain: bool = False, **secrets: bytes) -> EncryptedStore:
        return EncryptedStore(self.plain, Keys(secrets, read_plain), "store")

    def rig(self, **secrets: bytes) -> Rig:
        return Rig(self.keyed(**secrets))

    @property
    def row(self) -> Any:
        return self.plain.state.flows["f"]


def why(row: FlowRow) -> tuple[str, str]:
    assert row.status is Status.BLOCKED
    found = read_note(row.note)["why"]
    return found["kind"], found["message"]


def waiter() -> Any:
    @step
    async def charge(card: str) -> str:
        return f"charged {card}"

    @flow
    async def buy(card: str) -> str:
        charged = await charge(card)
        return f"{charged}, {await wait_signal('go', str)}"

    return buy


async def waiting(here: Rig, buy: Any) -> FlowHandle[Any]:
    """The flow, waiting, and out of every worker's memory."""
    worker = here.start(buy)
    handle = await here.scheduler.schedule(buy("card"), id="f")
    await stands(handle, "waiting")
    await worker.shutdown()
    return handle


def test_flow_written_with_a_key_that_a_worker_lacks_waits_for_one_that_has_it() -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        old, new = shop.rig(k1=K1), shop.rig(k2=K2, k1=K1)
        old.start(buy, fingerprint="code k1")
        handle = await new.scheduler.schedule(buy("card"), id="f")
        await stands(handle, "blocked")
        said = (
            "the stored arguments cannot be read: it is encrypted with key 'k2', which is not among the [crypto] keys"
        )
        assert why(await old.row()) == ("unreadable", f"{said} here; add it")
        await handle.signal("go", "now")
        new.start(buy, fingerprint="code k2 k1")
        assert await handle.result() == "charged card, now"
        await old.close()
        await new.close()

    virtual(main)


def test_worker_without_any_key_blocks_what_is_encrypted_and_loses_nothing() -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        keyed, blind = shop.rig(k1=K1), Rig(shop.plain)
        blind.start(buy, fingerprint="code")
        handle = await keyed.scheduler.schedule(buy("card"), id="f")
        await handle.signal("go", "now")
        await stands(handle, "blocked")
        assert key_of((await blind.row()).args) == "k1"
        assert shop.row.journal == []
        keyed.start(buy, fingerprint="code k1")
        assert await handle.result() == "charged card, now"
        await blind.close()
        await keyed.close()

    virtual(main)


def test_fingerprints_of_workers_with_other_keys_differ() -> None:
    shop, buy = Shop(), waiter()

    async def fingerprint(store: Store) -> str:
        async with await Worker(store).register(buy).start() as running:
            return running.engine.fingerprint

    async def main() -> None:
        plain, *keyed = [shop.plain, shop.keyed(k1=K1), shop.keyed(k2=K2, k1=K1), shop.keyed(k2=K2, k1=K1)]
        found = [await fingerprint(store) for store in (plain, *keyed)]
        assert len(set(found)) == 3
        assert found[2] == found[3]

    asyncio.run(main())


def forge_arguments(row: Any) -> None:
    row.flow = replace(row.flow, args=b'{"card":"forged"}')


def forge_entry(row: Any) -> None:
    row.journal[1] = row.journal[1][:-1] + bytes([row.journal[1][-1] ^ 1])


def swap_entries(row: Any) -> None:
    row.journal.reverse()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            forge_arguments,
            "the stored arguments cannot be read: what the store has as the arguments of flow f is not encrypted",
        ),
        (
            forge_entry,
            "journal entry 1 cannot be read: what the store has as the journal entry 1 of flow f is not what was",
        ),
        (
            swap_entries,
            "journal entry 0 cannot be read: what the store has as the journal entry 0 of flow f is not what was",
        ),
    ],
)
def test_flow_that_was_changed_in_the_store_is_blocked(damage: Any, said: str) -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        here = shop.rig(k1=K1)
        handle = await waiting(here, buy)
        before = (shop.row.flow, list(shop.row.journal))
        damage(shop.row)
        here.start(buy)
        await handle.signal("go", "now")
        await stands(handle, "blocked")
        kind, message = why(await here.row())
        assert (kind, message[: len(said)]) == ("unreadable", said)
        shop.row.flow, shop.row.journal = before
        here.start(buy, fingerprint="other")
        assert await handle.result() == "charged card, now"
        await here.close()

    virtual(main)


@pytest.mark.parametrize("channel", ["signal:go", CANCEL])
def test_message_that_was_forged_is_neither_believed_nor_put_away(channel: str) -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        here = shop.rig(k1=K1)
        handle = await waiting(here, buy)
        here.start(buy)
        await shop.plain.send(Send("f", Message("forged", channel, b'"forged"')))
        await stands(handle, "blocked")
        kind, message = why(await here.row())
        assert kind == "unreadable"
        assert message.startswith(f"message 'forged' on {channel!r} cannot be read: what the store has as the message ")
        assert (await here.row()).aside == ()
        await here.close()

    virtual(main)


def test_note_that_was_forged_counts_as_none() -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        here = shop.rig(k1=K1)
        handle = await waiting(here, buy)
        shop.row.note = b'{"attempt":7,"why":{"kind":"paused","message":"forged"}}'
        assert read_note((await here.row()).note) == {}
        here.start(buy)
        await handle.signal("go", "now")
        assert await handle.result() == "charged card, now"
        await here.close()

    virtual(main)


def test_result_that_was_forged_is_no_result() -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        here = shop.rig(k1=K1)
        here.start(buy)
        handle = await here.scheduler.schedule(buy("card"), id="f")
        await handle.signal("go", "now")
        await handle.result()
        shop.row.result = b'["completed","\\"forged\\"",null]'
        with pytest.raises(Exception, match="the result of flow f is not encrypted"):
            await handle.result()
        await here.close()

    virtual(main)


# Keys that change


def test_flow_goes_on_through_a_rotation_of_keys() -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        old, new = shop.rig(k1=K1), shop.rig(k2=K2, k1=K1)
        handle = await waiting(old, buy)
        assert await new.scheduler.schedule(buy("card"), id="f")
        with pytest.raises(Conflict):
            await new.scheduler.schedule(buy("other"), id="f")
        new.start(buy)
        await handle.signal("go", "by the old key")
        assert await new.scheduler.handle("f").result() == "charged card, by the old key"
        assert {key_of(entry) for entry in shop.row.journal} == {"k1", "k2"}
        await new.close()

    virtual(main)


def test_flow_from_before_encryption_goes_on_if_plain_is_read() -> None:
    shop, buy = Shop(), waiter()

    async def main() -> None:
        handle = await waiting(Rig(shop.plain), buy)
        here = Rig(shop.keyed(read_plain=True, k1=K1))
        here.start(buy)
        await handle.signal("go", "in the clear")
        assert await here.scheduler.handle("f").result() == "charged card, in the clear"
        assert [key_of(entry) for entry in shop.row.journal] == [None, None, "k1"]
        await here.close()

    virtual(main)
