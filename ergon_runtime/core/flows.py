"""What a store knows of a flow: statuses and their transitions, claims, leases, messages, and the Commit.

Plain frozen data. Times are integer UTC milliseconds by the store's clock; durations are milliseconds. Journal entries,
arguments, results, message bodies and notes are bytes that no store looks into.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SUSPECT = 2
"""Recoveries without a clean release or a new entry after which a flow is claimed alone (rule P5)."""
CRASH_LOOP = 5
"""Deaths while alone after which a flow is blocked (rule P5)."""
FLOW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@=-]{0,199}")
"""What a flow id given by a person looks like; children's ids have `/` and `~` besides (rule K1)."""
CANCEL = "cancel"
"""The channel every flow listens to from its creation until its end."""


class Status(StrEnum):
    """Where a flow stands. The first four are live, the last three are ends."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

_RELEASED = frozenset({Status.PENDING, Status.RUNNING, Status.WAITING, Status.BLOCKED, *ENDED})
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING}),
    Status.WAITING: frozenset({Status.RUNNING}),
    Status.BLOCKED: frozenset({Status.RUNNING}),
    Status.RUNNING: _RELEASED,
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.RUNNING}),  # an operator's retry
    Status.CANCELLED: frozenset({Status.RUNNING}),
}
"""Every change of status goes through a claim (to running) and that claim's commits."""


def lane(type_: str, version: str | None, queue: str = "default") -> str:
    """The lane a flow waits in: one per queue, flow type and version. Stores compare it and never parse it."""
    return f"{queue}:{type_}:{version or ''}"


def queue_of(lane_: str, type_: str, version: str | None) -> str:
    """The queue that a lane of this flow type and version belongs to."""
    return lane_.removesuffix(lane(type_, version, ""))


@dataclass(frozen=True, slots=True)
class NewFlow:
    """A flow to create. `due` None means now; `seed` fixes everything that looks random inside the flow."""

    id: str
    type: str
    version: str | None
    lane: str
    args: bytes
    seed: str
    parent: str | None = None
    due: int | None = None
    priority: int = 5


