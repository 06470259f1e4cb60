"""Redis servers that answer anything: between the command and a real server, one reply after the other may be another.

What comes instead is an error of any kind, a reply of another type, a cut one, garbage, silence, or the real one with
hostile bytes in its strings.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import redis

from ergon_runtime.stores.redis.store import RedisOptions
from tests.fuzz import hostile
from tests.fuzz.case import Faults
from tests.fuzz.ground import Ground
from tests.fuzz.oracle import CANARY, faults
from tests.redis_server import Server

PATIENCE, TIMEOUT = 0.2, 0.5
"""Of the store in this process, in seconds: what is refused for ever is to be given up soon."""
ERRORS: tuple[str, ...] = (
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF Redis is configured to save RDB snapshots, but is currently not able to persist on disk.",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "CLUSTERDOWN The cluster is down",
    "MOVED 3999 127.0.0.1:1",
    "ASK 3999 127.0.0.1:1",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "NOREPLICAS Not enough good replicas to write.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "EXECABORT Transaction discarded because of previous errors.",
    "NOPROTO unsupported protocol version",
    "ERR unknown command `EVALSHA`, with args beginning with: ",
    "ERR Protocol error: invalid bulk length",
    "ERR max number of clients reached",
    "ERR AUTH <password> called without any password configured for the default user.",
    "ERR",
    "",
    "\x1b[2J\u202eERR \x1b]0;x\x07",
    "ERGONGONE",
)
SCRIPTED = (
    "{}",
    "{} script: f0a1, on @user_script:1.",
    "ERR Error running script (call to f_f0a1): @user_script:12: {}",
    "ERR Error running script (call to f_f0a1): @user_script: 12: -{}",
    "ERR user_script:12: {} script: f0a1, on @user_script:12.",
)
"""How versions wrap an error inside a script."""
# Not among them: the beginning of a huge list, for which the client library makes room at once.
ODD: tuple[bytes, ...] = (
    b"+OK\r\n",
    b":1\r\n",
    b":-1\r\n",
    b":0\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
    b"$2\r\nab\r\n",
    b"*1\r\n$-1\r\n",
    b"*2\r\n:1\r\n:2\r\n",
    b"*3\r\n$1\r\na\r\n*0\r\n:5\r\n",
    b":99999999999999999999999\r\n",
    b"*4\r\n$1\r\n9\r\n$1\r\na\r\n$1\r\n1\r\n$-1\r\n",
    b"*2\r\n*0\r\n-ERR in it\r\n",
    b"$5\r\nab",
    b"*2\r\n:1\r\n",
    b"$999999999999\r\n",
    b"$-5\r\n",
    b"*-7\r\n",
    b":x\r\n",
    b":\r\n",
    b"*1\r\n" * 5000,
    b"\r\n",
    b"\x00" * 64,
    b"\xff\xfe\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"SSH-2.0-x\r\n",
    b"_\r\n",
    b"%1\r\n+a\r\n:1\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"(99\r\n",
    b"=15\r\ntxt:Some string\r\n",
    b">2\r\n+message\r\n+x\r\n",
    b"~1\r\n:1\r\n",
    b"+\x1b[2J\xe2\x80\xae\r\n",
    b"\x15\x03\x01\x00\x02\x02\x50",
    b"$3\r\nabcdef\r\n",
)
COMMANDS: tuple[str, ...] = (
    "list",
    "list --json",
    "inspect done",
    "inspect failed --view error",
    "inspect waits-1 --json",
    "inspect waits-1 --watch --timeout 100ms",
    "replay done",
    "replay --all",
    "retry failed",
    "retry --all --yes",
    "fork done --from fuzz_send --yes",
    "cancel sleeps",
    "signal go-2 {}",
    "signal go-2 {} --all",
    "schedule fuzz_order -a n=1",
    "schedule fuzz_order -a n=1 --wait --timeout 100ms",
    "export --all",
    "import failed.jsonl",
    "worker --burst",
    "run fuzz_order -a n=1 --timeout 2s",
    "store check",
    "store copy sqlite:///ergon.db URL2",
)


class Replies:
    """Each case is a command, and which replies of the server are others."""

    def __init__(self, folder: Path, patience: float) -> None:
        RedisOptions.__init__.__defaults__ = (True, False, False, PATIENCE, TIMEOUT)
        self._ground = Ground(folder, patience)
        place = folder.with_name("redis")  # beside, where nothing is cleared away
        place.mkdir()
        self._server = Server(place)
        self._server.start()
        self._between = Between(self._server.socket)
        self._client = redis.Redis(unix_socket_path=str(self._server.socket))
        self._url = f"redis://user:{CANARY}@127.0.0.1:{self._between.port}/0?namespace=fuzz"
        plain = f"{self._server.url}?db=0&namespace=fuzz"
        ran = self._ground.run(["store", "copy", "sqlite:///other.db", plain])
        assert ran.code == 0, ran
        self._client.config_set("appendonly", "no")
        self._kept = {key: self._client.dump(key) for key in self._client.keys("*")}

    def make(self, random: Random) -> Any:
        command = random.choice(COMMANDS)
        changes: dict[str, list[str]] = {}
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            place = random.choice((*range(1, 16), *range(16, 50)))
            changes["all" if random.random() < 0.05 else str(place)] = _change(random)
        return {"command": command, "changes": changes, "from": random.random() < 0.25}

    def run(self, data: Any) -> Faults:
        self._ground.renew()
        self._restore()
        self._between.plan(data["changes"], onwards=data["from"])
        command = [part.replace("URL2", self._url.replace("=fuzz", "=copy")) for part in data["command"].split(" ")]
        if command[0] != "store" or command[1] == "check":
            command += (
                ["--store", self._url, "--allow-volatile"]
                if command[0] in ("worker", "schedule", "run", "import")
                else ["--store", self._url]
            )
        stops = command[0] in ("worker", "run") or "--wait" in command or "--watch" in command
        ran = self._ground.run(command, stops=stops)
        self._between.plan({}, onwards=False)
        return faults(ran, codes=frozenset({0, 2, 3, 4, 5, 6, 124}) | ({1} if command[0] == "store" else set()))

    def _restore(self) -> None:
        pipe = self._client.pipeline(transaction=False)
        pipe.flushall()
        pipe.execute_command("ACL", "SETUSER", "user", "on", ">" + CANARY, "~*", "&*", "+@all")
        for key, dumped in self._kept.items():
            pipe.restore(key, 0, dumped)
        pipe.execute()


def _change(random: Random) -> list[str]:
    """What comes instead of a reply: how, and bytes as text."""
    match random.randrange(10):
        case 0 | 1 | 2 | 3:
            said = random.choice(SCRIPTED).format(random.choice(ERRORS)).replace("\r\n", " ")
            return ["instead", f"-{said}\r\n".encode().decode("latin-1")]
        case 4 | 5:
            return ["instead", random.choice(ODD).decode("latin-1")]
        case 6:
            return [random.choice(("close", "cut", "silence", "twice", "slow", "late")), ""]
        case _:
            return ["garble", str(random.randrange(10**6))]


class Between:
    """Listens on `port`, passes calls to the real server and its replies back, or others instead, by plan."""

    def __init__(self, target: Path) -> None:
        self._target, self._lock, self._count = target, threading.Lock(), 0
        self._changes: dict[str, list[str]] = {}
        self._onwards, self._lines = False, list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def plan(self, changes: dict[str, list[str]], *, onwards: bool) -> None:
        """From now on the replies of these numbers are others, or, `onwards`, all from the first of them on. Lines that
        there are end."""
        with self._lock:
            self._changes, self._onwards, self._count = changes, onwards, 0
            lines, self._lines = self._lines, []
        for line in lines:
            _end(line)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._target))
            with self._lock:
                self._lines += [client, server]
            threading.Thread(target=self._calls, args=(client, server), daemon=True).start()
            threading.Thread(target=self._replies, args=(client, server), daemon=True).start()

    def _calls(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)
        _end(server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError, ValueError, StopIteration), server.makefile("rb") as stream:
            for reply in iter(lambda: b"".join(_reply(stream)), b""):
                how, what = self._next()
                if not _give(client, reply, how, what.encode("latin-1")):
                    break
        _end(client)

    def _next(self) -> list[str]:
        with self._lock:
            self._count += 1
            if self._onwards:
                first = min((int(place) for place in self._changes if place != "all"), default=1)
                if self._count >= first:
                    return next(iter(self._changes.values()), ["", ""])
            return self._changes.get("all") or self._changes.get(str(self._count), ["", ""])


def _give(client: socket.socket, reply: bytes, how: str, what: bytes) -> bool:
    """Pass a reply on, or what comes instead; whether the line stays."""
    match how:
        case "instead":
            client.sendall(what)
        case "close":
            return False
        case "cut":
            client.sendall(reply[: len(reply) // 2])
            return False
        case "silence":
            pass
        case "twice":
            client.sendall(reply * 2)
        case "slow":
            for place in range(0, min(len(reply), 50), 5):
                client.sendall(reply[place : place + 5])
            client.sendall(reply[50:])
        case "late":
            time.sleep(TIMEOUT * 1.2)
            client.sendall(reply)
        case "garble":
            client.sendall(_garbled(Random(what.decode()), reply))
        case _:
            client.sendall(reply)
    return True


def _reply(stream: Any) -> Iterator[bytes]:
    """The pieces of the next reply: a line, and the bytes of a string after it."""
    left = 1
    while left:
        line = stream.readline()
        if not line:
            return
        yield line
        left -= 1
        if line[:1] == b"*":
            left += max(0, int(line[1:]))
        elif line[:1] == b"$" and int(line[1:]) >= 0:
            yield stream.read(int(line[1:]) + 2)


def _garbled(random: Random, reply: bytes) -> bytes:
    """The reply with one of its strings, or numbers, changed; it stays well formed."""
    pieces: list[bytes] = []
    rest = reply
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        if line[:1] == b"$" and int(line[1:]) >= 0:
            size = int(line[1:])
            pieces.append(rest[:size])
            rest = rest[size + 2 :]
        else:
            pieces.append(line + b"\r\n")
    places = [place for place, piece in enumerate(pieces) if piece[:1] != b"*"]
    chosen = random.choice(places or [0])
    for place, piece in enumerate(pieces):
        if piece.endswith(b"\r\n") and piece[:1] in b"*+-:$":
            if place == chosen:
                pieces[place] = random.choice(
                    (b":-7\r\n", b":9007199254740993\r\n", b"$-1\r\n", b"$1\r\nx\r\n", b"*0\r\n")
                )
        else:
            made = hostile.mutate_bytes(random, piece) if place == chosen else piece
            pieces[place] = b"$%d\r\n%s\r\n" % (len(made), made)
    return b"".join(pieces)


def _end(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
