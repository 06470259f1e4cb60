"""Store addresses: which are understood, what they name, and what a wrong one is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_runtime.core.flows import FlowQuery
from ergon_runtime.errors import ConfigError, StoreMissing
from ergon_runtime.stores.url import MemoryAddress, SQLiteAddress, open_store, parse
from tests.redis_server import new_namespace
from tests.stores.harness import new


def address(scheme: str, folder: Path) -> str:
    match scheme:
        case "memory":
            return "memory://"
        case "redis":
            return new_namespace()
        case _:
            return f"sqlite:///{folder}/e.db"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///ergon.db", "ergon.db"),
        ("sqlite:///sub/ergon.db", "sub/ergon.db"),
        ("sqlite:////var/lib/ergon.db", "/var/lib/ergon.db"),
        ("SQLITE:////a%20b/%23%3f.db", "/a b/#?.db"),
        ("sqlite:///100%25.db", "100%.db"),
    ],
)
def test_sqlite_address_names_a_path(url: str, path: str) -> None:
    assert parse(url) == SQLiteAddress(Path(path))


def test_sqlite_address_takes_synchronous() -> None:
    assert parse("sqlite:///e.db?synchronous=normal") == SQLiteAddress(Path("e.db"), "normal")
    assert parse("sqlite:///e.db?synchronous=FULL") == SQLiteAddress(Path("e.db"), "full")


def test_sqlite_address_takes_what_is_refused_else() -> None:
    assert parse("sqlite:///e.db?network=allow") == SQLiteAddress(Path("e.db"), network=True)
    both = "sqlite:///e.db?backup=run&synchronous=normal"
    assert parse(both) == SQLiteAddress(Path("e.db"), "normal", run_backup=True)


def test_memory_address_has_no_path() -> None:
    assert parse("memory://") == MemoryAddress()
    assert parse("memory://").path is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "sqlite:///relative"),
        ("ergon.db", "sqlite:///relative"),
        ("postgres://h/db", "sqlite:///relative"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:////", "names no file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite://ergon.db", "sqlite:///ergon.db"),
        ("sqlite:///e.db?synchronous=off", "full or normal"),
        ("sqlite:///e.db?synchronous", "full or normal"),
        ("sqlite:///e.db?network=yes", "network is allow"),
        ("sqlite:///e.db?backup", "backup is run"),
        ("sqlite:///e.db?mode=ro", "'mode'; there are synchronous, network, backup"),
        ("sqlite:///a#b.db", "%23"),
        ("memory://x", "takes no path"),
    ],
)
def test_wrong_address_is_told_what_to_write(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(url)


def test_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("reds://user:secret@host/0")
    assert "secret" not in str(caught.value)
    assert "reds://...@host/0" in str(caught.value)


@pytest.mark.parametrize("scheme", ["memory", "sqlite", "redis"])
def test_opened_store_works_and_is_closed(scheme: str, tmp_path: Path) -> None:
    async def run() -> None:
        url = address(scheme, tmp_path)
        async with open_store(url) as store:
            assert await store.create(new())
            assert [row.id for row in await store.list(FlowQuery())] == ["a"]
            assert (await store.identity()).url == url

    asyncio.run(run())
    assert not list(tmp_path.glob("*-wal"))


@pytest.mark.parametrize("how", [{"create": False}, {"read_only": True}])
@pytest.mark.parametrize("scheme", ["sqlite", "redis"])
def test_store_that_is_not_there_is_not_created(scheme: str, how: dict[str, bool], tmp_path: Path) -> None:
    url = address(scheme, tmp_path)

    async def run() -> None:
        async with open_store(url, **how):
            pass

    for _ in range(2):
        with pytest.raises(StoreMissing, match=r"no store at .*; start a worker or schedule a flow"):
            asyncio.run(run())
    assert list(tmp_path.iterdir()) == []
