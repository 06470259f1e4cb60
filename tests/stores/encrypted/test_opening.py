"""Opening stores with and without keys: who is let in, and what is said to the others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ergon_runtime.core.flows import FlowRow
from ergon_runtime.core.payloads import key_of
from ergon_runtime.errors import ConfigError, StoreLocked
from ergon_runtime.stores import Keys, Store, StoreIdentity, open_store
from tests.redis_server import new_namespace
from tests.stores.harness import new

K1, K2 = bytes(32), b"\1" * 32


class Place:
    """A store's address, and short words for what is done there."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def create(self, flow: str, keys: Keys | None = None) -> None:
        async with open_store(self.url, keys=keys) as store:
            await store.create(new(flow, args=b'"secret"'))

    async def look(self, flow: str, keys: Keys | None = None, **options: Any) -> FlowRow:
        async with open_store(self.url, keys=keys, create=False, **options) as store:
            row = await store.get(flow)
            assert row is not None
            return row

    async def identity(self) -> StoreIdentity:
        async with open_store(self.url, read_only=True, keyless=True) as store:
            return await store.identity()

    async def refusal(self, keys: Keys | None = None, **options: Any) -> str:
        with pytest.raises(StoreLocked) as caught:
            async with open_store(self.url, keys=keys, **options):
                pass
        assert (await self.identity()).url in str(caught.value)
        return str(caught.value)


def keys(*, read_plain: bool = False, **secrets: bytes) -> Keys:
    return Keys(secrets, read_plain)


def on_sqlite_and_redis(scenario: Callable[[Place], Awaitable[None]]) -> Callable[[str, Path], None]:
    @pytest.mark.parametrize("kind", ["sqlite", "redis"])
    def test(kind: str, tmp_path: Path) -> None:
        async def run() -> None:
            await scenario(Place(new_namespace() if kind == "redis" else f"sqlite:///{tmp_path}/ergon.db"))

        asyncio.run(run())

    test.__name__ = scenario.__name__
    return test


@on_sqlite_and_redis
async def test_store_keeps_a_check_of_each_key_that_writes(place: Place) -> None:
    await place.create("a", keys(k1=K1))
    (first,) = (await place.identity()).key_checks
    await place.create("b", keys(k2=K2, k1=K1))
    await place.create("c", keys(k1=K1, k2=K2))
    known = (await place.identity()).key_checks
    assert [key for key, _ in known] == ["k1", "k2"]
    assert known[0] == first
    assert (await place.look("a", keys(k2=K2, k1=K1))).args == b'"secret"'


@on_sqlite_and_redis
async def test_handle_tells_which_keys_it_has(place: Place) -> None:
    async with open_store(place.url, keys=keys(k2=K2, k1=K1)) as store:
        assert (await store.identity()).keys == ("k2", "k1")
        assert (await store.identity()).key_checks[0][0] == "k2"
    assert (await place.identity()).keys == ()


@on_sqlite_and_redis
async def test_another_key_with_the_same_id_is_refused(place: Place) -> None:
    await place.create("a", keys(k1=K1))
    for wrong in (keys(k1=K2), keys(k2=K1, k1=K2)):
        said = await place.refusal(wrong)
        assert "was written with another key 'k1' than the one configured" in said
    assert len((await place.identity()).key_checks) == 1


@on_sqlite_and_redis
async def test_without_one_of_the_keys_it_is_refused_but_may_be_looked_into(place: Place) -> None:
    await place.create("a", keys(k1=K1))
    await place.create("b", keys(k2=K2, k1=K1))
    assert "encrypted with key 'k2', which is not configured" in await place.refusal(keys(k1=K1))
    assert "configure its keys: [crypto] keys in ergon.toml, or ERGON_CRYPTO__KEYS" in await place.refusal()
    look: dict[str, Any] = {"read_only": True, "keyless": True}
    assert (await place.look("a", keys(k1=K1), **look)).args == b'"secret"'
    assert key_of((await place.look("b", keys(k1=K1), **look)).args) == "k2"
    assert key_of((await place.look("b", **look)).args) == "k2"


@on_sqlite_and_redis
async def test_plain_store_is_refused_with_keys_unless_it_is_empty_or_that_is_allowed(place: Place) -> None:
    await place.create("a")
    for options in ({}, {"read_only": True}):
        said = await place.refusal(keys(k1=K1), **options)
        assert "is not encrypted, and it is not empty; copy it to a new one (ergon store copy)" in said
    assert (await place.identity()).key_checks == ()
    both = keys(k1=K1, read_plain=True)
    assert (await place.look("a", both, read_only=True)).args == b'"secret"'
    assert (await place.identity()).key_checks == ()
    await place.create("b", both)
    assert [(await place.look(flow, both)).args for flow in "ab"] == [b'"secret"', b'"secret"']
    assert "no keys are configured" in await place.refusal()


@on_sqlite_and_redis
async def test_writer_that_comes_second_with_another_key_of_that_id_is_refused(place: Place) -> None:
    async with open_store(place.url) as store:
        identity = store.identity

        async def stale() -> StoreIdentity:
            store.identity = identity  # type: ignore[method-assign]  # what it saw before the other one wrote
            found = await identity()
            await place.create("a", keys(k1=K1))
            return found

        store.identity = stale  # type: ignore[method-assign]  # the same
        with pytest.raises(StoreLocked, match="another key 'k1'"):
            await _checked(store, keys(k1=K2))


async def _checked(store: Store, wrong: Keys) -> None:
    from ergon_runtime.stores.encrypted.locks import check_keys

    await check_keys(store, wrong, keyless=False, read_only=False)


def test_memory_store_is_encrypted_too() -> None:
    async def run() -> None:
        async with open_store("memory://", keys=keys(k1=K1)) as store:
            await store.create(new("a", args=b"1"))
            row = await store.get("a")
            assert row is not None
            assert row.args == b"1"
            assert [key for key, _ in (await store.identity()).key_checks] == ["k1"]

    asyncio.run(run())


def test_keys_without_the_library_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("cryptography", "ergon_runtime.stores.encrypted."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)

    async def run() -> None:
        async with open_store("memory://", keys=keys(k1=K1)):
            pass

    with pytest.raises(ConfigError, match=r"pip install 'ergon-runtime\[crypto\]'"):
        asyncio.run(run())
