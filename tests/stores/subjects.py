"""Stores that the state machine compares with its model: what they hold, as plain data, and their calls, one by one.

A subject is asked after the model, and draws the same tokens.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from redis import Redis

from ergon_runtime.core.flows import Message
from ergon_runtime.stores.memory import MemoryState
from ergon_runtime.stores.redis.address import parse_redis
from ergon_runtime.stores.redis.store import RedisStore
from ergon_runtime.stores.rules import NAMED, TokenSource
from ergon_runtime.stores.sqlite import Operations, transaction
from ergon_runtime.stores.sqlite.schema import migrate
from tests.redis_server import shared_server
from tests.stores.harness import Clock

Dump = dict[str, Any]


class Subject(Protocol):
    """A store under test. `work` is given an object with the contract's operations."""

    def __init__(self, clock: Clock, token: TokenSource) -> None: ...
    def do(self, work: Callable[[Any], Any]) -> Any: ...
    def dump(self) -> Dump: ...
    def close(self) -> None: ...


def dump_model(state: MemoryState) -> Dump:
    """What the model holds."""
    boxes = state.mailboxes
    return {
        "flows": {i: (row.view(), row.token, row.length, row.alone, row.ended) for i, row in state.flows.items()},
        "journals": {i: list(row.journal) for i, row in state.flows.items()},
        "mail": {i: sorted(m.message.id + c for c, box in r.mail.items() for m in box) for i, r in state.flows.items()},
        "visible": {i: boxes.visible(row) for i, row in state.flows.items()},
        "kept": {name: [m.message for m in box] for name, box in boxes.kept.items() if box},
        "free": {name: [flow for _, flow in free] for name, free in boxes.free.items() if free},
        "seen": {(to or "", channel, id_) for to, channel, id_ in boxes.seen},
        "seen at": {(channel, id_): at for (to, channel, id_), at in boxes.seen.items() if to is None},
        "workers": state.workers(),
    }


class SQLiteSubject:
    """The SQLite store's operations on a database in memory."""

    def __init__(self, clock: Clock, token: TokenSource) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.execute("BEGIN")
        migrate(self.conn, "")
        self.conn.execute("COMMIT")
        self.store = Operations(self.conn, clock, token)

    def do(self, work: Callable[[Any], Any]) -> Any:
        with transaction(self.conn):
            return work(self.store)

    def close(self) -> None:
        self.conn.close()

    def dump(self) -> Dump:
        conn, store = self.conn, self.store
        flows = [row[0] for row in conn.execute("SELECT id FROM flow")]
        more = "SELECT token, lease_length, alone, ended FROM flow WHERE id = ?"
        kept: dict[str, list[Message]] = {}
        for message in conn.execute("SELECT id, channel, body FROM message WHERE flow IS NULL ORDER BY seq"):
            kept.setdefault(message[1], []).append(Message(*message))
        free: dict[str, list[str]] = {}
        for name, flow in conn.execute("SELECT channel, flow FROM wait WHERE reserved IS NULL ORDER BY place"):
            if name.startswith(NAMED):
                free.setdefault(name, []).append(flow)
        mail = "SELECT id || channel FROM message WHERE flow = ? AND place = 'mail'"
        sent = conn.execute("SELECT target, channel, id, at FROM sent").fetchall()
        return {
            "flows": {flow: (store.get(flow), *conn.execute(more, (flow,)).fetchone()) for flow in flows},
            "journals": {flow: self._journal(flow) for flow in flows},
            "mail": {flow: sorted(row[0] for row in conn.execute(mail, (flow,))) for flow in flows},
            "visible": {flow: self._visible(flow) for flow in flows},
            "kept": kept,
            "free": free,
            "seen": {row[:3] for row in sent},
            "seen at": {row[1:3]: row[3] for row in sent if not row[0]},
            "workers": store.workers(),
        }

    def _journal(self, flow: str) -> list[bytes]:
        numbered = self.conn.execute("SELECT seq, entry FROM journal WHERE flow = ? ORDER BY seq", (flow,)).fetchall()
        assert [seq for seq, _ in numbered] == list(range(len(numbered)))
        return [entry for _, entry in numbered]

    def _visible(self, flow: str) -> tuple[Message, ...]:
        heard = (
            "SELECT id, channel, body FROM message WHERE flow = ? AND heard IS NOT NULL"
            " ORDER BY place = 'reserved', seq"
        )
        return tuple(Message(*row) for row in self.conn.execute(heard, (flow,)))


