"""Journal entries: what a flow's journal can hold, and their stored form.

Two groups. *Delivered* entries are completions: the machine hands each to the flow in a turn of its own, in order.
*Markers* are facts looked up by key (a child was created, a try failed, a life began); they never run the flow (rule
E2). Life markers (`Retried`, `Continued`, `Adopted`, `Forked`) divide a journal into lives.

Stored form: a JSON array `[kind, commit, field, …]` in the order of the class's fields. Fields are only ever added at
the end, with defaults, so that old journals stay readable. `commit` numbers the commits of a flow that hold entries,
from 1. Payloads (`args`, `value`, `error`) are JSON texts that this file does not look into. Times: UTC milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from types import NoneType
from typing import Any, ClassVar, TypeAlias, TypeVar

from ergon_runtime.core.flows import Status
from ergon_runtime.core.payloads import reason_against


@dataclass(frozen=True, slots=True)
class Started:
    """Entry 0: what the flow began with, for replays by later engines."""

    kind: ClassVar[str] = "started"
    key: str
    at: int
    seed: str
    version: str | None
    engine: int
    python: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step's result or final error. `unknown` marks an at-most-once step whose end nobody recorded."""

    kind: ClassVar[str] = "step"
    key: str
    at: int
    digest: str
    name: str
    args: str
    value: str | None
    error: str | None
    attempts: int
    started: int | None
    finished: int
    worker: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class StepStopped:
    """A step that was asked to stop and ended, or outlived its grace time (T3)."""

    kind: ClassVar[str] = "stopped"
    key: str
    at: int
    digest: str
    name: str
    args: str
    attempts: int
    started: int | None
    worker: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that fell due. `sleep` tells sleeps, which a retry remembers, from timeouts, which it must not (M3)."""

    kind: ClassVar[str] = "timer"
    key: str
    at: int
    digest: str
    name: str
    sleep: bool
    asked: int
    due: int


@dataclass(frozen=True, slots=True)
class SignalReceived:
    kind: ClassVar[str] = "signal"
    key: str
    at: int
    digest: str
    name: str
    message: str
    value: str
    since: int | None = None
    """When the flow began to wait for it."""


@dataclass(frozen=True, slots=True)
class ChildEnded:
    kind: ClassVar[str] = "child"
    key: str
    at: int
    digest: str
    message: str
    child: str
    status: Status
    value: str | None
    error: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))


@dataclass(frozen=True, slots=True)
class CancelReceived:
    """Somebody cancelled the flow. `before`: before this life began, so no code runs (P3)."""

    kind: ClassVar[str] = "cancel"
    key: str
    at: int
    message: str
    before: bool = False


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A try of a step failed and the next is due at `due` (T2)."""

    kind: ClassVar[str] = "attempt"
    key: str
    at: int
    digest: str
    name: str
    args: str
    attempt: int
    due: int
    error: str
    started: int
    finished: int
    worker: str


@dataclass(frozen=True, slots=True)
class StepBegun:
    """An at-most-once step is about to start (T5)."""

    kind: ClassVar[str] = "begun"
    key: str
    at: int
    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class ChildCreated:
    kind: ClassVar[str] = "created"
    key: str
    at: int
    digest: str
    child: str
    type: str
    version: str | None
    args: str
    detached: bool


@dataclass(frozen=True, slots=True)
class ChildCancelled:
    kind: ClassVar[str] = "child_cancelled"
    key: str
    at: int
    child: str


@dataclass(frozen=True, slots=True)
class Patched:
    """The code behind `patched(key)` is taken in this life (E8)."""

    kind: ClassVar[str] = "patched"
    key: str
    at: int


