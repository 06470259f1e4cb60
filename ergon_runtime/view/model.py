"""What people and programs are shown of a flow: plain frozen data, and its JSON.

The JSON field names are a contract: fields may be added, never renamed. Times are integer UTC milliseconds here, and
ISO 8601 UTC text with milliseconds in JSON. `args` and `result` are the stored JSON values, whatever codec wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, cast

from ergon_runtime.core.flows import Status
from ergon_runtime.core.history import idempotency_key
from ergon_runtime.journal import LONG

Json: TypeAlias = Any
"""What `json.loads` gives."""
StepKind: TypeAlias = Literal["step", "timer", "signal", "child", "marker"]
StepStatus: TypeAlias = Literal["completed", "failed", "running", "waiting"]
WhyKind: TypeAlias = Literal[
    "signal",
    "timer",
    "child",
    "retry",
    "queued",
    "no_worker",
    "running",
    "lease_expired",
    "diverged",
    "crash_loop",
    "unreadable",
    "spinning",
    "stuck",
    "conflict",
    "too_long",
    "paused",
]
BLOCKED_KINDS: tuple[WhyKind, ...] = (
    "diverged",
    "crash_loop",
    "unreadable",
    "spinning",
    "stuck",
    "conflict",
    "too_long",
    "paused",
)
"""The kinds a blocked flow has."""


def iso(milliseconds: int) -> str:
    """UTC milliseconds as ISO 8601: 2026-11-22T11:04:00.250Z. Times beyond the calendar are cut to its ends."""
    seconds, rest = divmod(min(max(milliseconds, _FIRST), _LAST), 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds)


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """An error, for people. `traceback` holds the user's frames, causes first; `cause` is the error that led to it."""

    type: str
    message: str
    traceback: str | None = None
    cause: ErrorInfo | None = None

    def to_json(self) -> dict[str, Json]:
        return {"type": self.type, "message": self.message, "traceback": self.traceback}


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a step; in a marker `retried`, the attempt of the flow that failed."""

    n: int
    worker: str | None
    started_at: int | None
    finished_at: int | None
    error: ErrorInfo | None

    def to_json(self) -> dict[str, Json]:
        return {
            "n": self.n,
            "worker": self.worker,
            "started_at": _time(self.started_at),
            "finished_at": _time(self.finished_at),
            "error": self.error and self.error.to_json(),
        }


@dataclass(frozen=True, slots=True)
class StepView:
    """One thing a flow asked for, or a marker. From a flow's second life on, keys end in `~` and the life's number.

    `child` is a child flow's id; `due` is when a waiting timer fires or the next try of a step is made. `detail` is
    what an open step told last by `heartbeat()`, and `heartbeat_at` when. `life` and `epoch` are those it belongs to;
    `ran_in` is the flow that it was recorded in, for what a fork took over from another.
    """

    key: str
    kind: StepKind
    name: str
    status: StepStatus
    attempts: int = 1
    tries: tuple[Try, ...] = ()
    args: Json = None
    result: Json = None
    error: ErrorInfo | None = None
    started_at: int | None = None
    finished_at: int | None = None
    child: str | None = None
    due: int | None = None
    detail: Json = None
    heartbeat_at: int | None = None
    life: int = 1
    epoch: int = 1
    ran_in: str | None = None

    @property
    def own_key(self) -> str:
        """The key without the life: what flow code and bodies know it by."""
        return self.key if self.life == 1 else self.key.removesuffix(f"~{self.life}")

    def to_json(self) -> dict[str, Json]:
        """The contract's fields, and no others."""
        return {
            "key": self.key,
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "attempts": self.attempts,
            "tries": [each.to_json() for each in self.tries],
            "args": self.args,
            "result": self.result,
            "error": self.error and self.error.to_json(),
            "started_at": _time(self.started_at),
            "finished_at": _time(self.finished_at),
            "detail": self.detail,
            "due": _time(self.due),
        }


@dataclass(frozen=True, slots=True)
class Aside:
    """A signal that came but did not fit the type waited for (S4)."""

    id: str
    payload: Json

    def to_json(self) -> dict[str, Json]:
        return {"id": self.id, "payload": self.payload}


