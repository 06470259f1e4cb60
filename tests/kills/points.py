"""Points at which a worker or a client dies or stops, at its n-th passage. Loaded with the rig's flows, by itself.

ERGON_KILLS_POINT is `point:passage:action`, the action `kill` or `stop`. The product has no hooks: `arm` puts a layer
around the methods of the store's class, which also keeps the ledger's claims and releases.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, wraps
from typing import Any, TypeVar

from ergon_runtime.core.entries import (
    AttemptFailed,
    ChildCreated,
    ChildEnded,
    Continued,
    Retried,
    SignalReceived,
    StepBegun,
    StepEnded,
    TimerFired,
    unpack,
)
from ergon_runtime.core.flows import ClaimRequest, Claims, Commit, CommitReply, NewFlow, Send, Status
from tests.kills import ledger

T = TypeVar("T")
POINT = "ERGON_KILLS_POINT"

STEPS = ("step_begun", "effect_done")
CLAIMS = ("claim_sent", "claim_applied", "claimed", "journal_read", "extended")
COMMITS = ("commit_asked", "commit_sent", "commit_applied")
HOLDING = {
    StepEnded: "step_recorded",
    AttemptFailed: "try_recorded",
    StepBegun: "start_recorded",
    TimerFired: "timer_recorded",
    SignalReceived: "signal_recorded",
    ChildCreated: "child_created",
    ChildEnded: "child_heard",
    Continued: "life_begun",
    Retried: "life_begun",
}
"""Commits that hold such an entry, when they are applied and nobody knows."""
RELEASES = ("suspended", "handed_back", "ended", "child_ended")
IN_TRANSACTION = ("claim_open", "commit_open")
"""On SQLite, in the writer's thread, before the COMMIT."""
DRAINS = ("drain_begun", "drain_commit")
CLIENTS = ("create_sent", "create_applied", "send_sent", "send_applied")
WORKERS = (*STEPS, *CLAIMS, *COMMITS, *sorted(set(HOLDING.values())), *RELEASES)
"""Those of every worker on every store."""
COMMON = (*STEPS, *COMMITS, "step_recorded")
"""Those that a busy worker passes many times a second."""


class Doom:
    """What this process is to do at which point. `passes` does it when the time has come."""

    def __init__(self, text: str) -> None:
        self.point, passage, self.action = text.split(":") if text else ("", "0", "kill")
        self._left = int(passage)
        self._counting = threading.Lock()

    def comes(self, point: str) -> bool:
        """Count a passage; whether it is the last."""
        if point != self.point:
            return False
        with self._counting:
            self._left -= 1
            return self._left == 0

    def passes(self, *points: str) -> None:
        """A point is passed, perhaps under several names."""
        for point in points:
            if self.comes(point):
                self.strike()

    def strike(self) -> None:
        """Die, or stop until somebody sends SIGCONT."""
        if self.action == "stop":
            exact = threading.current_thread() is threading.main_thread()
            ledger.write(ledger.Stopping(ledger.me(), int(exact), ledger.boot_ms()))
        os.kill(os.getpid(), signal.SIGSTOP if self.action == "stop" else signal.SIGKILL)

    async def sent(self, point: str, call: Awaitable[T]) -> T:
        """Make a call; if the time has come, strike when it is sent and not answered."""
        if not self.comes(point):
            return await call
        task = asyncio.ensure_future(call)
        for _ in range(3):
            await asyncio.sleep(0)
        self.strike()
        return await task


DOOM = Doom(os.environ.get(POINT, ""))
passes = DOOM.passes


@cache
def arm(url: str) -> None:
    """Put the points around the store that this address names, in this process, once."""
    if url.startswith("sqlite:"):
        from ergon_runtime.stores.sqlite.operations import Operations
        from ergon_runtime.stores.sqlite.store import SQLiteStore

        store: Any = SQLiteStore
        for name in ("claim", "commit"):
            setattr(Operations, name, _in_transaction(getattr(Operations, name), f"{name}_open"))
    else:
        from ergon_runtime.stores.redis.store import RedisStore

        store = RedisStore
    from ergon_runtime.worker import RunningWorker

    for name, layer in _LAYERS.items():
        setattr(store, name, layer(getattr(store, name)))
    RunningWorker.shutdown = _shutdown(RunningWorker.shutdown)  # type: ignore[method-assign]  # in this process only


def _claim(claim: Callable[..., Awaitable[Claims]]) -> Callable[..., Awaitable[Claims]]:
    @wraps(claim)
    async def claimed(self: object, request: ClaimRequest) -> Claims:
        found = await DOOM.sent("claim_sent", claim(self, request))
        if found.claims:
            passes("claim_applied")
            for each in found.claims:
                token, status = each.lease.token, each.status.value
                ledger.write(ledger.Claimed(ledger.me(), each.lease.flow, token, status, ledger.boot_ms()))
            passes("claimed")
        return found

    return claimed


def _commit(commit: Callable[..., Awaitable[CommitReply]]) -> Callable[..., Awaitable[CommitReply]]:
    @wraps(commit)
    async def committed(self: object, given: Commit) -> CommitReply:
        passes("commit_asked", *(["drain_commit"] if _draining else []))
        reply = await DOOM.sent("commit_sent", commit(self, given))
        passes(*_names(given))
        if given.release:
            ledger.write(ledger.Released(ledger.me(), given.lease.flow, given.lease.token, ledger.boot_ms()))
        return reply

    return committed


def _names(commit: Commit) -> Sequence[str]:
    """The points that an applied commit passes."""
    if not DOOM.point:
        return ()
    entries = [unpack(entry, commit.start + n).entry for n, entry in enumerate(commit.entries)]
    names = dict.fromkeys(["commit_applied", *(HOLDING[type(entry)] for entry in entries if type(entry) in HOLDING)])
    if commit.release:
        child = ["child_ended"] if commit.status.ended and "/" in commit.lease.flow else []
        kinds = {Status.WAITING: "suspended", Status.PENDING: "handed_back"}
        names |= dict.fromkeys([*child, "ended" if commit.status.ended else kinds.get(commit.status, "")])
    return list(names)


def _extend(extend: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    @wraps(extend)
    async def extended(self: object, leases: Sequence[object], *args: object) -> T:
        answer = await extend(self, leases, *args)
        if leases:
            passes("extended")
        return answer

    return extended


def _journal(journal: Callable[..., Awaitable[list[bytes]]]) -> Callable[..., Awaitable[list[bytes]]]:
    @wraps(journal)
    async def read(self: object, *args: object) -> list[bytes]:
        entries = await journal(self, *args)
        if entries:
            passes("journal_read")
        return entries

    return read


def _client(verb: str) -> Callable[..., Any]:
    def layer(call: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        @wraps(call)
        async def done(self: object, given: NewFlow | Send) -> bool:
            answer = await DOOM.sent(f"{verb}_sent", call(self, given))
            passes(f"{verb}_applied")
            return answer

        return done

    return layer


_LAYERS: dict[str, Callable[..., Any]] = {
    "claim": _claim,
    "commit": _commit,
    "extend": _extend,
    "journal": _journal,
    "create": _client("create"),
    "send": _client("send"),
}
_draining: list[bool] = []


def _shutdown(shutdown: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @wraps(shutdown)
    async def drained(self: object) -> None:
        _draining.append(True)
        passes("drain_begun")
        await shutdown(self)

    return drained


def _in_transaction(work: Callable[..., T], point: str) -> Callable[..., T]:
    @wraps(work)
    def worked(self: object, given: object) -> T:
        answer = work(self, given)
        passes(point)
        return answer

    return worked
