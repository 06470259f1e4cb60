"""Finds the server that holds the namespace, and connects to it: named, or asked of sentinels, or of a cluster's nodes.

All keys of a namespace lie in one slot, so that one server at a time has them all, in a cluster too. After a failover
or a move the next `connect` finds the new one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import assert_never

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError

from ergon_runtime.errors import StoreUnavailable
from ergon_runtime.stores.redis.address import RedisAddress
from ergon_runtime.stores.redis.discovery import PATIENCE, Nodes, Sentinels
from ergon_runtime.stores.redis.faults import understood
from ergon_runtime.stores.redis.guarantees import info


class Servers:
    """Connects to whoever serves an address now. `timeout` is in seconds, for connecting and for each answer."""

    def __init__(self, address: RedisAddress, timeout: float) -> None:
        self.address, self._timeout = address, timeout
        asked = replace(address, user=None, password=address.sentinel_password, database=0)
        self._sentinels = Sentinels(address, partial(_client, asked, min(timeout, PATIENCE)))
        self._nodes = Nodes(address, partial(_client, address, min(timeout, PATIENCE)))
        self._last: tuple[str | None, int] | None = None

    async def connect(self, *, listens: bool = False) -> Redis:
        """A client, connected; one that `listens` may be silent for long. Raises RedisError, OSError; StoreUnavailable
        for what a person must put right."""
        self._check_ca()
        host, port = await self._place()
        client = _client(self.address, self._timeout, host, port, listens=listens)
        try:
            with understood():
                await client.initialize()
            if self.address.kind == "sentinel" and not listens:
                await _check_master(client)
        except BaseException:
            await client.aclose()
            raise
        self._last = host, port
        return client

    async def moved(self) -> bool:
        """Whether another server serves the address than the one connected to last. Raises as `connect` does."""
        return self._last is not None and await self._place() != self._last

    def _check_ca(self) -> None:
        ca = self.address.ca
        if ca is not None and not Path(ca).is_file():
            raise StoreUnavailable(
                f"store {self.address.shown}: there is no file {ca} of trusted certificates: correct ?ca="
            )

    async def _place(self) -> tuple[str | None, int]:
        """Where to connect to; None for the address's socket."""
        address = self.address
        match address.kind:
            case "server":
                return address.hosts[0]
            case "socket":
                return None, 0
            case "sentinel":
                return await self._sentinels.find()
            case "cluster":
                return await self._nodes.find()
            case _:
                assert_never(address.kind)


async def _check_master(client: Redis) -> None:
    """Sentinels that have missed a failover name a server that is a replica by now: it would be read for ever."""
    if (await info(client, "replication")).get("role") != "master":
        raise ReadOnlyError("READONLY the sentinels named a replica")


def _client(address: RedisAddress, timeout: float, host: str | None, port: int, *, listens: bool = False) -> Redis:
    """A client of one connection, that redis-py neither repairs nor greets more than it must: RESP2, no CLIENT."""
    return Redis(
        host=host or "",
        port=port,
        unix_socket_path=None if host else address.socket,
        db=address.database,
        username=address.user,
        password=address.password,
        protocol=2,
        driver_info=None,
        single_connection_client=not listens,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None if listens else timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=bool(host),
        ssl=address.tls,
        ssl_ca_certs=address.ca,
    )
