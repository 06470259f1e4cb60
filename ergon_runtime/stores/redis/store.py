"""RedisStore: the contract over a Redis server. Each operation is one script; the server's clock is the store's."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import InvalidResponse, RedisError

from ergon_runtime.core.flows import (
    Beat,
    ClaimRequest,
    Claims,
    Commit,
    CommitReply,
    FlowQuery,
    FlowRow,
    Lease,
    Message,
    NewFlow,
    Send,
    Status,
    WorkerRow,
)
from ergon_runtime.errors import (
    Conflict,
    FlowNotFound,
    LeaseLost,
    SchemaMismatch,
    StoreError,
    StoreMissing,
    StoreUnavailable,
)
from ergon_runtime.stores import rules
from ergon_runtime.stores.bell import Told
from ergon_runtime.stores.contract import StoreIdentity
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record
from ergon_runtime.stores.redis import records, rows, scripts
from ergon_runtime.stores.redis.address import RedisAddress
from ergon_runtime.stores.redis.faults import gone, translate, understood
from ergon_runtime.stores.redis.guarantees import SAID, info, read
from ergon_runtime.stores.redis.link import Connect, Link
from ergon_runtime.stores.redis.rows import Argument
from ergon_runtime.stores.redis.scripts import Script
from ergon_runtime.stores.redis.servers import Servers
from ergon_runtime.stores.redis.succession import Succession
from ergon_runtime.stores.redis.verifying import damage
from ergon_runtime.stores.redis.watch import Watch

SCHEMA = 1
"""The layout of keys that this code writes."""
LOOKS = 2000
"""Flows that one call of `list` looks at; a long list takes several."""
PRUNES = 200


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to open a store. `create`: make it if the namespace is empty. `read_only`: create and write nothing.
    `allow_volatile`: also on a server that keeps no append-only file. `patience`: seconds for which a call that the
    server does not answer is repeated; `timeout`: seconds to wait for each answer."""

    create: bool = True
    read_only: bool = False
    allow_volatile: bool = False
    patience: float = 2.0
    timeout: float = 5.0


