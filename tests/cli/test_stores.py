"""Opening the configured store: what is missing is told apart, and looking creates nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_cli.exits import ExitCode
from ergon_cli.stores import NoStore, existing_store, new_store
from ergon_runtime import StoreUnavailable
from ergon_runtime.config import Config, Flags, load_config
from ergon_runtime.core.flows import NewFlow
from tests.redis_server import new_namespace


def config(folder: Path, store: str = "sqlite:///ergon.db") -> Config:
    return load_config(folder, {}, Flags(store=store))


def opened(config: Config, *, read_only: bool = False) -> str:
    async def look() -> str:
        async with existing_store(config, read_only=read_only) as store:
            return (await store.identity()).id

    return asyncio.run(look())


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("sqlite:///no/ergon.db", "does not exist (store from: flag); create it"),
        ("sqlite:///file/ergon.db", "cannot look for store"),
        (f"sqlite:///{'x' * 300}.db", "File name too long (store from: flag)"),
    ],
)
def test_place_where_no_store_can_be_is_unavailable(tmp_path: Path, store: str, said: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable) as caught:
        opened(config(tmp_path, store))
    assert said in str(caught.value)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Where no store is yet."""
    if request.param == "sqlite":
        return "sqlite:///ergon.db"
    return new_namespace()


@pytest.mark.parametrize("read_only", [False, True])
def test_existing_store_that_is_not_there_is_not_found_and_not_created(
    tmp_path: Path, url: str, read_only: bool
) -> None:
    for _ in range(2):
        with pytest.raises(NoStore, match=r"^there is no store at .* yet \(from: flag\)$") as caught:
            opened(config(tmp_path, url), read_only=read_only)
        assert caught.value.code is ExitCode.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def make(config: Config) -> str:
    async def know() -> str:
        async with new_store(config) as store:
            return (await store.identity()).id

    return asyncio.run(know())


def test_existing_store_opens_the_store_that_is_there(tmp_path: Path, url: str) -> None:
    there = config(tmp_path, url)
    assert make(there) == make(there) == opened(there) == opened(there, read_only=True)


def test_store_opened_to_be_read_refuses_writes(tmp_path: Path, url: str) -> None:
    async def write() -> None:
        async with existing_store(config(tmp_path, url), read_only=True) as store:
            await store.create(NewFlow("a", "order", None, "lane", b"{}", "seed"))

    make(config(tmp_path, url))
    with pytest.raises(StoreUnavailable, match="reading only"):
        asyncio.run(write())
