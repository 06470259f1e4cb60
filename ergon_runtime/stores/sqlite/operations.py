"""Every contract operation on a SQLite connection, as one synchronous method inside a transaction that is already open.

`SQLiteStore` calls these methods on its connections' threads; a simulation may call them directly:

    operations = Operations(conn, clock, token)
    with transaction(conn):
        operations.create(flow)
"""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

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
from ergon_runtime.errors import Conflict, LeaseLost
from ergon_runtime.stores import rules
from ergon_runtime.stores.contract import StoreIdentity
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record
from ergon_runtime.stores.sqlite import claims, records, rows, schema, verifying
from ergon_runtime.stores.sqlite.mailboxes import Found, Mailboxes

_STANDING = "SELECT token, head FROM flow WHERE id = ?"
_PARENT = "SELECT parent FROM flow WHERE id = ?"
_SAME = """SELECT type, args, parent, status, result FROM flow f JOIN input i ON i.flow = f.id WHERE f.id = ?"""
_APPEND = "INSERT INTO journal (flow, seq, entry) VALUES (?, ?, ?)"
# The conditions are those of C1: nothing is looked at before, since most commits find the flow as they left it.
_KEEP = """UPDATE flow SET head = ?, length = ?, base = coalesce(?, base), result = ?, note = coalesce(?, note),
    fingerprint = ?, updated = ?, lease_length = ?, due = ?, recoveries = iif(?, 0, recoveries),
    deaths = iif(?, 0, deaths) WHERE id = ? AND token = ? AND head IS ? AND length = ?"""
_RELEASE = """UPDATE flow SET head = ?, length = ?, base = coalesce(?, base), result = ?, note = coalesce(?, note),
    fingerprint = ?, updated = ?, lease_length = ?, due = ?, status = ?, ended = ?, token = NULL, owner = NULL,
    recoveries = 0, deaths = 0, alone = 0 WHERE id = ? AND token = ? AND head IS ? AND length = ?"""
_DUE = "UPDATE flow SET due = ? WHERE id = ?"
_EXTEND = "UPDATE flow SET due = ?, lease_length = ? WHERE id = ? AND token = ?"
_JOURNAL = "SELECT entry FROM journal WHERE flow = ? AND seq >= ? ORDER BY seq LIMIT ?"
_NEWS = """SELECT DISTINCT m.flow FROM message m INDEXED BY message_news CROSS JOIN flow f ON f.id = m.flow
    WHERE m.heard > ? AND f.owner = ?"""
_COUNT = "SELECT n FROM counter"
_ENDED = "SELECT id FROM flow WHERE ended < ?"
_PRUNE = (
    "DELETE FROM flow WHERE id = ?",
    "DELETE FROM input WHERE flow = ?",
    "DELETE FROM journal WHERE flow = ?",
    "DELETE FROM message WHERE flow = ?",
    "DELETE FROM sent WHERE target = ?",
)
_PRUNE_NAMES = """DELETE FROM sent WHERE target = '' AND at < ? AND NOT EXISTS (SELECT 1 FROM message m
    WHERE m.channel = sent.channel AND m.id = sent.id AND m.place IN ('kept', 'reserved'))"""
_PRUNE_WORKERS = "DELETE FROM worker WHERE until < ?"
_PRUNE_DOING = "DELETE FROM doing WHERE worker NOT IN (SELECT worker FROM worker)"