class RedisStore:
    """A store in a namespace of a Redis server, shared by any number of processes and machines.

    `clock` None means the server's own; another one is for tests.
    """

    def __init__(
        self,
        address: RedisAddress,
        options: RedisOptions | None = None,
        clock: rules.Clock | None = None,
        token: rules.TokenSource = rules.new_token,
    ) -> None:
        self._address, self._options, self._clock, self._token = address, options or RedisOptions(), clock, token
        self._servers = Servers(address, self._options.timeout)
        self._prefix = f"{{{address.namespace}}}:"
        self._told = Told()
        self._opened: _Opened | None = None

    async def open(self) -> None:
        """Connect; idempotent. Raises ConfigError for a server that forgets, StoreMissing, StoreUnavailable,
        StoreCorrupt, SchemaMismatch."""
        if self._opened is None:
            self._opened = await self._open()

    async def close(self) -> None:
        """Give up the connections; idempotent."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.succession.close()
            await opened.watch.close()
            await opened.reads.close()
            await opened.writes.close()

    def clone(self) -> RedisStore:
        return RedisStore(self._address, self._options, self._clock, self._token)

    async def identity(self) -> StoreIdentity:
        return self._now_open.identity

    async def create(self, flow: NewFlow) -> bool:
        created = await self._write(scripts.CREATE, *rows.new_flow(flow))
        with self._understood():
            if int(created) < 0:
                raise Conflict(flow.id)
        return bool(created)

    async def claim(self, request: ClaimRequest) -> Claims:
        tokens = [self._token() for _ in range(request.limit)]
        answer = await self._write(scripts.CLAIM, *rows.request(request, tokens))
        with self._understood():
            now, due, suspects, claims = answer
            next_due = None if due is None else int(due)
            return Claims(tuple(rows.claim(each, int(now)) for each in claims), int(now), next_due, bool(suspects))

    async def commit(self, commit: Commit) -> CommitReply:
        rules.check(commit)
        answer = await self._write(scripts.COMMIT, *rows.commit(commit))
        with self._understood():
            match answer[0]:
                case b"ok":
                    _, held, now, mail = answer
                    return CommitReply(bool(held), rows.messages(mail), int(now))
                case b"conflict":
                    raise Conflict(answer[1].decode())
                case b"lost":
                    raise LeaseLost(commit.lease.flow)
                case other:
                    raise ValueError(f"{other!r:.80} instead of the end of a commit")

    async def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        pairs = [part for lease in leases for part in (lease.flow, lease.token)]
        answer = await self._write(scripts.EXTEND, length, *rows.beat(beat), *pairs)
        with self._understood():
            parts = iter(answer)
            return {flow.decode(): rows.messages(mail) for flow, mail in zip(parts, parts, strict=True)}

    async def send(self, send: Send) -> bool:
        return bool(await self._write(scripts.SEND, *rows.message(send)))

    async def get(self, flow_id: str) -> FlowRow | None:
        found = await self._read(scripts.GET, flow_id)
        with self._understood():
            return rows.flow_row(found[0]) if found else None

    async def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        if limit <= 0:
            return []
        entries = await self._read(scripts.JOURNAL, flow_id, start, start + limit - 1)
        with self._understood():
            return [rows.raw(entry) for entry in entries]

    async def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        found: builtins.list[FlowRow] = []
        for index in _indexes(query):
            found += await self._list(index, query)
        found.sort(key=lambda row: (row.created, row.id), reverse=True)
        return found[: query.limit]

    async def workers(self) -> builtins.list[WorkerRow]:
        live = await self._read(scripts.WORKERS)
        with self._understood():
            return sorted((rows.worker(each) for each in live), key=lambda row: row.worker)

    async def now(self) -> int:
        if self._clock is not None:
            return self._clock()
        now = await self._read(scripts.NOW)
        with self._understood():
            return int(now)

    async def wait(self, worker: str, timeout: float) -> frozenset[str]:
        """The first wait returns at once: what changed before it is not known to have been seen."""
        watch = self._now_open.watch
        strokes, since = self._told.get(worker)
        await watch.bell.wait(strokes, timeout)
        strokes = watch.bell.strokes
        answer = await self._read(scripts.HEARD, worker, since)
        with self._understood():
            heard, flows = answer
            named = frozenset[str](flow.decode() for flow in flows)
            self._told.note(worker, strokes, int(heard))
        return named

    async def prune(self, before: int) -> int:
        total = 0
        while True:
            answer = await self._write(scripts.PRUNE, before, PRUNES)
            with self._understood():
                gone = int(answer)
            total += gone
            if gone < PRUNES:
                return total

    async def count(self, kind: Kind) -> int:
        counts = await self._read(scripts.COUNT)
        with self._understood():
            return int(counts[[*Kind].index(kind)])

    async def records(self, kind: Kind, after: Place | None, limit: int) -> Sequence[Record]:
        found = await self._read(scripts.PIECES, kind.value, *(after or (-1, "")), limit)
        with self._understood():
            return records.ordered([records.record(kind, each) for each in found], after)

    async def restore(self, piece: Record | JournalPart) -> None:
        answer = await self._write(scripts.RESTORE, *records.arguments(piece))
        if isinstance(piece, JournalPart) and answer != 1:
            raise rules.missing_entries(piece.flow) if answer == 0 else FlowNotFound(piece.flow)

    async def begin_copy(self, source: StoreIdentity) -> None:
        answer = await self._write(scripts.COPY, source.source, source.hash_seed)
        with self._understood():
            before, empty = answer
            copied = None if before is None else before.decode()
        rules.check_copy(self._address.shown, source.source, copied, empty=bool(empty))
        self._note_copy(source)

    async def end_copy(self) -> None:
        await self._write(scripts.COPY, "", "")
        self._note_copy(None)

    async def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        answer = await self._write(scripts.KEYS, key, check, int(mixed))
        with self._understood():
            checks = rows.key_checks(answer)
        opened = self._now_open
        self._opened = replace(opened, identity=replace(opened.identity, key_checks=checks))
        return bool(checks)

    async def verify(self) -> builtins.list[str]:
        found: builtins.list[str] = []
        with self._understood():
            async with aclosing(damage(partial(self._read, scripts.VERIFY), self._prefix)) as texts:
                async for text in texts:
                    found.append(text)
                    if len(found) == rules.DAMAGE:
                        break
        return found

    @contextmanager
    def _understood(self) -> Generator[None]:
        """Around the reading of an answer: what no script of ours gives is StoreCorrupt."""
        try:
            with understood():
                yield
        except InvalidResponse as error:
            raise translate(error, self._address.shown) from error

    def _note_copy(self, source: StoreIdentity | None) -> None:
        opened = self._now_open
        if source is None:
            identity = replace(opened.identity, copy_of=None)
        else:
            identity = replace(opened.identity, copy_of=source.source, hash_seed=source.hash_seed)
        self._opened = replace(opened, identity=identity)

    async def _list(self, index: str, query: FlowQuery) -> builtins.list[FlowRow]:
        found: builtins.list[FlowRow] = []
        created, before = query.before if query.before is not None else ("", "")
        statuses = [status.value for status in query.statuses]
        while len(found) < query.limit:
            narrow = (query.part or "", query.parent or "", query.waiting_on or "")
            choice: builtins.list[Argument] = [len(statuses), *statuses, len(query.types), *query.types]
            wanted = (index, query.limit - len(found), LOOKS, created, before, *narrow, *choice)
            answer = await self._read(scripts.LIST, *wanted)
            with self._understood():
                last, some = answer
                found += map(rows.flow_row, some)
                if last is None:
                    break
                created, before = last[0].decode(), last[1].decode()
        return found

    async def _write(self, script: Script, *args: Argument) -> Any:
        if self._options.read_only:
            raise StoreUnavailable(f"store {self._address.shown} is open for reading only")
        return await self._now_open.writes.call(script, self._time(), *args)

    async def _read(self, script: Script, *args: Argument) -> Any:
        return await self._now_open.reads.call(script, self._time(), *args)

    @property
    def _makes(self) -> bool:
        return self._options.create and not self._options.read_only

    def _time(self) -> Argument:
        return "" if self._clock is None else self._clock()

    @property
    def _now_open(self) -> _Opened:
        if self._opened is None:
            said = f"store {self._address.shown} is not open; use it in its block, and shut its workers down in there"
            raise StoreError(said)
        return self._opened

    async def _open(self) -> _Opened:
        try:
            client = await self._servers.connect()
            try:
                guarantees = await read(client)
            finally:
                await client.aclose()
        except (RedisError, OSError) as error:
            raise translate(error, self._address.shown) from error
        if self._makes:
            guarantees.check(self._address.shown, allow_volatile=self._options.allow_volatile)
        store_id, hash_seed, copy_of, checks = await self._found(guarantees.run_id)
        identity = StoreIdentity(store_id, self._address.shown, hash_seed, SAID[guarantees.tier], copy_of, checks)
        writes, reads = (self._link(lambda: self._arrive(store_id), store_id) for _ in range(2))
        listen = partial(self._servers.connect, listens=True)
        succession = Succession(self._servers, (writes, reads))
        return _Opened(identity, writes, reads, Watch(listen, self._prefix + "bell"), succession)

    async def _found(self, run_id: str) -> tuple[str, str, str | None, tuple[tuple[str, str], ...]]:
        """The store's id, hash seed, what it is a copy of, and its keys' checks; of a new one if none is there and one
        may be made."""
        link = self._link(self._servers.connect)
        try:
            new = (secrets.token_hex(8), str(secrets.randbelow(2**32))) if self._makes else ("", "")
            found = await link.call(scripts.OPEN, self._time(), SCHEMA, *new, run_id)
        finally:
            await link.close()
        if found is None:
            raise StoreMissing(f"no store at {self._address.shown}; start a worker or schedule a flow to create it")
        with self._understood():
            schema, store_id, hash_seed = (part.decode() for part in found[:3])
            copy_of = None if found[3] is None else found[3].decode()
            newer = int(schema) > SCHEMA
            checks = rows.key_checks(found[4:])
        if newer:
            raise SchemaMismatch(
                f"store {self._address.shown} has schema {schema}; this Ergon writes {SCHEMA}. Upgrade ergon-runtime"
            )
        return store_id, hash_seed, copy_of, checks

    async def _arrive(self, store_id: str) -> Redis:
        """A connection to the server that has our store. Raises StoreCorrupt if it is another one, or gone."""
        client = await self._servers.connect()
        try:
            run_id = "" if self._options.read_only else str((await info(client, "server")).get("run_id", ""))
            args = (self._prefix, self._time(), store_id, run_id)
            with understood():
                ours: Any = await client.eval(scripts.ARRIVE.text, 1, *args)
            if not ours:
                raise gone(self._address.shown)
        except BaseException:
            await client.aclose()
            raise
        return client

    def _link(self, connect: Connect, store_id: str | None = None) -> Link:
        return Link(connect, self._prefix, store_id, self._address.shown, self._options.patience)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What an open store holds. Reads have a connection of their own, so that a long journal holds up no commit."""

    identity: StoreIdentity
    writes: Link
    reads: Link
    watch: Watch
    succession: Succession


def _indexes(query: FlowQuery) -> Sequence[str]:
    """The sorted sets to look through: the narrowest that there are."""
    if query.waiting_on is not None:
        return (f"on:{query.waiting_on}",)
    if query.parent is not None:
        return (f"kids:{query.parent}",)
    if query.statuses:
        return [f"s={status.value}" for status in dict.fromkeys(map(Status, query.statuses))]
    return ("all",)
