"""What `verify` finds in a namespace of Redis: each kind of damage, planted in a store that is whole."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from redis import Redis

from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores import rules
from ergon_runtime.stores.records import NameRecord, Place
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.records import ordered
from ergon_runtime.stores.redis.store import RedisStore
from ergon_runtime.stores.redis.verifying import damage
from tests.redis_server import shared_server
from tests.stores.conformance.test_verify import use
from tests.stores.harness import Bench, Clock, new
from tests.stores.redis.servers import run

DAMAGE = (
    ("key lost is none of a store", "SET lost 1"),
    ("key j:parent is a string, and should be a list", "SET j:parent 1"),
    ("key f:late expires", "EXPIRE f:late 1000"),
    ("key j:ghost is of a flow that is not there", "RPUSH j:ghost x"),
    ("key q:5:ghost:cancel is of a flow that is not there", "RPUSH q:5:ghost:cancel 1"),
    ("flow late: it is listed, and there is no such flow, or half of one", "DEL f:late"),
    ("key f:parent is of a flow that is not there", "ZREM all parent"),
    ("flow parent: in s=running it is missing", "ZREM s=running parent"),
    ("flow late: in s=failed it is ", "ZADD s=failed 1 late"),
    ("late is in s=failed, where it does not belong", "ZADD s=failed 1 late"),
    ("flow parent/c: it is completed, and its place in ended does not fit", "ZREM ended parent/c"),
    ("late is in ended, where it does not belong", "ZADD ended 1 late"),
    ("flow parent: it is running, and has no token", "HDEL f:parent token"),
    ("flow late: its status is lost", "HSET f:late status lost"),
    ("flow late: in d:1:default:T: it is missing", "ZREM d:1:default:T: late"),
    ("late is in d:5:default:T:, where it does not belong", "ZADD d:5:default:T: 1 late"),
    ("flow late: priority 1 is not known in lane default:T:", "SREM p:default:T: 1"),
    ("flow parent: in l:1000:default:T: it is 5, and should be ", "ZADD l:1000:default:T: 5 parent"),
    ("late is in l:1000:default:T:, where it does not belong", "ZADD l:1000:default:T: 5 late"),
    ("flow parent: leases of 1000 ms are not known in lane default:T:", "DEL n:default:T:"),
    ("flow parent/d: in kids:parent it is missing", "ZREM kids:parent parent/d"),
    ("late is in kids:parent, where it does not belong", "ZADD kids:parent 1 late"),
    ("flow waits: its wait on signal:go cannot be read", "HSET w:waits signal:go x"),
    ("flow waits: in on:child:x it is missing", "DEL on:child:x"),
    ("late is in on:child:x, where it does not belong", "ZADD on:child:x 1 late"),
    ("flow waits: in free:signal:stop it is missing", "DEL free:signal:stop"),
    ("late is in free:signal:stop, where it does not belong", "ZADD free:signal:stop 1 late"),
    ("cannot be read", "HSET m:waits 99 x"),
    ("in v:waits it is missing", "ZREMRANGEBYRANK v:waits 0 0"),
    ("flow waits: it hears messages that are not there", "ZADD v:waits 99 99"),
    ("is not found by its id 5, or is and should not", "HDEL x:waits 5"),
    ("flow waits: its mail on signal:far is not in the order in which it came", "RPUSH q:5:waits:signal:far 99"),
    ("reserved on signal:go, is not there", "DEL m:waits"),
    ("may be sent again after a prune", "DEL alive"),
    (" it is missing, and should be ", "DEL k:signal:other"),
    ("is in k:signal:other, where it does not belong", "ZADD k:signal:other 99 99"),
)


def store_and_raw() -> tuple[RedisStore, Redis, str, Clock]:
    """A store, and a client beside it with the prefix of the store's keys."""
    space, clock = secrets.token_hex(8), Clock()
    address = parse_redis(f"{shared_server().url}?namespace={space}")
    return RedisStore(address, clock=clock), Redis.from_url(shared_server().url), f"{{{space}}}:", clock


@pytest.mark.parametrize(("said", "command"), DAMAGE)
def test_verify_names_the_damage(said: str, command: str) -> None:
    async def main() -> None:
        store, raw, prefix, clock = store_and_raw()
        await store.open()
        await use(Bench(store, clock))
        assert await store.verify() == []
        name, key, *rest = command.split()
        if name == "SET":
            raw.delete(prefix + key)
        raw.execute_command(name, prefix + key, *rest)  # type: ignore[no-untyped-call]
        found = await store.verify()
        assert any(said in text for text in found), found
        await store.close()
        raw.close()

    run(main)


def test_verify_tells_of_so_much_damage_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "DAMAGE", 2)

    async def main() -> None:
        store, raw, prefix, _ = store_and_raw()
        await store.open()
        for n in range(5):
            raw.set(f"{prefix}lost{n}", 1)
        assert len(await store.verify()) == 2
        await store.close()
        raw.close()

    run(main)


def test_verify_looks_at_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergon_runtime.stores.redis.verifying.PAGE", 2)

    async def main() -> None:
        store, raw, prefix, _ = store_and_raw()
        await store.open()
        for n in range(25):
            await store.create(new(f"f{n:02}"))
        for n in (0, 12, 24):
            raw.hset(f"{prefix}f:f{n:02}", "due", 7)
        raw.zadd(f"{prefix}s=failed", {f"f{n:02}": 1 for n in range(25)})
        found = await store.verify()
        for n in (0, 12, 24):
            assert any(text.startswith(f"flow f{n:02}: in d:5:") for text in found), found
        assert sum("is in s=failed" in text for text in found) == 25
        await store.close()
        raw.close()

    run(main)


def test_verify_of_a_server_whose_cursor_never_ends_is_damage_and_no_endless_loop() -> None:
    async def garbled(*_: object) -> list[object]:
        return [b"7", [], []]

    async def look() -> None:
        async for _ in damage(garbled, "{x}:"):
            raise AssertionError

    with pytest.raises(StoreCorrupt, match="lists its keys without end"):
        asyncio.run(look())


def test_verify_of_a_server_whose_kept_messages_never_end_is_damage_and_no_endless_loop() -> None:
    answers = {"keys": [b"0", [], []], "flows": [0, []], "kept": [b"7", []]}

    async def garbled(what: str, *_: object) -> list[object]:
        return answers[what]

    async def look() -> None:
        async for _ in damage(garbled, "{x}:"):
            raise AssertionError

    with pytest.raises(StoreCorrupt, match="lists its kept messages without end"):
        asyncio.run(look())


@pytest.mark.parametrize("after", [None, (5, "1:a:b"), (5, "1:a:c"), (6, "")])
def test_records_out_of_order_are_damage_and_no_endless_loop(after: Place | None) -> None:
    one, other = NameRecord("a", "b", 5), NameRecord("a", "c", 5)
    if after is None or after[1] == "1:a:b":
        assert ordered([other], after) == [other]
    wrong = [other, one] if after is None else [one]
    with pytest.raises(StoreCorrupt, match="out of order"):
        ordered(wrong, after)
