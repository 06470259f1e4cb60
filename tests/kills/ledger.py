"""The ledger of what workers did: one line, one write, to a file that all of them append to. Its order is the truth.

Times are milliseconds of the boot clock, which all processes share. `worker` is the number that the rig gave it:
process ids come again.
"""

from __future__ import annotations

import os
import time
from dataclasses import astuple, dataclass
from functools import cache
from typing import ClassVar, TypeAlias

LEDGER, NUMBER = "ERGON_KILLS_LEDGER", "ERGON_KILLS_WORKER"
"""The ledger's path, and the number of this worker: variables of its environment."""
LONGEST = 512
"""Bytes of a line."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A step's body has done something that cannot be taken back. `nonce` is also in its result."""

    mark: ClassVar[str] = "E"
    worker: int
    flow: str
    key: str
    once: str
    """Its idempotency key."""
    flow_attempt: int
    attempt: int
    token: str
    nonce: str
    begun: int
    """When the body began."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A worker has learnt that it got a flow, whose status was this."""

    mark: ClassVar[str] = "C"
    worker: int
    flow: str
    token: str
    status: str
    at: int


@dataclass(frozen=True, slots=True)
class Released:
    """A worker has learnt that its commit gave a flow back, or ended it."""

    mark: ClassVar[str] = "R"
    worker: int
    flow: str
    token: str
    at: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """A worker stops itself. `exact`: in the thread that starts steps, so none was half started."""

    mark: ClassVar[str] = "S"
    worker: int
    exact: int
    at: int


Line: TypeAlias = Effect | Claimed | Released | Stopping
_KINDS: dict[str, type[Line]] = {kind.mark: kind for kind in (Effect, Claimed, Released, Stopping)}
_NUMBERS = {"worker", "flow_attempt", "attempt", "begun", "at", "exact"}


def boot_ms() -> int:
    """Now, by the clock that all processes share."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def me() -> int:
    """The number of this worker."""
    return int(os.environ[NUMBER])


def write(line: Line) -> None:
    """Append a line, in one write."""
    data = line_text(line).encode()
    assert len(data) <= LONGEST, data
    os.write(_file(), data)


def line_text(line: Line) -> str:
    return " ".join([line.mark, *map(str, astuple(line))]) + "\n"


def read(text: str) -> list[Line]:
    """The lines of a ledger, without one that is still being written."""
    return [_line(line) for line in text[: text.rfind("\n") + 1].splitlines()]


@cache
def _file() -> int:
    return os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _line(text: str) -> Line:
    mark, *parts = text.split(" ")
    kind = _KINDS[mark]
    named = zip(kind.__slots__, parts, strict=True)
    return kind(**{name: int(part) if name in _NUMBERS else part for name, part in named})
