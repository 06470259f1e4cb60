"""The raw journal, entry by entry, for people: what each says in words, and which step of the flow it belongs to.

Read in pages, without user code. A row that is none of our entries is an event `unreadable`, and the rest goes on. The
JSON field names are a contract: fields may be added, never renamed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, fields
from typing import assert_never

from ergon_runtime.core.entries import (
    Adopted,
    AttemptFailed,
    CancelReceived,
    ChildCancelled,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Forked,
    LifeMarker,
    Marker,
    Patched,
    Retried,
    SignalReceived,
    Started,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
    unpack,
)
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.history import shown_key
from ergon_runtime.journal import PAGE
from ergon_runtime.stores.contract import Store
from ergon_runtime.view.model import Json, iso
from ergon_runtime.view.stored import error_of, value_of

UNREADABLE = "unreadable"
"""The kind of a row that is none of our entries."""


@dataclass(frozen=True, slots=True)
class EventView:
    """One row of a journal. `step` is the key of its step as `StepView` has it; None for what belongs to none.

    `commit` numbers the commits that hold entries, from 1, `life` the lives of the flow. `data` are the entry's further
    fields, arguments, values and errors as JSON. Of an unreadable row, `commit` and `at` are None.
    """

    seq: int
    kind: str
    key: str
    life: int
    text: str
    commit: int | None = None
    at: int | None = None
    step: str | None = None
    data: dict[str, Json] = field(default_factory=dict[str, Json])

    def to_json(self) -> dict[str, Json]:
        return {
            "seq": self.seq,
            "commit": self.commit,
            "at": None if self.at is None else iso(self.at),
            "life": self.life,
            "kind": self.kind,
            "key": self.key,
            "step": self.step,
            "text": self.text,
            "data": self.data,
        }


class EventReader:
    """Reads a flow's journal from where it stopped the last time; at first from the beginning."""

    def __init__(self) -> None:
        self.seq, self.life = 0, 1
        self._cancels = 0

    async def read(self, store: Store, row: FlowRow) -> AsyncGenerator[EventView]:
        """The events that the journal of `row` has beyond those read. Raises StoreError."""
        while self.seq < row.length:
            rows = await store.journal(row.id, self.seq, min(PAGE, row.length - self.seq))
            if not rows:
                return  # the flow was pruned meanwhile
            for packed in rows:
                yield self.take(packed)

    def take(self, packed: bytes) -> EventView:
        """The next row of the journal."""
        seq, self.seq = self.seq, self.seq + 1
        try:
            record = unpack(packed, seq)
        except ValueError as problem:
            return EventView(seq, UNREADABLE, "", self.life, str(problem), step=f"#{seq}")
        entry = record.entry
        if isinstance(entry, LifeMarker):
            self.life = entry.life
        data = {each.name: _json(each.name, getattr(entry, each.name)) for each in fields(entry)}
        del data["key"], data["at"]
        text, step = in_words(entry), self._step(entry)
        return EventView(seq, entry.kind, entry.key, self.life, text, record.commit, entry.at, step, data)

    def _step(self, entry: Entry) -> str | None:
        match entry:
            case Started():
                return None
            case CancelReceived():
                self._cancels += 1
                return shown_key("cancel" if self._cancels == 1 else f"cancel#{self._cancels}", self.life)
            case Retried() | Continued() | Adopted() | Forked():
                return shown_key(entry.kind, self.life)
            case _:
                return shown_key(entry.key, self.life)


def in_words(entry: Entry) -> str:
    """What an entry says, in one line; values and messages are whole."""
    match entry:
        case StepEnded():
            tries = f" after {entry.attempts} tries" if entry.attempts > 1 else ""
            unknown = ", the outcome is unknown" if entry.unknown else ""
            end = "failed" if entry.error is not None else "completed"
            return f"{end}{tries}{unknown}{_what(entry.value, entry.error)} (on {entry.worker})"
        case StepStopped():
            return f"stopped: the flow no longer waited for it (on {entry.worker})"
        case TimerFired():
            return f"{'sleep is over' if entry.sleep else 'time is up'}, due {iso(entry.due)}"
        case SignalReceived():
            return f"signal {entry.name} received{_what(entry.value, None)}"
        case ChildEnded():
            said = _what(entry.value, entry.error) if entry.status is not Status.CANCELLED else ""
            return f"child {entry.child} {entry.status.value}{said}"
        case CancelReceived():
            return "asked to cancel" + (", before this life began" if entry.before else "")
        case Retried() | Continued() | Adopted() | Forked():
            return _life(entry)
        case _:
            return _marker(entry)


def _marker(entry: Marker) -> str:
    match entry:
        case Started():
            version = f" version {entry.version}" if entry.version else ""
            return f"began{version}, Python {entry.python}"
        case AttemptFailed():
            after = f"try {entry.attempt + 1} due {iso(entry.due)}"
            return f"try {entry.attempt} failed{_what(None, entry.error)} (on {entry.worker}), {after}"
        case StepBegun():
            return "begins, at most once"
        case ChildCreated():
            detached = ", detached" if entry.detached else ""
            return f"child {entry.child} of {entry.type} created{detached}"
        case ChildCancelled():
            return f"child {entry.child} is cancelled"
        case Patched():
            return "takes the changed code"
        case _:
            assert_never(entry)


def _life(entry: LifeMarker) -> str:
    match entry:
        case Retried():
            who = "an operator lets attempt" if entry.operator else "attempt"
            kept = "" if entry.keep else ", nothing is kept"
            cut = f", what is recorded from entry {entry.cut} on is not kept" if entry.cut is not None else ""
            return f"{who} {entry.attempt} begin at {iso(entry.due)}{kept}{cut}{_what(None, entry.error)}"
        case Continued():
            return f"begins anew{_what(entry.args, None)}"
        case Adopted():
            return "changed code takes over"
        case Forked():
            return f"forked from {entry.source} before its entry {entry.cut}"
        case _:
            assert_never(entry)


def _what(value: str | None, error: str | None) -> str:
    """A value or an error, after a colon."""
    info = error_of(error)
    if info is not None:
        said = " ".join(info.message.split())
        return f": {info.type}: {said}" if said else f": {info.type}"
    return "" if value is None else f": {json.dumps(value_of(value), ensure_ascii=False)}"


def _json(name: str, value: object) -> Json:
    match name, value:
        case "error", str(text):
            info = error_of(text)
            return info and info.to_json()
        case (("args" | "value"), str(text)):
            return value_of(text)
        case (("due" | "started" | "finished" | "asked" | "since"), int(time)):
            return iso(time)
        case _:
            return value
