"""The memory store is the model: random operations on it and on another store must answer alike and leave equal stores.

Both have one clock and draw equal tokens. After every step both are equal, keep the rules that the audit knows, and
their indexes and side tables fit. The histories here are always the same; `python -m tests.stores.run_state_machine`
runs others, and longer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ergon_runtime.audit import ROWS, audit_pieces
from ergon_runtime.core.flows import (
    Beat,
    Claim,
    ClaimRequest,
    Commit,
    FlowQuery,
    Lease,
    Message,
    NewFlow,
    Send,
    Status,
)
from ergon_runtime.errors import Conflict, LeaseLost
from ergon_runtime.stores.memory import MemoryState
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind, Record
from tests.stores.harness import Clock
from tests.stores.subjects import RedisSubject, SQLiteSubject, Subject, dump_model

LANES = ("x", "y")
FLOWS = ("a", "b", "c", "d")
NAMES = ("signal:go", "signal:stop")
CHANNELS = (*NAMES, "child:b", "child:c")
IDS = ("1", "2", "3")

flow_ids = st.sampled_from(FLOWS)
sends = st.builds(
    Send,
    st.sampled_from((None, None, *FLOWS)),
    st.builds(Message, st.sampled_from(IDS), st.sampled_from((*CHANNELS, "cancel")), st.sampled_from((b"", b"1"))),
)
new_flows = st.builds(
    NewFlow,
    id=flow_ids,
    type=st.just("T"),
    version=st.none(),
    lane=st.sampled_from(LANES),
    args=st.sampled_from((b"", b"", b"", b"other")),
    seed=st.just("s"),
    parent=st.sampled_from((None, None, "a")),
    due=st.sampled_from((None, None, 1_000_030, 1_000_300)),
    priority=st.sampled_from((1, 5)),
)
requests = st.builds(
    ClaimRequest,
    worker=st.sampled_from(("w", "v")),
    lease=st.sampled_from((40, 100)),
    limit=st.integers(0, 3),
    lanes=st.lists(st.sampled_from(LANES), max_size=2).map(tuple),
    ids=st.one_of(st.none(), st.none(), st.lists(flow_ids, max_size=3).map(tuple)),
    under=st.one_of(st.none(), st.none(), st.lists(flow_ids, max_size=2).map(tuple)),
    fingerprint=st.sampled_from((None, None, "f")),
    alone=st.booleans(),
    operator=st.booleans(),
    statuses=st.lists(st.sampled_from(Status), max_size=2).map(tuple),
)


@dataclass
class Owner:
    """What somebody who once claimed a flow believes of it."""

    lease: Lease
    head: str | None
    length: int
    mail: tuple[Message, ...]
    last: Commit | None = None


class TwoStores(RuleBasedStateMachine):
    """Every rule does the same to both stores."""

    subject: type[Subject]

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.latest = self.clock.now
        self.tokens = _Tokens()
        self.model = MemoryState(self.clock, self.tokens.for_model)
        self.other = self.subject(self.clock, self.tokens.for_subject)
        self.owners: list[Owner] = []
        self.commits = 0

    def teardown(self) -> None:
        if hasattr(self, "other"):
            self.other.close()

    def both(self, work: Callable[[Any], Any]) -> Any:
        """Do it to both; the answers, or the errors, are equal."""
        self.tokens.forget()
        expected = _outcome(lambda: work(self.model))
        assert _outcome(lambda: self.other.do(work)) == expected
        return expected

    @rule(by=st.sampled_from((1, 10, 40, 100, 250, -30, -150)))
    def pass_time(self, by: int) -> None:
        self.clock.now += by
        self.latest = max(self.latest, self.clock.now)

    @rule(flow=new_flows)
    def create(self, flow: NewFlow) -> None:
        self.both(lambda store: store.create(flow))

    @rule(send=sends)
    def send(self, send: Send) -> None:
        self.both(lambda store: store.send(send))

    @rule(request=requests)
    def claim(self, request: ClaimRequest) -> None:
        self.keep(self.both(lambda store: store.claim(request)).claims)

    @rule(request=requests)
    def claim_what_is_due(self, request: ClaimRequest) -> None:
        plain = ClaimRequest(request.worker, request.lease, 3, LANES, alone=request.alone)
        self.keep(self.both(lambda store: store.claim(plain)).claims)

    def keep(self, claims: tuple[Claim, ...]) -> None:
        self.owners += [Owner(claim.lease, claim.head, claim.length, claim.mail) for claim in claims]

    @precondition(lambda self: self.owners)
    @rule(
        data=st.data(),
        status=st.sampled_from((*(Status.RUNNING,) * 3, *(Status.WAITING,) * 4, *list(Status))),
        entries=st.lists(st.sampled_from((b"e", b"")), max_size=2).map(tuple),
        waits=st.frozensets(st.sampled_from((*CHANNELS, "cancel"))),
        dropped=st.none() | st.frozensets(st.sampled_from((*CHANNELS, "cancel"))),
        due=st.sampled_from((None, None, 5, 60)),
        creates=st.lists(new_flows, max_size=1).map(tuple),
        out=st.lists(sends, max_size=1).map(tuple),
        fingerprint=st.sampled_from((None, "f")),
    )
    def commit(
        self,
        data: st.DataObject,
        status: Status,
        entries: tuple[bytes, ...],
        waits: frozenset[str],
        dropped: frozenset[str] | None,
        due: int | None,
        creates: tuple[NewFlow, ...],
        out: tuple[Send, ...],
        fingerprint: str | None,
    ) -> None:
        owner = data.draw(st.sampled_from(self.owners[-4:]))
        mail = [message.id for message in owner.mail] or ["ghost"]
        taken = data.draw(st.sampled_from(((), (), tuple(mail[:1]), tuple(mail), ("ghost",))))
        self.commits += 1
        commit = Commit(
            id=f"c{self.commits}",
            lease=owner.lease,
            predecessor=owner.head,
            start=owner.length,
            lease_length=data.draw(st.sampled_from((40, 100))),
            status=status,
            entries=entries,
            due=None if due is None else self.clock.now + due,
            waits=waits,
            dropped=dropped,
            consumed=taken,
            aside=data.draw(st.sampled_from(((), (), tuple(mail[-1:])))),
            creates=creates,
            sends=out,
            release=status is not Status.RUNNING,
            result=b"r" if status.ended else None,
            fingerprint=fingerprint,
        )
        self.apply(owner, commit)

    @precondition(lambda self: any(owner.last for owner in self.owners))
    @rule(data=st.data())
    def commit_again(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from([owner for owner in self.owners if owner.last]))
        assert owner.last is not None
        self.apply(owner, owner.last)

    def apply(self, owner: Owner, commit: Commit) -> None:
        reply = self.both(lambda store: store.commit(commit))
        if not isinstance(reply, tuple):
            length = commit.start + len(commit.entries)
            owner.head, owner.length, owner.mail, owner.last = commit.id, length, reply.mail, commit

    @rule(length=st.sampled_from((40, 100)), silence=st.sampled_from((0, 60)), worker=st.sampled_from(("w", "v")))
    def extend(self, length: int, silence: int, worker: str) -> None:
        leases = [owner.lease for owner in self.owners[-5:]]
        self.both(lambda store: store.extend(leases, length, Beat(worker, LANES, silence)))

    @rule(ago=st.sampled_from((0, 50)))
    def prune(self, ago: int) -> None:
        self.both(lambda store: store.prune(self.clock.now - ago))

    @rule(
        query=st.builds(FlowQuery, statuses=st.lists(st.sampled_from(Status), max_size=3).map(tuple), limit=st.just(3))
    )
    def read(self, query: FlowQuery) -> None:
        self.both(lambda store: store.list(query))
        self.both(lambda store: store.workers())

    @rule()
    def copy_each_to_the_other_kind(self) -> None:
        """What follows is done to the copies. Leases are copied without their tokens, and workers not at all."""
        from_model, from_other = _pieces(lambda work: work(self.model)), _pieces(self.other.do)
        self.other.close()
        self.model = MemoryState(self.clock, self.tokens.for_model)
        self.other = self.subject(self.clock, self.tokens.for_subject)
        for piece in from_other:
            self.model.restore(piece)
        for piece in from_model:
            self.other.do(partial(_restore, piece=piece))
        assert _pieces(lambda work: work(self.model)) == from_other
        assert _pieces(self.other.do) == from_model

    @invariant()
    def stores_are_equal(self) -> None:
        if hasattr(self, "model"):
            assert self.other.dump() == dump_model(self.model)

    @invariant()
    def what_they_hold_keeps_the_rules(self) -> None:
        """The journals and results are bytes of no flow, so what is written there is not looked at."""
        if hasattr(self, "model"):
            assert audit_pieces(_pieces(lambda work: work(self.model)), self.latest, ROWS) == []
            assert audit_pieces(_pieces(self.other.do), self.latest, ROWS) == []

    @invariant()
    def how_they_keep_it_fits_together(self) -> None:
        if hasattr(self, "model"):
            assert self.model.verify() == []
            assert self.other.do(lambda store: store.verify()) == []


class _Tokens:
    """The subject draws what the model drew for the same call, and may draw more, which it does not use."""

    def __init__(self) -> None:
        self._source, self._drawn = random.Random(7), list[str]()

    def for_model(self) -> str:
        self._drawn.append(f"{self._source.getrandbits(64):x}")
        return self._drawn[-1]

    def for_subject(self) -> str:
        return self._drawn.pop(0) if self._drawn else "unused"

    def forget(self) -> None:
        self._drawn.clear()


def _pieces(do: Callable[[Callable[[Any], Any]], Any]) -> list[Record | JournalPart]:
    """All that a store holds."""
    found: list[Record | JournalPart] = []
    for kind in Kind:
        found += do(lambda store, kind=kind: store.records(kind, None, 1000))
    flows = [piece.row.id for piece in found if isinstance(piece, FlowRecord)]
    return [
        *found,
        *(JournalPart(flow, 0, tuple(do(lambda store, flow=flow: store.journal(flow, 0, 1000)))) for flow in flows),
    ]


def _restore(store: Any, piece: Record | JournalPart) -> Any:
    return store.restore(piece)


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (LeaseLost, Conflict, ValueError) as error:
        return type(error), str(error)


class OnSQLite(TwoStores):
    subject = SQLiteSubject


class OnRedis(TwoStores):
    subject = RedisSubject


TestOnSQLite, TestOnRedis = OnSQLite.TestCase, OnRedis.TestCase
TestOnSQLite.settings = TestOnRedis.settings = settings(
    max_examples=30,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
