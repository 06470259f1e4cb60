"""Opening the configured store. A mistyped address creates nothing where a store is only looked into."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from ergon_cli.exits import CommandError, ExitCode
from ergon_cli.render import note
from ergon_runtime import ConfigError, Keys, Store, StoreMissing, StoreUnavailable, open_store, read_keys
from ergon_runtime.config import Config
from ergon_runtime.stores import parse


class NoStore(CommandError):
    """There is no store at the configured address yet."""

    def __init__(self, place: str, config: Config) -> None:
        said = f"there is no store at {place} yet (from: {config.origins['store']})"
        super().__init__(ExitCode.NOT_FOUND, said, "schedule a flow first, or name the store with --store")


def new_store(config: Config) -> contextlib.AbstractAsyncContextManager[Store]:
    """Open the configured store, and create it if need be. Raises StoreError, and ConfigError for a server that may
    lose flows."""
    return open_store(config.store_url, allow_volatile=config.allow_volatile, keys=keys_of(config))


def keys_of(config: Config) -> Keys | None:
    """The encryption keys, if any are configured. Raises ConfigError for those that cannot be had."""
    return read_keys(config.key_sources, read_plain=config.read_plain) if config.key_sources else None


@contextlib.asynccontextmanager
async def existing_store(config: Config, *, read_only: bool = False, keyless: bool = False) -> AsyncGenerator[Store]:
    """Open the configured store, which must exist. With `keyless` it may be looked into though keys are missing. Raises
    NoStore; StoreError; ConfigError for keys."""
    _look_for_file(config)
    keys = _keys_at_hand(config) if keyless else keys_of(config)
    async with contextlib.AsyncExitStack() as stack:
        try:
            opening = open_store(config.store_url, create=False, read_only=read_only, keys=keys, keyless=keyless)
            store = await stack.enter_async_context(opening)
        except StoreMissing:
            raise NoStore(parse(config.store_url).shown, config) from None
        yield store


def _keys_at_hand(config: Config) -> Keys | None:
    try:
        return keys_of(config)
    except ConfigError as error:
        note(f"what is encrypted is not shown: {error}")
        return None


def _look_for_file(config: Config) -> None:
    """If the store is a file: look for it. Raises NoStore if it is not there; StoreUnavailable if even its folder is
    not, or may not be looked into; ConfigError for the address."""
    path, origin = parse(config.store_url).path, config.origins["store"]
    if path is None:
        return
    try:
        path.stat()
    except FileNotFoundError:
        if path.parent.is_dir():
            raise NoStore(str(path), config) from None
        said = f"the folder of store {path} does not exist (store from: {origin}); create it, or name another"
        raise StoreUnavailable(said) from None
    except OSError as error:
        said = (
            f"cannot look for store {path}: {error.strerror} (store from: {origin}); check the path and its permissions"
        )
        raise StoreUnavailable(said) from None