@dataclass(frozen=True, slots=True)
class Retried:
    """A new life after a failure. `keep` carries recorded successes over; without it a new epoch begins (M1, M5).

    `operator`: a person asked for it. `cut`: of what is recorded from this sequence on nothing is carried over.
    """

    kind: ClassVar[str] = "retried"
    key: str
    at: int
    life: int
    attempt: int
    epoch: int
    keep: bool
    due: int
    error: str | None = None
    operator: bool = False
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Continued:
    """A new life with new arguments and nothing remembered."""

    kind: ClassVar[str] = "continued"
    key: str
    at: int
    life: int
    epoch: int
    args: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A new life of a flow that changed code takes over: what is recorded is remembered, its order no longer binds."""

    kind: ClassVar[str] = "adopted"
    key: str
    at: int
    life: int
    attempt: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Forked:
    """The first life of a fork that is its own. The entries before it are those of the flow `source` before its
    sequence `cut`, and are remembered."""

    kind: ClassVar[str] = "forked"
    key: str
    at: int
    life: int
    epoch: int
    source: str
    cut: int


Delivered: TypeAlias = StepEnded | StepStopped | TimerFired | SignalReceived | ChildEnded | CancelReceived
LifeMarker: TypeAlias = Retried | Continued | Adopted | Forked
Marker: TypeAlias = Started | AttemptFailed | StepBegun | ChildCreated | ChildCancelled | Patched
Entry: TypeAlias = Delivered | Marker | LifeMarker

Timed = TypeVar("Timed", bound=Entry)


def _getter(names: list[str]) -> Callable[[Entry], tuple[Any, ...]]:
    """A function that gets these fields of an entry."""
    match names:
        case []:
            return lambda entry: ()
        case [name]:
            only = attrgetter(name)
            return lambda entry: (only(entry),)
        case _:
            return attrgetter(*names)


_CLASSES: tuple[type[Entry], ...] = (
    Started,
    StepEnded,
    StepStopped,
    TimerFired,
    SignalReceived,
    ChildEnded,
    CancelReceived,
    AttemptFailed,
    StepBegun,
    ChildCreated,
    ChildCancelled,
    Patched,
    Retried,
    Continued,
    Adopted,
    Forked,
)
_BY_KIND: dict[str, type[Entry]] = {cls.kind: cls for cls in _CLASSES}
_FIELDS: dict[str, Callable[[Entry], Any]] = {
    cls.kind: _getter([field.name for field in fields(cls)]) for cls in _CLASSES
}
_PAYLOADS: dict[str, Callable[[Entry], tuple[str | None, ...]]] = {
    cls.kind: _getter([field.name for field in fields(cls) if field.name in ("args", "value", "error")])
    for cls in _CLASSES
}
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_TEXT = (str, NoneType)
_TYPES: dict[str, list[Any]] = {
    cls.kind: [
        {"int": int, "bool": bool, "int | None": (int, NoneType), "str | None": _TEXT}.get(str(field.type), str)
        for field in fields(cls)
    ]
    for cls in _CLASSES
}
"""What the fields of each kind are in JSON."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry in its place: its sequence in the journal and the number of the commit that brought it."""

    seq: int
    commit: int
    entry: Entry


def timed(entry: Timed, at: int) -> Timed:
    """The entry with another time. Quicker than `dataclasses.replace`: it is done for every entry that there is."""
    key, _, *rest = _FIELDS[entry.kind](entry)
    return type(entry)(key, at, *rest)


def payload_size(entry: Entry) -> int:
    """The bytes of an entry's payloads."""
    texts = _PAYLOADS[entry.kind](entry)
    return sum(len(text) if text.isascii() else len(text.encode(errors="replace")) for text in texts if text)


def pack(entry: Entry, commit: int) -> bytes:
    """An entry in its stored form."""
    return _bytes([entry.kind, commit, *_FIELDS[entry.kind](entry)])


def unpack(row: bytes, seq: int) -> Recorded:
    """Read a stored entry. Raises ValueError when it is none of ours."""
    try:
        kind, commit, *values = _loads(row)
        cls, types = _BY_KIND[kind], _TYPES[kind]
        values = values[: len(types)]
        if not isinstance(commit, int) or not all(map(isinstance, values, types)):
            raise ValueError(f"a field of {kind!r} has the wrong type")
        return Recorded(seq, commit, cls(*values))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"journal entry {seq} cannot be read: {error}") from error


def _loads(payload: bytes) -> Any:
    if (reason := reason_against(payload)) is not None:
        raise ValueError(reason)
    return json.loads(payload)


def _bytes(row: list[Any]) -> bytes:
    # what the reader does with half a surrogate pair: whatever text was recorded is read back
    return _ENCODE(row).encode(errors="surrogatepass")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a flow ended: its value, its error, or neither when it was cancelled. Also the body of a child's message."""

    status: Status
    value: str | None = None
    error: str | None = None

    def pack(self) -> bytes:
        return _bytes([self.status, self.value, self.error])

    @classmethod
    def unpack(cls, data: bytes) -> Outcome:
        """Raises ValueError when the data is not an outcome."""
        try:
            row = _loads(data)
            status, value, error, *_ = row
            if not (isinstance(row, list) and isinstance(value, _TEXT) and isinstance(error, _TEXT)):
                raise ValueError("it is no list of texts")
            return cls(Status(status), value, error)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"stored outcome cannot be read: {error}") from error
