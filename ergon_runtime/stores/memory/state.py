"""The memory store's deciding code: every contract operation as one synchronous method. No locks, threads or I/O.

It is also the model that other stores are compared with. A method either raises before it has changed anything, or does
all of its work.
"""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from ergon_runtime.core.flows import (
    SUSPECT,
    Beat,
    Claim,
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
from ergon_runtime.stores.memory.mailboxes import Mailboxes
from ergon_runtime.stores.memory.records import pieces, restore
from ergon_runtime.stores.memory.rows import Agenda, Mail, Row
from ergon_runtime.stores.memory.verifying import damage
from ergon_runtime.stores.records import JournalPart, Kind, Place, Record


class MemoryState:
    """All flows, mail and workers. The methods are those of the store contract; `clock` answers UTC milliseconds."""

    def __init__(self, clock: rules.Clock = rules.utc_now, token: rules.TokenSource = rules.new_token) -> None:
        self.clock = clock
        self._token = token
        self._agenda = Agenda()
        self.flows: dict[str, Row] = {}
        self.beats: dict[str, tuple[Beat, int]] = {}
        self.mailboxes = Mailboxes(self.flows, self._agenda)
        self.identity = StoreIdentity(
            id=secrets.token_hex(8),
            url="memory://",
            hash_seed=str(secrets.randbelow(2**32)),
            durability="none: everything is gone when the process ends",
        )

    @property
    def stirred(self) -> int:
        """Grows with every change that somebody may wait for."""
        return self.mailboxes.stirred

    def create(self, flow: NewFlow) -> bool:
        """Create a flow; False if it was there already. Raises Conflict."""
        self._check_creates((flow,))
        return self._create(flow, self.clock())

    def claim(self, request: ClaimRequest) -> Claims:
        """Hand flows that are due to a worker."""
        now = self.clock()
        ready, suspects = self._ready(request, now)
        chosen = suspects[:1] if request.alone and not request.operator else ready
        chosen = chosen[: request.limit]
        claims = tuple(self._claim(row, request, now) for row in chosen)
        left = len(ready) > len(chosen) and not request.alone
        due = now if left else self._next_due(request, now)
        return Claims(claims, now, due, any(row not in chosen for row in suspects))

    def commit(self, commit: Commit) -> CommitReply:
        """Apply one commit. Raises LeaseLost and Conflict; then nothing is written."""
        rules.check(commit)
        now, row = self.clock(), self.flows.get(commit.lease.flow)
        if row is None:
            raise LeaseLost(commit.lease.flow)
        if row.head == commit.id:
            return CommitReply(row.token == commit.lease.token, self.mailboxes.visible(row), now)
        if row.token != commit.lease.token or (row.head, row.entries) != (commit.predecessor, commit.start):
            raise LeaseLost(commit.lease.flow)
        consumed, aside = self._taken(row, commit.consumed), self._taken(row, rules.set_aside(commit))
        self._check_creates(commit.creates)
        self._apply(row, commit, consumed, aside, now)
        return CommitReply(row.token is not None, self.mailboxes.visible(row), now)

    def extend(
        self, leases: Sequence[Lease], length: int, beat: Beat | None = None
    ) -> Mapping[str, tuple[Message, ...]]:
        """Renew leases; answers each flow's mail. Also notes a sign of life."""
        now, mail = self.clock(), dict[str, tuple[Message, ...]]()
        if beat is not None:
            self._beat(beat, now)
        for lease in leases:
            row = self.flows.get(lease.flow)
            if row is not None and row.token == lease.token:
                row.due, row.length = now + length, length
                mail[lease.flow] = self.mailboxes.visible(row)
        return mail

    def send(self, send: Send) -> bool:
        """Deliver a message; False if it was not taken."""
        return self.mailboxes.send(send, self.clock())

    def get(self, flow_id: str) -> FlowRow | None:
        row = self.flows.get(flow_id)
        return None if row is None else row.view()

    def journal(self, flow_id: str, start: int, limit: int) -> builtins.list[bytes]:
        """Entries from sequence `start`, at most `limit`."""
        row = self.flows.get(flow_id)
        return [] if row is None else row.journal[start : start + limit]

    def list(self, query: FlowQuery) -> builtins.list[FlowRow]:
        """Flows that match, newest created first."""
        rows = sorted((r for r in self.flows.values() if _matches(r, query)), key=_age, reverse=True)
        return [row.view() for row in rows[: query.limit]]

    def workers(self) -> builtins.list[WorkerRow]:
        """Live workers, by name."""
        now = self.clock()
        rows = (
            WorkerRow(b.worker, b.lanes, b.host, b.pid, b.concurrency, seen, seen + b.silence, b.busy, b.doing)
            for _, (b, seen) in sorted(self.beats.items())
        )
        return [row for row in rows if row.until > now]

    def prune(self, before: int) -> int:
        """Delete what ended before this time; how many flows went."""
        gone = [row for row in self.flows.values() if row.ended is not None and row.ended < before]
        self.mailboxes.forget({row.flow.id for row in gone})
        for row in gone:
            del self.flows[row.flow.id]
        self.mailboxes.forget_names(before)
        for worker in [w for w, (beat, seen) in self.beats.items() if seen + beat.silence < before]:
            del self.beats[worker]
        return len(gone)

    def count(self, kind: Kind) -> int:
        """How many pieces of a kind there are."""
        return len(pieces(kind, self.flows, self.mailboxes))

    def records(self, kind: Kind, after: Place | None, limit: int) -> builtins.list[Record]:
        """The pieces of a kind after a place, in order."""
        found = sorted(pieces(kind, self.flows, self.mailboxes), key=lambda piece: piece.place)
        return [piece for piece in found if after is None or piece.place > after][:limit]

    def restore(self, piece: Record | JournalPart) -> None:
        """Write a piece of another store, unless it is there."""
        restore(piece, self.flows, self.mailboxes, self._agenda)

    def begin_copy(self, source: StoreIdentity) -> None:
        """Be a copy of that store from now on. Raises CopyRefused."""
        empty = not any(self.count(kind) for kind in Kind)
        rules.check_copy(self.identity.url, source.source, self.identity.copy_of, empty=empty)
        self.identity = replace(self.identity, hash_seed=source.hash_seed, copy_of=source.source)

    def end_copy(self) -> None:
        """Be a store like any other."""
        self.identity = replace(self.identity, copy_of=None)

    def add_key_check(self, key: str, check: str, *, mixed: bool) -> bool:
        """Note that payloads are encrypted with this key; False if some are not."""
        if not (mixed or self.identity.key_checks) and any(self.count(kind) for kind in Kind):
            return False
        checks = {key: check, **dict(self.identity.key_checks)}
        self.identity = replace(self.identity, key_checks=tuple(sorted(checks.items())))
        return True

    def verify(self) -> builtins.list[str]:
        """What is kept twice and does not say the same."""
        return list(islice(damage(self.flows, self.mailboxes, self._agenda), rules.DAMAGE))

    def heard(self, worker: str, since: int) -> tuple[frozenset[str], int]:
        """The flows leased by a worker that got mail after `since` on the store's counter, and that counter now."""
        rows = map(self.flows.__getitem__, self._agenda.all_leased())
        news = frozenset(r.flow.id for r in rows if r.owner == worker and r.heard > since)
        return news, self.mailboxes.tick()

    def _create(self, flow: NewFlow, now: int) -> bool:
        row = self.flows.get(flow.id)
        if row is None:
            due = now if flow.due is None else flow.due
            row = Row(flow=flow, created=now, status=rules.first_status(flow, now), due=due, updated=now)
            self.flows[flow.id] = row
            self._agenda.add(row)
            self.mailboxes.stirred += 1
            return True
        if flow.parent is not None and row.status.ended:
            self.mailboxes.send(Send(flow.parent, rules.result_message(flow.id, row.result)), now)
        return False

    def _check_creates(self, creates: Iterable[NewFlow]) -> None:
        new: dict[str, NewFlow] = {}
        for flow in creates:
            row = self.flows.get(flow.id)
            other = new.setdefault(flow.id, flow) if row is None else row.flow
            if (other.type, other.args, other.parent) != (flow.type, flow.args, flow.parent):
                raise Conflict(flow.id)

    def _taken(self, row: Row, ids: tuple[str, ...]) -> builtins.list[Mail]:
        taken = [self.mailboxes.find(row, id_) for id_ in dict.fromkeys(ids)]
        found = [mail for mail in taken if mail is not None]
        if len(found) < len(taken):  # the caller took a message that is another flow's by now: its view is stale
            raise LeaseLost(row.flow.id)
        return found

    def _apply(
        self, row: Row, commit: Commit, consumed: builtins.list[Mail], aside: builtins.list[Mail], now: int
    ) -> None:
        self._record(row, commit, now)
        touched = self.mailboxes.put_aside(row, aside)
        touched |= self.mailboxes.consume(row, consumed)
        touched |= self.mailboxes.listen(row, commit, now)
        for channel in sorted(touched):
            self.mailboxes.match(channel, now)
        for flow in commit.creates:
            self._create(flow, now)
        for send in commit.sends:
            self.mailboxes.send(send, now)
        if commit.status.ended:
            self.mailboxes.forget_cancels(row)
            if row.flow.parent is not None:
                self.mailboxes.send(Send(row.flow.parent, rules.result_message(row.flow.id, commit.result)), now)
        self._place(row, rules.due_after(commit, now, self.mailboxes.has_mail(row)))

    def _record(self, row: Row, commit: Commit, now: int) -> None:
        row.head, row.status, row.updated = commit.id, commit.status, now
        row.journal.extend(commit.entries)
        row.entries += len(commit.entries)
        row.result, row.fingerprint = commit.result, commit.fingerprint
        row.base = row.base if commit.base is None else commit.base
        row.note = row.note if commit.note is None else commit.note
        row.length = commit.lease_length
        row.ended = now if commit.status.ended else None
        if commit.status is not Status.RUNNING:
            self._agenda.remove(row)
            row.token = row.owner = row.due = None
            row.alone = False
            self.mailboxes.stirred += 1
        if commit.entries or commit.status is not Status.RUNNING:
            row.recoveries = row.deaths = 0

    def _place(self, row: Row, due: int | None) -> None:
        self._agenda.remove(row)
        row.due = due
        self._agenda.add(row)

    def _claim(self, row: Row, request: ClaimRequest, now: int) -> Claim:
        before, due = row.status, row.due
        if before is Status.RUNNING:
            row.recoveries += 1
            row.deaths += row.alone
        self._agenda.remove(row)
        row.token, row.owner, row.length = self._token(), request.worker, request.lease
        row.status, row.due, row.alone, row.ended = Status.RUNNING, now + request.lease, request.alone, None
        row.fingerprint = None  # other code has taken it: if that dies too, everybody may try again
        row.started = now if row.started is None else row.started
        self._agenda.add(row)
        return row.claimed(now, before, due, self.mailboxes.visible(row))

    def _ready(self, request: ClaimRequest, now: int) -> tuple[builtins.list[Row], builtins.list[Row]]:
        """The first flows that may be claimed, one more than the limit; and those that only a request `alone` gets."""
        rows = sorted(self._candidates(request, now), key=_turn)
        if request.operator:
            return rows, []
        mine = [row for row in rows if _fits(row, request)]
        return [r for r in mine if r.recoveries < SUSPECT], [r for r in mine if r.recoveries >= SUSPECT]

    def _candidates(self, request: ClaimRequest, now: int) -> Iterator[Row]:
        if request.ids is not None:
            rows = (self.flows[i] for i in dict.fromkeys(request.ids) if i in self.flows)
            yield from (
                r
                for r in rows
                if rules.wanted(request, r.status, r.flow.lane)
                and rules.within(request, r.flow.id)
                and (_claimable(r, now) or (request.operator and r.token is None))
            )
            return
        for lane in dict.fromkeys(request.lanes):
            due = map(self.flows.__getitem__, self._agenda.due(lane, now))
            yield from islice((r for r in due if _fits(r, request)), request.limit + 1)
            leased = map(self.flows.__getitem__, self._agenda.leased(lane))
            yield from (r for r in leased if _claimable(r, now) and _fits(r, request))

    def _next_due(self, request: ClaimRequest, now: int) -> int | None:
        if request.ids is not None:
            rows: Iterable[Row] = [self.flows[i] for i in request.ids if i in self.flows]
        else:
            rows = (row for lane in request.lanes for row in self._upcoming(lane, now, request))
        dues = (r.due for r in rows if r.due is not None and r.due > now and _fits(r, request))
        return min(dues, default=None)

    def _upcoming(self, lane: str, now: int, request: ClaimRequest) -> Iterator[Row]:
        for queue in self._agenda.later(lane, now):
            yield from islice((r for _, i in queue if _fits(r := self.flows[i], request)), 1)
        yield from map(self.flows.__getitem__, self._agenda.leased(lane))

    def _beat(self, beat: Beat, now: int) -> None:
        if beat.silence > 0:
            self.beats[beat.worker] = (beat, now)
        else:
            self.beats.pop(beat.worker, None)


def _fits(row: Row, request: ClaimRequest) -> bool:
    other_code = request.fingerprint is None or row.fingerprint != request.fingerprint
    return other_code and rules.within(request, row.flow.id)


def _claimable(row: Row, now: int) -> bool:
    if row.due is None:
        return False
    return row.due <= now if row.token is None else rules.expired(row.due, row.length, now)


def _turn(row: Row) -> tuple[int, bool, int, str]:
    return row.flow.priority, row.due is None, row.due or 0, row.flow.id


def _age(row: Row) -> tuple[int, str]:
    return row.created, row.flow.id


def _matches(row: Row, query: FlowQuery) -> bool:
    flow = row.flow
    return (
        (not query.statuses or row.status in query.statuses)
        and (not query.types or flow.type in query.types)
        and (query.part is None or query.part in flow.id)
        and (query.parent is None or flow.parent == query.parent)
        and (query.waiting_on is None or query.waiting_on in row.waits)
        and (query.before is None or _age(row) < query.before)
    )
