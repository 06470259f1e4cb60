"""What is said of a server's settings, and which are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.exceptions import BusyLoadingError

from ergon_runtime.errors import ConfigError, StoreUnavailable
from ergon_runtime.stores.redis.faults import translate
from ergon_runtime.stores.redis.guarantees import SAID, Guarantees, Tier, read
from tests.redis_server import Server
from tests.stores.redis.servers import command, opened, run, server


@pytest.fixture(scope="module")
def told() -> Iterator[Server]:
    """A server that is told its settings by each test."""
    with server() as made:
        yield made


def set_up(server: Server, **settings: str) -> None:
    plain = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    changes = {name.replace("_", "-"): value for name, value in settings.items()}
    for name, value in (plain | changes).items():
        command(server, "CONFIG", "SET", name, value)


def durability(server: Server, *, allow_volatile: bool) -> str:
    async def main() -> str:
        async with opened(server.url, allow_volatile=allow_volatile) as store:
            return (await store.identity()).durability

    return run(main)


@pytest.mark.parametrize(
    ("settings", "tier"),
    [
        ({"appendfsync": "always"}, "sync"),
        ({}, "fast"),
        ({"maxmemory_policy": "volatile-lru"}, "fast"),  # no key of ours expires
    ],
)
def test_server_that_keeps_what_it_is_given_is_taken(told: Server, settings: dict[str, str], tier: Tier) -> None:
    set_up(told, **settings)
    assert durability(told, allow_volatile=False) == SAID[tier]


@pytest.mark.parametrize(
    ("settings", "tier", "said"),
    [
        ({"appendfsync": "no"}, "late", "set appendfsync everysec, or accept it with --allow-volatile"),
        ({"appendonly": "no"}, "volatile", "set appendonly yes, or accept it with --allow-volatile"),
    ],
)
def test_server_that_may_lose_much_is_taken_if_that_is_allowed(
    told: Server, settings: dict[str, str], tier: Tier, said: str
) -> None:
    set_up(told, **settings)
    with pytest.raises(ConfigError, match=said):
        durability(told, allow_volatile=False)
    assert durability(told, allow_volatile=True) == SAID[tier]


def test_server_that_is_loading_its_data_is_waited_for_and_not_called_volatile() -> None:
    class Loading:
        async def info(self, section: str) -> dict[str, int]:
            return {"loading": 1, "aof_enabled": 0} if section == "persistence" else {}

    async def ask() -> None:
        await read(cast(Redis, Loading()))

    with pytest.raises(BusyLoadingError) as raised:
        run(ask)
    error = translate(raised.value, "redis://here")
    assert type(error) is StoreUnavailable
    assert "still loading its data; wait" in str(error)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_server_that_throws_keys_away_is_refused(told: Server, policy: str) -> None:
    set_up(told, maxmemory_policy=policy)
    for allow_volatile in (False, True):
        with pytest.raises(ConfigError, match=f"{policy}.*noeviction"):
            durability(told, allow_volatile=allow_volatile)


@pytest.mark.parametrize(("version", "fits"), [("6.0.16", False), ("6.2.0", True), ("10.0.0", True), ("", True)])
def test_server_that_is_too_old_is_refused(version: str, fits: bool) -> None:
    found = Guarantees(version, "run", "sync", "noeviction")
    if fits:
        found.check("here", allow_volatile=False)
        return
    with pytest.raises(ConfigError, match=r"the server is Redis 6\.0\.16; use 6\.2 or newer"):
        found.check("here", allow_volatile=True)
