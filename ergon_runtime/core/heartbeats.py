"""Heartbeats: how far the open steps of a flow have come, as their bodies last told.

T6  They are kept in the flow's note, not in its journal: a note tells the last heartbeat of each open step, and a
    worker that loads the flow reads them there. What ends a step drops its heartbeat. A note that cannot be read holds
    none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

FIELD = "heartbeats"
"""Where a note has them: a list of objects with the fields of Heartbeat."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the body of a step told: `detail` is a JSON text, or None. `started` is when its try began, `at` when it
    told; times are UTC milliseconds."""

    key: str
    digest: str
    detail: str | None
    attempt: int
    worker: str
    started: int
    at: int


class Heartbeats:
    """The last heartbeat of each open step, and which of them no commit has told yet."""

    __slots__ = ("_last", "_told", "count")

    def __init__(self) -> None:
        self._last: dict[str, Heartbeat] = {}
        self.count = self._told = 0

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._last)

    def record(self, beat: Heartbeat) -> None:
        """A body has told how far it is; without a detail it keeps the last one."""
        before = self.last(beat.key, beat.digest)
        if beat.detail is None and before is not None:
            beat = replace(beat, detail=before.detail)
        self._last[beat.key] = beat
        self.count += 1

    def last(self, key: str, digest: str) -> Heartbeat | None:
        """The last heartbeat of a step, if it was called with these arguments."""
        found = self._last.get(key)
        return found if found is not None and found.digest == digest else None

    def drop(self, key: str) -> None:
        """The step is over."""
        self._last.pop(key, None)

    def told(self, count: int) -> None:
        """A commit has told the first `count` heartbeats."""
        self._told = max(self._told, count)

    @property
    def untold(self) -> bool:
        """Whether there are heartbeats that no commit has told."""
        return bool(self._last) and self.count > self._told

    def changed(self, over: Collection[str]) -> bool:
        """Whether a commit that ends these steps has news for the note."""
        return self.untold or any(key in self._last for key in over)

    def fields(self, over: Collection[str] = ()) -> dict[str, Any]:
        """What a note says of them, but for steps that are `over`."""
        found = [asdict(beat) for key, beat in self._last.items() if key not in over]
        return {FIELD: found} if found else {}

    def restore(self, note: bytes | None, life: int) -> None:
        """Take over what a note tells, if it is of this life."""
        fields = read_note(note)
        if fields.get("life") == life:
            self._last |= {beat.key: beat for beat in heartbeats_in(fields)}


def read_note(note: bytes | None) -> dict[str, Any]:
    """The fields of a note; none if it cannot be read."""
    try:
        found: object = json.loads(note or b"")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def heartbeats_in(fields: Mapping[str, Any]) -> list[Heartbeat]:
    """The heartbeats among a note's fields; what is none is passed over."""
    rows: object = fields.get(FIELD)
    return [beat for row in cast("list[object]", rows) if (beat := _read(row))] if isinstance(rows, list) else []


def _read(row: object) -> Heartbeat | None:
    match row:
        case {
            "key": str(key),
            "digest": str(digest),
            "detail": (str() | None) as detail,
            "attempt": int(attempt),
            "worker": str(worker),
            "started": int(started),
            "at": int(at),
        }:
            return Heartbeat(key, digest, detail, attempt, worker, started, at)
        case _:
            return None