@dataclass(frozen=True, slots=True)
class Message:
    """One piece of mail for a flow: a signal, a child's result or a cancel request. `id` is unique in its mailbox."""

    id: str
    channel: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """A message on its way: to one flow's mailbox, or (`to` None) to whichever flow waits longest on the channel."""

    to: str | None
    message: Message


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a flow: valid while the token is the one in the store (rule R2: random, new at each
    claim)."""

    flow: str
    token: str


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker asks for: flows that are due in these `lanes`, or with `ids` only these, in whatever lane if no
    lanes are given.

    `lease` is the length in milliseconds. `fingerprint` names the worker's code: flows that diverged under it are
    passed over (P4). `under` narrows the request to flows of these ids and those below them, whose ids begin with such
    an id and `/`. `alone` asks for one suspect flow, and only that (P5). `operator` takes the named ids in whatever
    status they are, ended included, as long as nobody holds a lease on them (P3).
    """

    worker: str
    lease: int
    limit: int
    lanes: tuple[str, ...] = ()
    ids: tuple[str, ...] | None = None
    under: tuple[str, ...] | None = None
    fingerprint: str | None = None
    alone: bool = False
    operator: bool = False
    statuses: tuple[Status, ...] = ()
    """With `operator`: take a flow only if its status is one of these; empty: whatever it is."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A flow handed to a worker. `started` is the time of the flow's first claim ever, `now` that of this one."""

    lease: Lease
    type: str
    version: str | None
    args: bytes
    seed: str
    parent: str | None
    status: Status
    """The status before the claim."""
    head: str | None
    length: int
    base: int
    started: int
    now: int
    due: int | None
    """When it was due, or had been asked to be."""
    recoveries: int
    deaths: int
    mail: tuple[Message, ...]
    note: bytes | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """The answer to a ClaimRequest, at `now` by the store's clock. `next_due` is when the next flow of these lanes
    falls due, as known then; `suspects` tells that a suspect flow is due, which only a request `alone` gets."""

    claims: tuple[Claim, ...]
    now: int
    next_due: int | None = None
    suspects: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic change to a flow (rules C1 to C5).

    Applied only if `lease.token` is the flow's token and `predecessor` its head; afterwards `id` is the head. The
    entries follow the journal's first `start` ones. `waits` is the full set of channels the flow listens to after this
    commit, or, when `dropped` is given, a change to what its predecessor left: those it begins to listen to, while
    `dropped` are those it no longer does. Blocked and ended flows listen to none of them. (`cancel` is always
    listened to and need not be named.) `consumed` names messages whose entries are in this
    commit; `aside` names messages that do not fit and are put away (S4). While the lease is kept it is renewed to
    `lease_length`; with `release` it ends and the flow becomes due at `due` (None: when mail comes), or at once if mail
    waits for it. `result` is set by the status that ends a flow, and goes to the parent as the child's message. `note`
    describes what the flow waits for or why it is blocked, for people; None keeps the old one.
    """

    id: str
    lease: Lease
    predecessor: str | None
    start: int
    lease_length: int
    status: Status = Status.RUNNING
    entries: tuple[bytes, ...] = ()
    due: int | None = None
    waits: frozenset[str] = frozenset()
    dropped: frozenset[str] | None = None
    consumed: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    creates: tuple[NewFlow, ...] = ()
    sends: tuple[Send, ...] = ()
    release: bool = False
    result: bytes | None = None
    base: int | None = None
    note: bytes | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class CommitReply:
    """`held` says whether the caller owns the flow after the commit; `mail` is what waits for the flow on its
    channels."""

    held: bool
    mail: tuple[Message, ...]
    now: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life of a worker: the lanes it serves and how long it may be silent (milliseconds; 0 signs off)."""

    worker: str
    lanes: tuple[str, ...]
    silence: int
    host: str = ""
    pid: int = 0
    concurrency: int = 0
    busy: int = 0
    """How many flows it advances now."""
    doing: bytes = b""
    """Which step bodies run now (core/doing.py); empty: it does not tell. Stores do not look into it."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as others see it."""

    worker: str
    lanes: tuple[str, ...]
    host: str
    pid: int
    concurrency: int
    seen: int
    until: int
    """Live while the store's clock is below this."""
    busy: int = 0
    """How many flows it advanced when it was seen."""
    doing: bytes = b""
    """Which step bodies ran then."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A channel a flow listens to. `since` (milliseconds) is when it began; `reserved` whether a message is set apart
    for it."""

    channel: str
    since: int
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A flow as the store has it, for readers, in lists too. Of very many `waits` it has 100, names before children."""

    id: str
    type: str
    version: str | None
    lane: str
    priority: int
    args: bytes
    seed: str
    parent: str | None
    status: Status
    due: int | None
    """When it may be claimed next; for a running flow, when its lease ends."""
    owner: str | None
    """The worker that holds the lease."""
    head: str | None
    length: int
    base: int
    result: bytes | None
    note: bytes | None
    fingerprint: str | None
    created: int
    updated: int
    started: int | None
    recoveries: int
    deaths: int
    waits: tuple[Wait, ...] = ()
    aside: tuple[Message, ...] = ()

    @property
    def origin(self) -> int:
        """When its first life began: where its time does (M4). Before that, when it was created."""
        return self.created if self.started is None else self.started


@dataclass(frozen=True, slots=True)
class FlowQuery:
    """Which flows to list, newest created first. `part` matches anywhere in the id; `waiting_on` a channel listened
    to."""

    statuses: tuple[Status, ...] = ()
    types: tuple[str, ...] = ()
    part: str | None = None
    parent: str | None = None
    waiting_on: str | None = None
    limit: int = 100
    before: tuple[int, str] | None = None
    """(created, id) of the last row of the page before."""
