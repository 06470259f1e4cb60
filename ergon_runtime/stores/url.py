"""Store addresses: what they may look like, and how to open what they name.

    memory://                                  this process's memory
    sqlite:///ergon.db                         a file, relative to the working directory
    sqlite:////var/lib/ergon.db                a file, absolute
    sqlite:///ergon.db?synchronous=normal      faster, but a power cut may take the last commits
    sqlite:////mnt/nas/ergon.db?network=allow  on a network file system, used by one machine alone
    sqlite:///backup.db?backup=run             a backup, though the store that it was made of is still there
    redis://host:6379/0?namespace=ergon        a Redis server; redis/address.py has all forms

Percent-escapes are decoded in paths. A new kind of store is a case in `parse` and one in `_store`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, assert_never
from urllib.parse import parse_qsl, unquote, urlsplit

from ergon_runtime.errors import ConfigError, StoreUnfinished
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.encrypted.keys import Keys
from ergon_runtime.stores.encrypted.locks import check_keys, check_no_keys
from ergon_runtime.stores.redis.address import FORMS, SCHEMES, RedisAddress, parse_redis

if TYPE_CHECKING:
    from ergon_runtime.stores.sqlite.connection import Synchronous

_OPTIONS = {"synchronous": ("full", "normal"), "network": ("allow",), "backup": ("run",)}
_FILES = "memory://, sqlite:///relative/path.db or sqlite:////absolute/path.db"


@dataclass(frozen=True, slots=True)
class MemoryAddress:
    """This process's memory."""

    path: None = None
    shown: str = "memory://"


@dataclass(frozen=True, slots=True)
class SQLiteAddress:
    """A SQLite file. `path` is as written: relative ones are relative to the working directory."""

    path: Path
    synchronous: Synchronous = "full"
    network: bool = False
    """Take it on a network file system too."""
    run_backup: bool = False
    """Take it though it is a backup of a store that is still there."""

    @property
    def shown(self) -> str:
        """The path, for people."""
        return str(self.path)


Address = MemoryAddress | SQLiteAddress | RedisAddress


def parse(url: str) -> Address:
    """Read a store address; nothing is opened. Of the answer `path` is the store's file, if it has one, and `shown` the
    place in words, without secrets. Raises ConfigError."""
    scheme, separator, rest = url.partition("://")
    match scheme.lower() if separator else "":
        case "memory":
            if rest:
                raise ConfigError(f"memory:// takes no path or options, but the store is {_shown(url)!r}")
            return MemoryAddress()
        case "sqlite":
            return _sqlite(url)
        case redis if redis in SCHEMES:
            return parse_redis(url)
        case _:
            raise ConfigError(f"{_shown(url)!r} is not a store address; write {_FILES}, {FORMS}")


@contextlib.asynccontextmanager
async def open_store(
    url: str,
    *,
    create: bool = True,
    read_only: bool = False,
    allow_volatile: bool = False,
    unfinished: bool = False,
    keys: Keys | None = None,
    keyless: bool = False,
) -> AsyncGenerator[Store]:
    """Open the store at an address, and close it at the end of the `async with` block. Every memory:// is a new one.

    With `create=False` a store that does not exist is an error, and nothing is created. With `read_only` nothing is
    created, migrated or written; it works on files and folders that may only be read. With `allow_volatile` a Redis
    server will do that keeps no append-only file. A copy that is not finished is refused, unless `unfinished`. With
    `keys` payloads are encrypted; with `keyless` a store may be looked into whose keys are not among them. Raises
    ConfigError for the address, for a Redis server that forgets, and for keys without the library that they need;
    StoreMissing, StoreUnavailable, StoreCorrupt, SchemaMismatch, StoreUnfinished and StoreLocked for the store.
    """
    store = _store(parse(url), create=create, read_only=read_only, allow_volatile=allow_volatile)
    await store.open()
    try:
        if not unfinished and (source := (await store.identity()).copy_of) is not None:
            said = f"the store is an unfinished copy of {source.partition(' ')[2]}"
            raise StoreUnfinished(f"{said}; finish it: run the same `ergon store copy` again")
        if keys is None:
            await check_no_keys(store, keyless=keyless)
            yield store
        else:
            await check_keys(store, keys, keyless=keyless, read_only=read_only)
            yield await _encrypted(store, keys)
    finally:
        await store.close()


async def _encrypted(store: Store, keys: Keys) -> Store:
    try:
        from ergon_runtime.stores.encrypted.store import EncryptedStore
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        said = "encryption needs a library that is not installed; install it: pip install 'ergon-runtime[crypto]'"
        raise ConfigError(said) from None
    return EncryptedStore(store, keys, (await store.identity()).id)


def _store(address: Address, *, create: bool, read_only: bool, allow_volatile: bool) -> Store:
    match address:
        case MemoryAddress():
            from ergon_runtime.stores.memory import MemoryStore

            return MemoryStore()
        case SQLiteAddress(path, synchronous, network, run_backup):
            from ergon_runtime.stores.sqlite import SQLiteOptions, SQLiteStore

            return SQLiteStore(
                path, SQLiteOptions(create, read_only, synchronous, network=network, run_backup=run_backup)
            )
        case RedisAddress():
            from ergon_runtime.stores.redis.store import RedisOptions, RedisStore

            return RedisStore(address, RedisOptions(create=create, read_only=read_only, allow_volatile=allow_volatile))
        case _:
            assert_never(address)


def _sqlite(url: str) -> SQLiteAddress:
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        raise ConfigError(f"{_shown(url)!r} names no file; write {_FILES}") from None
    if parts.netloc:
        place = parts.netloc.rpartition("@")[2] + parts.path
        raise ConfigError(f"{_shown(url)!r} names a host; a path begins after three slashes: sqlite:///{place}")
    path = unquote(parts.path.removeprefix("/"))
    if path in {"", "/", ":memory:"} or "\0" in path:
        raise ConfigError(f"{url!r} names no file; write {_FILES}")
    if parts.fragment:
        raise ConfigError(f"{url!r} has a '#', which a path must write as %23")
    return _with_options(Path(path), url, parts.query)


def _with_options(path: Path, url: str, query: str) -> SQLiteAddress:
    options = {name: value.lower() for name, value in parse_qsl(query, keep_blank_values=True)}
    unknown = next((name for name in options if name not in _OPTIONS), None)
    if unknown is not None:
        raise ConfigError(f"{url!r} has the unknown option {unknown!r}; there are {', '.join(_OPTIONS)}")
    for name, value in options.items():
        if value not in _OPTIONS[name]:
            raise ConfigError(f"{url!r}: {name} is {' or '.join(_OPTIONS[name])}, not {value!r}")
    synchronous: Synchronous = "normal" if options.get("synchronous") == "normal" else "full"
    return SQLiteAddress(path, synchronous, "network" in options, "backup" in options)


def _shown(url: str) -> str:
    """The address without what may be a password."""
    _, hidden, place = url.rpartition("@")
    scheme, separator, _ = url.partition("://")
    return (f"{scheme}{separator}..." if hidden and separator else "") + (hidden + place).partition("?")[0]
