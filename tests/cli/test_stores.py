"""Opening the configured store: what is missing is told apart, and looking creates nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.stores import existing_store, missing_file
from ergon_runtime import StoreUnavailable
from ergon_runtime.config import Config, Flags, load_config
from ergon_runtime.core.flows import NewFlow
from tests.cli.shell import Shell, in_store


def config(folder: Path, store: str = "sqlite:///ergon.db") -> Config:
    return load_config(folder, {}, Flags(store=store))


def opened(config: Config, *, read_only: bool = False) -> str:
    async def look() -> str:
        async with existing_store(config, read_only=read_only) as store:
            return (await store.identity()).id

    return asyncio.run(look())


def test_missing_file_is_the_path_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    assert missing_file(config(tmp_path)) == tmp_path / "ergon.db"
    (tmp_path / "ergon.db").touch()
    assert missing_file(config(tmp_path)) is None
    assert missing_file(config(tmp_path, "memory://")) is None


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
        missing_file(config(tmp_path, store))
    assert said in str(caught.value)


def test_existing_store_that_is_not_there_is_not_found_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        opened(config(tmp_path))
    assert caught.value.code is ExitCode.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_existing_store_opens_the_same_store_twice(ergon: Shell) -> None:
    async def know(store: object) -> None:
        return None

    in_store(know)
    assert opened(config(ergon.folder)) == opened(config(ergon.folder), read_only=True)


def test_store_opened_to_be_read_refuses_writes(ergon: Shell) -> None:
    async def know(store: object) -> None:
        return None

    async def write() -> None:
        async with existing_store(config(ergon.folder), read_only=True) as store:
            await store.create(NewFlow("a", "order", None, "lane", b"{}", "seed"))

    in_store(know)
    with pytest.raises(StoreUnavailable, match="reading only"):
        asyncio.run(write())
