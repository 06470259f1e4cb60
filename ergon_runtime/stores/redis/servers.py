"""Finds the server that holds the namespace, and connects to it: named, or asked of sentinels, or of a cluster's nodes.

All keys of a namespace lie in one slot, so that one server at a time has them all, in a cluster too. After a failover
or a move the next `connect` finds the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, assert_never, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as Unreached
from redis.exceptions import RedisError

from ergon_runtime.stores.redis.address import RedisAddress


class Servers:
    """Connects to whoever serves an address now. `timeout` is in seconds, for connecting and for each answer."""

    def __init__(self, address: RedisAddress, timeout: float) -> None:
        self.address, self._timeout = address, timeout
        self._nodes = list(address.hosts)

    async def connect(self, *, listens: bool = False) -> Redis:
        """A client, connected; one that `listens` may be silent for long. Raises RedisError, OSError."""
        address = self.address
        match address.kind:
            case "server":
                client = self._client(*address.hosts[0], listens=listens)
            case "socket":
                client = self._client(None, 0, listens=listens)
            case "sentinel":
                client = self._client(*await self._master(), listens=listens)
            case "cluster":
                client = self._client(*await self._node(), listens=listens)
            case _:
                assert_never(address.kind)
        try:
            return await client.initialize()
        except BaseException:
            await client.aclose()
            raise

    async def _master(self) -> tuple[str, int]:
        """Whom the sentinels call the master."""
        address = self.address
        how: dict[str, Any] = {
            "password": address.sentinel_password,
            "protocol": 2,
            "driver_info": None,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "ssl": address.tls,
            "ssl_ca_certs": address.ca,
        }
        asked: Any = Sentinel(list(address.hosts), sentinel_kwargs=how)  # type: ignore[no-untyped-call]  # it has no types
        try:
            host, port = await asked.discover_master(address.service)
        finally:
            for sentinel in asked.sentinels:
                await sentinel.aclose()
        return str(host), int(port)

    async def _node(self) -> tuple[str, int]:
        """The node that has the namespace's slot, by the first node that answers."""
        slot = key_slot(f"{{{self.address.namespace}}}".encode())
        failure: Exception = Unreached("the cluster has no node for the namespace's slot")
        for host, port in dict.fromkeys([*self._nodes, *self.address.hosts]):
            client: Any = self._client(host, port, listens=False)  # Any: it types no commands of a cluster
            try:
                ranges = await client.execute_command("CLUSTER SLOTS")
            except (RedisError, OSError) as error:
                failure = error
                continue
            finally:
                await client.aclose()
            owners = dict(_owners(ranges, host))
            self._nodes = list(dict.fromkeys(owners.values()))
            for (first, last), owner in owners.items():
                if first <= slot <= last:
                    return owner
        raise failure

    def _client(self, host: str | None, port: int, *, listens: bool) -> Redis:
        """A client of one connection, that redis-py neither repairs nor greets more than it must: RESP2, no CLIENT."""
        address = self.address
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
            socket_timeout=None if listens else self._timeout,
            socket_connect_timeout=self._timeout,
            socket_keepalive=bool(host),
            ssl=address.tls,
            ssl_ca_certs=address.ca,
        )


def _owners(ranges: Any, asked: str) -> Iterator[tuple[tuple[int, int], tuple[str, int]]]:
    """(first slot, last slot), (host, port) of each master in the answer to CLUSTER SLOTS."""
    for part in ranges:
        if isinstance(part, dict):  # a client that reads the answer for us
            found = cast("dict[str, Any]", part)
            yield (found["start_slot"], found["end_slot"]), (found["primary"][0] or asked, found["primary"][1])
            continue
        first, last, master, *_ = part
        host = master[0].decode() if isinstance(master[0], bytes) else master[0]
        yield (int(first), int(last)), (host or asked, int(master[1]))
