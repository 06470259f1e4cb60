"""Finds the server that holds the namespace, and connects to it: named, or asked of sentinels, or of a cluster's nodes.

All keys of a namespace lie in one slot, so that one server at a time has them all, in a cluster too. After a failover
or a move the next `connect` finds the new one.
"""

from __future__ import annotations

import ssl
from typing import Any, assert_never

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError, RedisError

from ergon_runtime.stores.redis.address import RedisAddress


class Servers:
    """Connects to whoever serves an address now. `timeout` is in seconds, for connecting and for each answer."""

    def __init__(self, address: RedisAddress, timeout: float) -> None:
        self.address, self._timeout = address, timeout
        self._nodes = list(address.hosts)

    async def connect(self, *, listens: bool = False) -> Redis:
        """A client with one connection of its own; one that `listens` may be silent for long. Raises RedisError."""
        address = self.address
        match address.kind:
            case "server":
                return self._client(*address.hosts[0], listens=listens)
            case "socket":
                return self._client(None, 0, listens=listens)
            case "sentinel":
                return self._client(*await self._master(), listens=listens)
            case "cluster":
                return self._client(*await self._node(), listens=listens)
            case _:
                assert_never(address.kind)

    async def _master(self) -> tuple[str, int]:
        """Whom the sentinels call the master."""
        address = self.address
        asked = Sentinel(
            list(address.hosts),
            sentinel_kwargs={"password": address.sentinel_password, **self._transport(), **self._patience()},
        )
        try:
            host, port = await asked.discover_master(address.service)
        finally:
            for sentinel in asked.sentinels:
                await sentinel.aclose()
        return str(host), int(port)

    async def _node(self) -> tuple[str, int]:
        """The node that has the namespace's slot, by the first node that answers."""
        slot = key_slot(f"{{{self.address.namespace}}}".encode())
        failure: Exception = ConnectionError("the cluster has no node for the namespace's slot")
        for host, port in dict.fromkeys([*self._nodes, *self.address.hosts]):
            client = self._client(host, port, listens=False)
            try:
                ranges: Any = await client.execute_command("CLUSTER SLOTS")
            except (RedisError, OSError) as error:
                failure = error
                continue
            finally:
                await client.aclose()
            owners = {(first, last): owner for (first, last), owner in _owners(ranges, host)}
            self._nodes = list(dict.fromkeys(owners.values()))
            for (first, last), owner in owners.items():
                if first <= slot <= last:
                    return owner
        raise failure

    def _client(self, host: str | None, port: int, *, listens: bool) -> Redis:
        address = self.address
        where: dict[str, Any] = {"host": host, "port": port} if host else {"unix_socket_path": address.socket}
        patience = self._patience() | ({"socket_timeout": None, "socket_keepalive": True} if listens else {})
        return Redis(
            **where,
            db=address.database,
            username=address.user,
            password=address.password,
            single_connection_client=not listens,
            **self._transport(),
            **patience,
        )

    def _patience(self) -> dict[str, Any]:
        return {
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
        }

    def _transport(self) -> dict[str, Any]:
        if not self.address.tls:
            return {}
        return {
            "ssl": True,
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            "ssl_check_hostname": True,
            "ssl_ca_certs": self.address.ca,
        }


def _owners(ranges: Any, asked: str) -> Any:
    """(first slot, last slot), (host, port) of each master in the answer to CLUSTER SLOTS, as bytes or text."""
    for part in ranges:
        if isinstance(part, dict):  # a client that reads the answer for us
            yield (part["start_slot"], part["end_slot"]), (part["primary"][0], part["primary"][1])
            continue
        first, last, master, *_ = part
        host = master[0].decode() if isinstance(master[0], bytes) else master[0]
        yield (int(first), int(last)), (host or asked, int(master[1]))