@dataclass(frozen=True, slots=True)
class Why:
    """Why a flow is not over yet. `kind` says which of the other fields are set.

    signal: name, key, since, until (when a timeout cuts the wait short), aside · timer: due, since · child: child, key,
    since, cause (the child's own why, with its `flow_id`) · retry: key, name, attempt, due, error · queued, no_worker:
    since, type, version; queued also workers (how many live ones serve it) and, if all of these are full, busy and
    capacity (flows) · running: worker, lease_until, and of the step that has run longest key, name, attempt, since;
    without a step, open is 0 while the flow's own code runs, and not set when the worker has not told yet ·
    lease_expired: worker, since · blocked kinds: message, since, and for a divergence key, recorded, current, where.
    `also` are further waits, or running steps, `open` how many there are in all; `fix` is the command that helps, if
    one does.
    """

    kind: WhyKind
    flow_id: str | None = None
    key: str | None = None
    name: str | None = None
    since: int | None = None
    until: int | None = None
    due: int | None = None
    child: str | None = None
    cause: Why | None = None
    attempt: int | None = None
    error: ErrorInfo | None = None
    type: str | None = None
    version: str | None = None
    worker: str | None = None
    lease_until: int | None = None
    workers: int | None = None
    busy: int | None = None
    capacity: int | None = None
    message: str | None = None
    recorded: str | None = None
    current: tuple[str, ...] = ()
    where: str | None = None
    aside: tuple[Aside, ...] = ()
    also: tuple[Why, ...] = ()
    open: int | None = None
    fix: str | None = None

    def to_json(self) -> dict[str, Json]:
        """`kind`, and whatever is set."""
        found: dict[str, Json] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value != ():
                found[field.name] = _plain(field.name, value)
        return found

    @property
    def deepest(self) -> Why:
        """Along waits for children, the cause at the bottom."""
        return self.cause.deepest if self.cause is not None else self


_TIMES = frozenset({"since", "until", "due", "lease_until"})


def _plain(name: str, value: object) -> Json:
    if isinstance(value, int) and name in _TIMES:
        return iso(value)
    match value:
        case tuple():
            return [_plain("", each) for each in cast("tuple[object, ...]", value)]
        case Why() | ErrorInfo() | Aside():
            return value.to_json()
        case _:
            return value


@dataclass(frozen=True, slots=True)
class FlowView:
    """A flow as `inspect`, `list` and their JSON show it. `worker` holds its lease; `steps` are as in the journal."""

    id: str
    flow: str
    version: str | None
    status: Status
    why: Why | None
    args: Json
    result: Json
    error: ErrorInfo | None
    parent: str | None
    children: tuple[str, ...]
    attempt: int
    recoveries: int
    created_at: int
    updated_at: int
    steps: tuple[StepView, ...]
    worker: str | None = None
    entries: int = 0
    """How many its journal has in this life: what a takeover replays."""
    queue: str = "default"
    lease_until: int | None = None
    """When the lease of `worker` ends."""
    started_at: int | None = None
    """When a worker first took it."""

    def idempotency_key(self, step: StepView) -> str | None:
        """What the bodies of a step of this flow tell the outer world; None for what has no body."""
        return idempotency_key(step.ran_in or self.id, step.epoch, step.own_key) if step.kind == "step" else None

    @property
    def is_long(self) -> bool:
        """Whether its journal is one that workers warn of."""
        return self.entries > LONG

    def to_json(self) -> Mapping[str, Json]:
        """The contract's fields, and no others."""
        return {
            "id": self.id,
            "flow": self.flow,
            "version": self.version,
            "status": self.status.value,
            "why": self.why and self.why.to_json(),
            "args": self.args,
            "result": self.result,
            "error": self.error and self.error.to_json(),
            "parent": self.parent,
            "children": list(self.children),
            "attempt": self.attempt,
            "recoveries": self.recoveries,
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
            "steps": [step.to_json() for step in self.steps],
        }
