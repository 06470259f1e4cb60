"""Groups of real servers on loopback: a cluster that shares the slots out, and a trio of sentinels over a master.

Each server is a process with a folder of its own, which tests may kill, pause and start again. A group ends all of its
processes and removes their folders, however the test ends; where `setpriv` is there, they do not outlive a killed test
run either. Start groups in the main thread.
"""

from __future__ import annotations

import atexit
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.redis_server import executable

SERVICE = "orders"
SLOTS = 16384
NODE_TIMEOUT = 1000
"""Milliseconds of silence after which a cluster's node is down."""
DOWN_AFTER = 1500
"""Milliseconds of silence after which a sentinel calls its master down: more than a busy machine keeps one waiting."""
DURABLE = (
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--save",
    "",
    "--repl-diskless-sync-delay",
    "0",
    "--repl-timeout",
    "5",
)


def until(condition: Callable[[], Any], what: str, timeout: float = 60.0) -> None:
    """Poll until it holds; servers that do not answer, or not yet, count as no."""
    end = time.monotonic() + timeout
    while True:
        with suppress(RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < end, f"{what} did not happen within {timeout} s"
        time.sleep(0.02)


def free_port() -> int:
    """A port that is free, as is the one 10,000 above it for a cluster's bus; both below those that clients get."""
    while True:
        port = random.randrange(11000, 22000)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10000))
            return port