class RedisSubject:
    """The Redis store on a real server, in a namespace of its own."""

    def __init__(self, clock: Clock, token: TokenSource) -> None:
        space = secrets.token_hex(8)
        self.prefix = f"{{{space}}}:"
        self.raw = Redis.from_url(f"{shared_server().url}?db=1")  # where no other tests leave keys to scan
        self.runner = asyncio.Runner()
        address = parse_redis(f"{shared_server().url}?db=1&namespace={space}")
        self.store = RedisStore(address, clock=clock, token=token)
        self.runner.run(self.store.open())

    def do(self, work: Callable[[Any], Any]) -> Any:
        return self.runner.run(work(self.store))

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        keys = list(self.raw.scan_iter(f"{self.prefix}*"))
        if keys:
            self.raw.delete(*keys)
        self.raw.close()

    def dump(self) -> Dump:
        flows = [flow.decode() for flow in self._range("all")]
        sent = {(flow, *self._pair(name)) for flow in flows for name in self._call("smembers", f"s:{flow}")}
        names = {self._pair(name): int(at) for name, at in self._call("zscan_iter", "names")}
        kept = {name: self._kept(name) for name in self._named("k:")}
        return {
            "flows": {flow: (self.do(lambda store, f=flow: store.get(f)), *self._more(flow)) for flow in flows},
            "journals": {flow: self._call("lrange", f"j:{flow}", 0, -1) for flow in flows},
            "mail": {flow: sorted(self._mail(flow)) for flow in flows},
            "visible": {flow: self._visible(flow) for flow in flows},
            "kept": {name: found for name, found in kept.items() if found},
            "free": {name: [flow.decode() for flow in self._range(f"free:{name}")] for name in self._named("free:")},
            "seen": sent | {("", *name) for name in names},
            "seen at": names,
            "workers": self.do(lambda store: store.workers()),
        }

    def _call(self, command: str, key: str, *args: Any) -> Any:
        return getattr(self.raw, command)(self.prefix + key, *args)

    def _range(self, key: str) -> Any:
        return self._call("zrange", key, 0, -1)

    def _named(self, kind: str) -> list[str]:
        return [key.decode()[len(self.prefix + kind) :] for key in self.raw.scan_iter(f"{self.prefix}{kind}*")]

    def _pair(self, name: bytes) -> tuple[str, str]:
        length, _, rest = name.decode().partition(":")
        return rest[: int(length)], rest[int(length) + 1 :]

    def _more(self, flow: str) -> tuple[Any, ...]:
        token, length, alone, ended = self._call("hmget", f"f:{flow}", "token", "lease_length", "alone", "status")
        at = self._call("zscore", "ended", flow)
        assert (at is not None) == (ended in (b"completed", b"failed", b"cancelled"))
        return token and token.decode(), int(length or 0), alone == b"1", None if at is None else int(at)

    def _unpack(self, key: str, number: bytes) -> Message:
        unpack = "return cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))"
        id_, channel, body = self.raw.eval(unpack, 1, self.prefix + key, number)  # type: ignore[misc]
        return Message(id_.decode(), channel.decode(), body)

    def _kept(self, name: str) -> list[Message]:
        return [self._unpack("kept", number) for number in self._range(f"k:{name}")]

    def _visible(self, flow: str) -> tuple[Message, ...]:
        return tuple(self._unpack(f"m:{flow}", number) for number in self._range(f"v:{flow}"))

    def _mail(self, flow: str) -> list[str]:
        found: list[str] = []
        for key in self._named(f"q:{len(flow)}:{flow}:"):
            for number in self._call("lrange", f"q:{len(flow)}:{flow}:{key}", 0, -1):
                message = self._unpack(f"m:{flow}", number)
                assert message.channel == key
                found.append(message.id + message.channel)
        return found
