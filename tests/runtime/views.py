"""Flows put into a memory store by hand, as commits of a runner would leave them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from ergon_runtime.core.entries import AttemptFailed, Entry, Outcome, Started, StepEnded, pack
from ergon_runtime.core.flows import Beat, ClaimRequest, Commit, FlowRow, Message, NewFlow, Send, Status, lane
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.memory import MemoryStore
from ergon_runtime.view import FlowView, view_flow, view_row

T = TypeVar("T")
START = 1_700_000_000_000
LEASE = 15_000


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def error(type_: str = "ValueError", message: str = "no") -> str:
    """A stored error."""
    names = [f"builtins:{type_}", "builtins:Exception"]
    return json.dumps({"types": names, "message": message, "traceback": f"{type_}: {message}\n"})


STARTED = Started("", START, "seed", None, 1, "3.11")


def ended(key: str, value: str | None = "1", failure: str | None = None, attempts: int = 1) -> StepEnded:
    at = START + 10 * attempts
    return StepEnded(key, at, "d", key, '{"n":1}', value, failure, attempts, at - 5, at, "w1")


def tried(key: str, attempt: int, due: int, message: str = "busy") -> AttemptFailed:
    at = START + 10 * attempt
    return AttemptFailed(key, at, "d", key, '{"n":1}', attempt, due, error("OSError", message), at - 5, at, "w1")


def beating(key: str, attempt: int, detail: object, *, life: int = 1) -> dict[str, Any]:
    """The note of a flow with a step that has told how far it is."""
    row = {"key": key, "digest": "d", "detail": json.dumps(detail), "attempt": attempt, "worker": "w1"}
    return {**waits(life=life), "heartbeats": [row | {"started": START + 100, "at": START + 200}]}


def waits(*items: dict[str, Any], life: int = 1) -> dict[str, Any]:
    return {"attempt": 1, "life": life, "waits": list(items), "open": len(items)}


class Scene:
    """A store with helpers that place flows in it; without one given, a memory store whose clock is `now`."""

    def __init__(self, store: Store | None = None) -> None:
        self.now = START
        self.store: Store = store or MemoryStore(clock=lambda: self.now)

    async def create(self, flow: str, *, parent: str | None = None, due: int | None = None) -> None:
        new = NewFlow(flow, "order", None, lane("order", None), b'{"n":1}', "seed", parent, due)
        await self.store.create(new)

    async def claim(self, flow: str) -> None:
        """Claim a flow and keep it."""
        request = ClaimRequest("w-old", LEASE, 1, ids=(flow,))
        assert (await self.store.claim(request)).claims

    async def place(
        self,
        flow: str,
        status: Status = Status.WAITING,
        entries: Iterable[Entry | bytes] = (),
        *,
        parent: str | None = None,
        waits: Iterable[str] = (),
        due: int | None = None,
        note: object = None,
        outcome: Outcome | None = None,
        aside: tuple[Message, ...] = (),
    ) -> None:
        """Create a flow and commit once to it."""
        await self.create(flow, parent=parent)
        for message in aside:
            await self.store.send(Send(flow, message))
        claims = await self.store.claim(ClaimRequest("w1", LEASE, 1, ids=(flow,)))
        rows = tuple(each if isinstance(each, bytes) else pack(each, 1) for each in entries)
        commit = Commit(
            id=f"c {flow}",
            lease=claims.claims[0].lease,
            predecessor=None,
            start=0,
            lease_length=LEASE,
            status=status,
            entries=rows,
            due=due,
            waits=frozenset(waits),
            aside=tuple(message.id for message in aside),
            release=status is not Status.RUNNING,
            result=outcome.pack() if outcome else None,
            note=json.dumps(note).encode() if note is not None else None,
        )
        await self.store.commit(commit)

    async def serve(self, type_: str = "order") -> None:
        """Let a worker live that serves a flow type."""
        await self.store.extend([], LEASE, Beat("w2", (lane(type_, None),), LEASE))

    async def row(self, flow: str) -> FlowRow:
        row = await self.store.get(flow)
        assert row is not None
        return row

    async def view(self, flow: str) -> FlowView:
        return await view_flow(self.store, await self.row(flow), now=self.now, workers=await self.store.workers())

    async def listed(self, flow: str) -> FlowView:
        """The view that a list takes."""
        return await view_row(self.store, await self.row(flow), now=self.now, workers=await self.store.workers())