@contextmanager
def silent() -> Iterator[str]:
    """Where somebody takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@dataclass
class Node:
    """A server, or a sentinel, at 127.0.0.1:port."""

    folder: Path
    settings: tuple[str, ...] = ()
    program: str = field(default_factory=executable)
    login: dict[str, Any] = field(default_factory=dict)
    """How tests log in: keyword arguments of redis-py."""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, *settings: str) -> Node:
        """Start it, the first time on a port that is free; with `settings` for this life."""
        for _ in range(10):
            self.port = self.port or free_port()
            self._begin(*self.settings, *settings)
            assert self.process is not None
            until(lambda: self.process.poll() is not None or self._answers(), "the server's answer")  # type: ignore[union-attr]
            if self.process.poll() is None:
                return self
            self.port = 0  # somebody was faster
        raise AssertionError((self.folder / "log").read_text(errors="replace"))

    def run(self, *command: str | int) -> Any:
        """A command's answer. Raises RedisError."""
        with self.client() as client:
            return client.execute_command(*command)

    def wait_for_replicas(self, count: int, key: str = "copied") -> None:
        """Until so many have received all that it has. `key` is one that it may write."""
        with self.client() as client:
            client.set(key, "1")
            assert client.wait(count, 9000) == count

    def client(self) -> Redis:
        settings: dict[str, Any] = {"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), "decode_responses": True}
        return Redis("127.0.0.1", self.port, **settings, **self.login)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; it may be started again on its data."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(30)

    @property
    def role(self) -> str:
        return str(self.run("ROLE")[0])

    @property
    def follows(self) -> bool:
        """Whether it is a replica, now, that has all of its master's data."""
        role = self.run("ROLE")
        return role[0] == "slave" and role[3] == "connected"

    def _begin(self, *settings: str) -> None:
        self.folder.mkdir(exist_ok=True)
        guard = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*guard, self.program, *settings, "--port", str(self.port), "--dir", str(self.folder)]
                if "--sentinel" not in settings
                else [*guard, self.program, str(self._sentinel_file()), "--sentinel", "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _sentinel_file(self) -> Path:
        """A sentinel keeps what it learns in the file it was started with."""
        file = self.folder / "sentinel.conf"
        if not file.exists():
            lines = [line for line in self.settings if line != "--sentinel"]
            file.write_text("\n".join([f"dir {self.folder}", "bind 127.0.0.1", *lines]) + "\n")
        return file

    def _answers(self) -> bool:
        try:
            return bool(self.run("PING"))
        except RedisError as error:
            return "NOAUTH" in str(error)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ergon-redis-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ended(nodes: list[Node]) -> Iterator[None]:
    try:
        yield
    finally:
        for node in nodes:
            node.kill()


# A cluster ------------------------------------------------------------------------------------------------------------


@dataclass
class Cluster:
    """Masters that share the slots out; `replicas`, if any, follow them in turn."""

    masters: list[Node]
    replicas: list[Node]

    @property
    def hosts(self) -> str:
        return ",".join(node.place for node in [*self.masters, *self.replicas])

    def owner(self, namespace: str) -> Node:
        """The node that has a namespace, by the nodes that live; it may be a dead one."""
        nodes = [*self.masters, *self.replicas]
        for asked in nodes:
            with suppress(RedisError, OSError):
                for first, last, master, *_ in _slots(asked):
                    if first <= slot_of(namespace) <= last:
                        return next(node for node in nodes if node.port == master[1])
        raise AssertionError("no node has the slot")

    def move(self, namespace: str, to: Node, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Move a namespace's slot, with its keys, as redis-cli does. `meanwhile` is called while it is half done."""
        source, slot = self.owner(namespace), slot_of(namespace)
        source_id, target_id = source.run("CLUSTER MYID"), to.run("CLUSTER MYID")
        to.run("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
        source.run("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
        meanwhile()
        while keys := source.run("CLUSTER GETKEYSINSLOT", slot, 10):
            source.run("MIGRATE", "127.0.0.1", to.port, "", 0, 10000, "KEYS", *keys)
        for node in (to, source, *self.masters):
            node.run("CLUSTER SETSLOT", slot, "NODE", target_id)

    def ready(self) -> bool:
        nodes = [*self.masters, *self.replicas]
        if any(node.run("CLUSTER INFO")["cluster_state"] != "ok" for node in nodes):
            return False
        spans = [_slots(node) for node in nodes]
        return all(
            len(span) == len(self.masters) and sum(map(len, span)) == 3 * len(span) + len(self.replicas)
            for span in spans
        )


def _slots(node: Node) -> list[list[Any]]:
    with node.client() as client:
        client.set_response_callback("CLUSTER SLOTS", lambda answer, **_: answer)
        return client.execute_command("CLUSTER SLOTS")  # type: ignore[no-any-return]


def slot_of(namespace: str) -> int:
    return key_slot(f"{{{namespace}}}".encode())


@contextmanager
def cluster(*settings: str, masters: int = 3, replicas: int = 0, **how: Any) -> Iterator[Cluster]:
    """A cluster that serves all slots. `how` goes to each Node."""
    common = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT), "--bind", "127.0.0.1")
    with _folder() as folder:
        nodes = [
            Node(folder / str(n), (*DURABLE, *common, "--repl-ping-replica-period", "1", *settings), **how)
            for n in range(masters + replicas)
        ]
        with _ended(nodes):
            for n, node in enumerate(nodes):
                node.start()
                node.run("CLUSTER SET-CONFIG-EPOCH", n + 1)
            made = Cluster(nodes[:masters], nodes[masters:])
            for n, node in enumerate(made.masters):
                node.run("CLUSTER ADDSLOTS", *range(SLOTS * n // masters, SLOTS * (n + 1) // masters))
            for node in nodes[1:]:
                nodes[0].run("CLUSTER MEET", "127.0.0.1", node.port)
            for n, node in enumerate(made.replicas):
                _follow(node, made.masters[n % masters])
            until(made.ready, "the cluster")
            yield made


def _follow(replica: Node, master: Node) -> None:
    known = master.run("CLUSTER MYID")
    until(lambda: known in str(replica.run("CLUSTER NODES")), "meeting the master")
    until(lambda: replica.run("CLUSTER REPLICATE", known), "following the master")
    until(lambda: replica.follows, "the first copy")


@cache
def shared_cluster() -> Cluster:
    """One of three masters for all tests of this process."""
    made = cluster("--appendfsync", "everysec", "--cluster-node-timeout", "10000")  # here no node is ever to be down
    atexit.register(made.__exit__, None, None, None)
    return made.__enter__()


# Sentinels ------------------------------------------------------------------------------------------------------------


@dataclass
class Guarded:
    """A master with two replicas, and three sentinels."""

    servers: list[Node]
    sentinels: list[Node]

    @property
    def hosts(self) -> str:
        return ",".join(node.place for node in self.sentinels)

    def master(self) -> Node:
        """Whom the sentinels that live call the master."""
        for sentinel in self.sentinels:
            with suppress(RedisError, OSError):
                _, port = sentinel.run("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)
                return next(node for node in self.servers if node.port == int(port))
        raise AssertionError("no sentinel answers")

    def epoch(self) -> int:
        """How many failovers the sentinels have decided on, those that they gave up or began by themselves included."""
        return max(int(dict(_pairs(sentinel.run("SENTINEL MASTERS")))["config-epoch"]) for sentinel in self._watching())

    def settled(self) -> bool:
        """Whether all live sentinels name one live master whose replicas follow it, and could replace it."""
        live = [node for node in self.servers if node.process is not None]
        named = {tuple(sentinel.run("SENTINEL GET-MASTER-ADDR-BY-NAME", SERVICE)) for sentinel in self._watching()}
        master = self.master()
        role = master.run("ROLE")
        return (
            len(named) == 1
            and master in live
            and role[0] == "master"
            and len(role[2]) == len(live) - 1
            and all(node is master or node.follows for node in live)
            and all(self._knows(sentinel, len(live) - 1) for sentinel in self._watching())
        )

    def _watching(self) -> list[Node]:
        return [node for node in self.sentinels if node.process is not None]

    def _knows(self, sentinel: Node, replicas: int) -> bool:
        fields = dict(_pairs(sentinel.run("SENTINEL MASTERS")))
        seen = _replicas_seen(sentinel)
        return (
            fields["flags"] == "master"
            and int(fields["num-other-sentinels"]) == len(self.sentinels) - 1
            and sum(flags == "slave" for flags in seen) >= replicas
        )


def _pairs(answer: Any) -> Iterator[tuple[str, Any]]:
    """The fields of the service, however redis-py gives them."""
    found = answer[SERVICE] if isinstance(answer, dict) else answer[0]
    yield from found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)


def _replicas_seen(sentinel: Node) -> Sequence[str]:
    with sentinel.client() as client:
        raw = client.execute_command("SENTINEL REPLICAS", SERVICE)
    return [
        each["flags"] if isinstance(each, dict) else dict(zip(each[::2], each[1::2], strict=True))["flags"]
        for each in raw
    ]


@contextmanager
def guarded(
    *settings: str,
    login: dict[str, Any] | None = None,
    sentinel_settings: Sequence[str] = (),
    sentinel_login: dict[str, Any] | None = None,
) -> Iterator[Guarded]:
    """A service that three sentinels guard; two of them decide. `settings` are the servers'."""
    with _folder() as folder:
        common = (*DURABLE, "--bind", "127.0.0.1", "--repl-ping-replica-period", "1", *settings)
        servers = [Node(folder / f"server-{n}", common, login=login or {}) for n in range(3)]
        sentinels = [Node(folder / f"sentinel-{n}", login=sentinel_login or {}) for n in range(3)]
        with _ended([*sentinels, *servers]):
            master = servers[0].start()
            for node in servers[1:]:
                node.start("--replicaof", "127.0.0.1", str(master.port))
            until(lambda: all(node.follows for node in servers[1:]), "the first copies")
            watch = (
                f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2",
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
                f"sentinel failover-timeout {SERVICE} 2000",
                f"sentinel parallel-syncs {SERVICE} 2",
            )
            for node in sentinels:
                node.settings = ("--sentinel", *watch, *sentinel_settings)
                node.start()
                with suppress(RedisError):  # since 7.0; else they look at the servers every 10 s only
                    node.run("SENTINEL DEBUG", "info-period", 500, "publish-period", 500)
            made = Guarded(servers, sentinels)
            until(made.settled, "the sentinels' agreement")
            yield made
