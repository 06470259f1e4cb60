"""Ways in which a server refuses to serve, each with its beginning, its end, and what a message about it must say."""

from __future__ import annotations

import shutil
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis as redis_py
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.redis_server import Server
from tests.stores.redis.servers import command

Act = Callable[[Server], object]


@dataclass(frozen=True)
class Outage:
    """`says` is in every message about it; `settings` are the server's."""

    name: str
    begin: Act
    end: Act
    says: str
    settings: tuple[str, ...] = ()


def _stop(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)


def _go_on(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGCONT)


def _occupy(server: Server, script: str) -> None:
    """Keep the server busy with a script."""

    def run() -> None:
        once = Retry(NoBackoff(), 0)  # else it would begin anew on the next server
        path = str(server.socket)
        with redis_py.Redis(unix_socket_path=path, socket_timeout=60, retry=once) as client, suppress(RedisError):
            client.eval(script, 0)  # it is killed, as it is to be

    threading.Thread(target=run, daemon=True).start()
    while _asked(server) != "BUSY":
        pass


def _asked(server: Server) -> str:
    """The code that the server answers with."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(server.socket))
        line.sendall(b"PING\r\n")
        return line.recv(200).decode().split()[0].lstrip("-+")


def _occupied_writer(server: Server) -> None:
    _occupy(server, "redis.call('SET', 'elsewhere', '1') while true do end")
    with pytest.raises(RedisError, match="UNKILLABLE"):
        command(server, "SCRIPT", "KILL")


def _restart(server: Server) -> None:
    server.kill()
    server.start()


def _replicate(server: Server) -> None:
    command(server, "REPLICAOF", "127.0.0.1", "1")


def _promote(server: Server) -> None:
    command(server, "REPLICAOF", "NO", "ONE")


def _lose_master(server: Server) -> None:
    command(server, "CONFIG", "SET", "replica-serve-stale-data", "no")
    _replicate(server)


def lose_slots(server: Server) -> None:
    command(server, "CLUSTER", "DELSLOTS", command(server, "CLUSTER", "KEYSLOT", "{ergon}"))


def give_slots(server: Server) -> None:
    command(server, "CLUSTER", "ADDSLOTS", command(server, "CLUSTER", "KEYSLOT", "{ergon}"))
    while "cluster_state:ok" not in command(server, "CLUSTER", "INFO"):
        pass


def spoil_disk(server: Server, folder: Path) -> None:
    command(server, "CONFIG", "SET", "save", "3600 1000000")
    shutil.rmtree(folder)
    command(server, "BGSAVE")
    while command(server, "INFO", "persistence")["rdb_last_bgsave_status"] != "err":
        pass


def mend_disk(server: Server) -> None:
    command(server, "CONFIG", "SET", "stop-writes-on-bgsave-error", "no")


def _lock(server: Server) -> None:
    with redis_py.Redis(unix_socket_path=str(server.socket)) as client:
        client.config_set("requirepass", "secret")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def _unlock(server: Server) -> None:
    with redis_py.Redis(unix_socket_path=str(server.socket), password="secret") as client:
        client.config_set("requirepass", "")


def _set(name: str, value: str) -> Act:
    return lambda server: command(server, "CONFIG", "SET", name, value)


def _rule(*rules: str) -> Act:
    return lambda server: command(server, "ACL", "SETUSER", "default", *rules)


REAL = (
    Outage("refused", Server.kill, Server.start, "cannot be reached"),
    Outage("restarted", _restart, lambda server: None, ""),
    Outage("hanging", _stop, _go_on, "cannot be reached: Timeout"),
    Outage(
        "busy",
        lambda server: _occupy(server, "while true do end"),
        lambda server: command(server, "SCRIPT", "KILL"),
        "SCRIPT KILL",
        ("--lua-time-limit", "5"),
    ),
    Outage("busy writing", _occupied_writer, _restart, "SHUTDOWN NOSAVE", ("--lua-time-limit", "5")),
    Outage("a replica", _replicate, _promote, "name the master"),
    Outage("a replica without its master", _lose_master, _promote, "name the master"),
    Outage("out of memory", _set("maxmemory", "1"), _set("maxmemory", "0"), "raise maxmemory"),
    Outage("wants a password", _lock, _unlock, "put it into the store's address"),
    Outage("a right is missing", _rule("-evalsha"), _rule("+evalsha"), "docs/redis.md, Rights"),
)
"""Brought about on a real server."""