class Operations:
    """The contract's operations. `clock` answers UTC milliseconds; `token` draws what a claim gets."""

    def __init__(
        self, conn: sqlite3.Connection, clock: rules.Clock = rules.utc_now, token: rules.TokenSource = rules.new_token
    ) -> None:
        self._conn = conn
        self._clock = clock
        self._token = token
        self._mailboxes = Mailboxes(conn)

    @property
    def stirred(self) -> int:
        """Grows with every change that somebody may wait for."""
        return self._mailboxes.stirred

    def create(self, flow: NewFlow) -> bool:
        """Create a flow; False if it was there already. Raises Conflict."""
        return self._create(flow, self._clock())

    def claim(self, request: ClaimRequest) -> Claims:
        """Hand flows that are due to a worker."""
        now = self._clock()
        sight = claims.look(self._conn, request, now)
        taken = tuple(
            claims.take(self._conn, flow, request, self._token(), now, self._mailboxes) for flow in sight.chosen
        )
        due = now if sight.more else claims.next_due(self._conn, request, now)
        return Claims(taken, now, due, sight.suspects)

    def peek(self, request: ClaimRequest) -> Claims | None:
        """The answer to a request that gets nothing now; None if it would get something. Only reads."""
        now = self._clock()
        sight = claims.look(self._conn, request, now)
        if sight.chosen:
            return None
        due = now if sight.more else claims.next_due(self._conn, request, now)
        return Claims((), now, due, sight.suspects)

    def commit(self, commit: Commit) -> CommitReply:
        """Apply one commit. Raises LeaseLost and Conflict: the caller rolls back what was written before."""
        rules.check(commit)
        now, flow = self._clock(), commit.lease.flow
        if not self._record(commit, now):
            token, head = self._conn.execute(_STANDING, (flow,)).fetchone() or (None, None)
            if head != commit.id:
                raise LeaseLost(flow)
            return CommitReply(token == commit.lease.token, self._mailboxes.visible(flow), now)
        if rules.concerns_mail(commit):
            self._deliver(commit, now)
        mail = self._mailboxes.visible(flow)
        if mail and commit.status is not Status.RUNNING:
            self._conn.execute(_DUE, (rules.due_after(commit, now, has_mail=True), flow))
        return CommitReply(commit.status is Status.RUNNING, mail, now)

    def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        """Renew leases; answers each flow's mail. Also notes a sign of life."""
        now = self._clock()
        if beat is not None:
            rows.beat(self._conn, beat, now)
        held = [
            lease.flow
            for lease in leases
            if self._conn.execute(_EXTEND, (now + length, length, lease.flow, lease.token)).rowcount
        ]
        return {flow: self._mailboxes.visible(flow) for flow in held}

    def send(self, send: Send) -> bool:
        """Deliver a message; False if it was not taken."""
        return self._mailboxes.send(send, self._clock())

    def get(self, flow_id: str) -> FlowRow | None:
        row = self._conn.execute(rows.FLOW, (flow_id,)).fetchone()
        return None if row is None else rows.view(self._conn, row)

    def journal(self, flow_id: str, start: int, limit: int) -> list[bytes]:
        """Entries from sequence `start`, at most `limit`."""
        return [row[0] for row in self._conn.execute(_JOURNAL, (flow_id, start, limit))]

    def list(self, query: FlowQuery) -> list[FlowRow]:
        """Flows that match, newest created first."""
        sql, values = _listing(query)
        return [rows.view(self._conn, row) for row in self._conn.execute(sql, values).fetchall()]

    def workers(self) -> builtins.list[WorkerRow]:
        """Live workers, by name."""
        return rows.workers(self._conn, self._clock())

    def prune(self, before: int) -> int:
        """Delete what ended before this time; how many flows went."""
        gone = self._conn.execute(_ENDED, (before,)).fetchall()
        for statement in _PRUNE:
            self._conn.executemany(statement, gone)
        self._conn.execute(_PRUNE_NAMES, (before,))
        self._conn.execute(_PRUNE_WORKERS, (before,))
        self._conn.execute(_PRUNE_DOING)
        return len(gone)

    def count(self, kind: Kind) -> int:
        """How many pieces of a kind there are."""
        return records.count(self._conn, kind)

    def records(self, kind: Kind, after: Place | None, limit: int) -> builtins.list[Record]:
        """The pieces of a kind after a place, in order."""
        return records.records(self._conn, kind, after, limit)

    def restore(self, piece: Record | JournalPart) -> None:
        """Write a piece of another store, unless it is there."""
        records.restore(self._conn, piece)

    def begin_copy(self, source: StoreIdentity, place: str) -> None:
        """Be a copy of that store from now on. Raises CopyRefused, which calls this store `place`."""
        empty = not any(self.count(kind) for kind in Kind)
        rules.check_copy(place, source.source, schema.copy_of(self._conn), empty=empty)
        schema.begin_copy(self._conn, source.source, source.hash_seed)

    def end_copy(self) -> None:
        """Be a store like any other."""
        schema.end_copy(self._conn)

    def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        """Note that payloads are encrypted with this key; False if some are not."""
        if not (mixed or schema.key_checks(self._conn)) and any(self.count(kind) for kind in Kind):
            return False
        schema.add_key_check(self._conn, key, check)
        return True

    def verify(self) -> builtins.list[str]:
        """What is damaged in the file and its tables."""
        found = (text for number in range(verifying.questions()) for text in self.verify_part(number))
        return list(islice(found, rules.DAMAGE))

    def verify_part(self, number: int) -> builtins.list[str]:
        """What is damaged, by one of the questions that there are."""
        return verifying.answer(self._conn, number, rules.DAMAGE)

    def heard(self, worker: str, since: int) -> tuple[frozenset[str], int]:
        """The flows leased by a worker that got mail after `since` on the store's counter, and that counter now."""
        news = frozenset(row[0] for row in self._conn.execute(_NEWS, (since, worker)))
        count: int = self._conn.execute(_COUNT).fetchone()[0]
        return news, count

    def _create(self, flow: NewFlow, now: int) -> bool:
        row = self._conn.execute(_SAME, (flow.id,)).fetchone()
        if row is None:
            rows.insert(self._conn, flow, now)
            self._mailboxes.stirred += 1
            return True
        *same, status, result = row
        if same != [flow.type, flow.args, flow.parent]:
            raise Conflict(flow.id)
        if flow.parent is not None and Status(status).ended:
            self._mailboxes.send(Send(flow.parent, rules.result_message(flow.id, result)), now)
        return False

    def _record(self, commit: Commit, now: int) -> bool:
        """Write a commit's row and entries; False, and nothing, if the flow does not stand as the commit says."""
        execute, lease, start, news = self._conn.execute, commit.lease, commit.start, len(commit.entries)
        due = rules.due_after(commit, now, has_mail=False)
        told = (commit.base, commit.result, commit.note, commit.fingerprint)
        row = (commit.id, start + news, *told, now, commit.lease_length, due)
        stands = (lease.flow, lease.token, commit.predecessor, start)
        if commit.status is Status.RUNNING:
            written = execute(_KEEP, (*row, news, news, *stands)).rowcount
        else:
            ended = now if commit.status.ended else None
            written = execute(_RELEASE, (*row, commit.status.value, ended, *stands)).rowcount
            self._mailboxes.stirred += written
        if written and news:
            self._conn.executemany(_APPEND, [(lease.flow, start + n, entry) for n, entry in enumerate(commit.entries)])
        return bool(written)

    def _deliver(self, commit: Commit, now: int) -> None:
        """Do what a commit says of mail and of other flows."""
        flow, mailboxes = commit.lease.flow, self._mailboxes
        consumed, aside = self._taken(flow, commit.consumed), self._taken(flow, rules.set_aside(commit))
        touched = mailboxes.put_aside(flow, aside) | mailboxes.consume(flow, consumed)
        touched |= mailboxes.listen(commit, now)
        for channel in sorted(touched):
            mailboxes.match(channel, now)
        for child in commit.creates:
            self._create(child, now)
        for send in commit.sends:
            mailboxes.send(send, now)
        if commit.status.ended:
            mailboxes.forget_cancels(flow)
            (parent,) = self._conn.execute(_PARENT, (flow,)).fetchone()
            if parent is not None:
                mailboxes.send(Send(parent, rules.result_message(flow, commit.result)), now)

    def _taken(self, flow: str, ids: tuple[str, ...]) -> builtins.list[Found]:
        taken = [self._mailboxes.find(flow, message_id) for message_id in dict.fromkeys(ids)]
        found = [message for message in taken if message is not None]
        if len(found) < len(taken):  # the caller took a message that is another flow's by now: its view is stale
            raise LeaseLost(flow)
        return found


def _listing(query: FlowQuery) -> tuple[str, builtins.list[Any]]:
    conditions: list[tuple[bool, str, tuple[Any, ...]]] = [
        (bool(query.statuses), "status IN (SELECT value FROM json_each(?))", (json.dumps(query.statuses),)),
        (bool(query.types), "type IN (SELECT value FROM json_each(?))", (json.dumps(query.types),)),
        (query.part is not None, "instr(f.id, ?)", (query.part,)),
        (query.parent is not None, "parent = ?", (query.parent,)),
        (query.waiting_on is not None, "f.id IN (SELECT flow FROM wait WHERE channel = ?)", (query.waiting_on,)),
        (query.before is not None, "(created, f.id) < (?, ?)", query.before or ()),
    ]
    asked = [(sql, values) for wanted, sql, values in conditions if wanted]
    where = "".join(f" AND {sql}" for sql, _ in asked)
    values = [value for _, values in asked for value in values]
    return f"{rows.FLOWS}{where} ORDER BY created DESC, f.id DESC LIMIT ?", [*values, query.limit]
