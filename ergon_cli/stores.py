"""Opening the configured store. A mistyped address creates nothing where a store is only looked into."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from ergon_cli.exits import CommandError, ExitCode
from ergon_runtime import Store, open_store
from ergon_runtime.config import Config
from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores import parse


def missing_file(config: Config) -> Path | None:
    """The file that the configured store lives in, if it does not exist yet. Raises StoreUnavailable if even its folder
    does not, or may not be looked into; ConfigError for the address."""
    path, origin = parse(config.store_url).path, config.origins["store"]
    if path is None:
        return None
    try:
        path.stat()
    except FileNotFoundError:
        if path.parent.is_dir():
            return path
        said = f"the folder of store {path} does not exist (store from: {origin}); create it, or name another"
        raise StoreUnavailable(said) from None
    except OSError as error:
        said = (
            f"cannot look for store {path}: {error.strerror} (store from: {origin}); check the path and its permissions"
        )
        raise StoreUnavailable(said) from None
    return None


@contextlib.asynccontextmanager
async def existing_store(config: Config, *, read_only: bool = False) -> AsyncGenerator[Store]:
    """Open the configured store, which must exist. Raises CommandError: NOT_FOUND; StoreError."""
    if (path := missing_file(config)) is not None:
        raise CommandError(
            ExitCode.NOT_FOUND,
            f"there is no store at {path} yet (from: {config.origins['store']})",
            "schedule a flow first, or name the store with --store",
        )
    async with open_store(config.store_url, create=False, read_only=read_only) as store:
        yield store
