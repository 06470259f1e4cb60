"""What people name in a journal: its operations, by the keys that `ergon inspect` shows. Pure.

A key of the flow's life N from 2 on is shown as `key~N`. A key without a life means the newest life that has it.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias, cast

from ergon_runtime.core.entries import (
    AttemptFailed,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    LifeMarker,
    Recorded,
    Retried,
    SignalReceived,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.faults import Fault
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import heartbeats_in, read_note
from ergon_runtime.core.history import MemoKey, shown_key
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.journal import load_journal
from ergon_runtime.stores.contract import Store

Kind: TypeAlias = Literal["step", "timer", "signal", "child"]
State: TypeAlias = Literal["completed", "failed", "running", "waiting"]
Operation: TypeAlias = (
    StepEnded | StepStopped | StepBegun | AttemptFailed | TimerFired | SignalReceived | ChildCreated | ChildEnded
)
"""The entries that belong to an operation."""
NAMED = 5
"""Keys that a refusal names."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """Something recorded that will be run again, or waited for again, if the flow asks for it as before. `key` is as
    shown by `ergon inspect`, `status` how it stands in the journal."""

    key: str
    kind: Kind
    name: str
    status: State
    at_most_once: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "at_most_once": self.at_most_once,
        }


@dataclass(frozen=True, slots=True)
class Named:
    """An entry of an operation, with the life it is in."""

    life: int
    seq: int
    entry: Operation

    @property
    def shown(self) -> str:
        """Its key, as people see it."""
        return shown_key(self.entry.key, self.life)

    @property
    def memo(self) -> MemoKey:
        return self.entry.key, self.entry.digest


async def read_records(store: Store, row: FlowRow, start: int) -> list[Recorded]:
    """The journal from `start` on. Raises OperatorRefused for what cannot be read, StoreError."""
    try:
        return await load_journal(partial(store.journal, row.id), start, row.length)
    except Fault as fault:
        fix = f"ergon inspect {shlex.quote(row.id)}"
        raise OperatorRefused(
            row.id, f"what flow {row.id} has recorded cannot be used: {fault.message}", fix
        ) from fault


def operations(records: Iterable[Recorded]) -> Iterator[Named]:
    """The entries that belong to operations."""
    life = 1
    for record in records:
        entry = record.entry
        if isinstance(entry, LifeMarker):
            life = entry.life
        elif isinstance(entry, Operation):
            yield Named(life, record.seq, entry)


def present_epoch(records: Sequence[Recorded]) -> list[Recorded]:
    """What was recorded since the last marker after which nothing is remembered."""
    found: list[Recorded] = []
    for record in records:
        if _forgets(record.entry):
            found = []
        found.append(record)
    return found


def _forgets(entry: Entry) -> bool:
    return isinstance(entry, Continued) or (isinstance(entry, Retried) and not entry.keep)


def find_cut(row: FlowRow, life: int, found: Sequence[Named], name: str) -> int:
    """The first sequence that has an entry of the operation so named: `charge`, `charge#2`, `1/charge`, `charge~2`. For
    one of which nothing is recorded yet, the journal's end. `life` is the present one. Raises OperatorRefused."""
    first: dict[tuple[str, int], int] = {}
    for each in found:
        first.setdefault((each.entry.key, each.life), each.seq)
    for key in open_keys(row):
        first.setdefault((key, life), row.length)
    if lives := [of for key, of in first if key == name]:
        return first[name, max(lives)]
    for (key, of), seq in first.items():
        if name in (shown_key(key, of), f"{key}~{of}"):
            return seq
    raise unknown_step(row, name, [shown_key(*place) for place in first])


def unknown_step(row: FlowRow, name: str, keys: Sequence[str], said: str = "is not recorded") -> OperatorRefused:
    """The refusal of a key that is none of these."""
    near = difflib.get_close_matches(name, keys, NAMED, 0.4) or list(dict.fromkeys(keys))[:NAMED]
    known = f"there is {', '.join(near)}" if near else "there is none"
    fix = f"ergon inspect {shlex.quote(row.id)}"
    return OperatorRefused(row.id, f"in flow {row.id} {name!r} {said}: {known}", fix)


def open_keys(row: FlowRow) -> list[str]:
    """What a flow waits for or runs, as far as its note tells; of one that was cancelled, what it last did."""
    note, keys = read_note(row.note), list[str]()
    waits: object = note.get("waits")
    for wait in cast("list[object]", waits) if isinstance(waits, list) else ():
        match wait:
            case {"key": str(key)}:
                keys.append(key)
            case _:
                pass
    return keys + [beat.key for beat in heartbeats_in(note)]


def reruns(found: Iterable[Named], kept: Container[MemoKey]) -> tuple[Rerun, ...]:
    """The operations whose last record is not among the kept ones. Alarms of timeouts are none of them."""
    last: dict[str, tuple[Named, Rerun]] = {}
    once: set[MemoKey] = set()
    for each in found:
        if isinstance(each.entry, StepBegun):
            once.add(each.memo)
        if (rerun := _rerun(each)) is not None:
            last[each.entry.key] = each, rerun
    left = [(each, rerun) for each, rerun in last.values() if each.memo not in kept]
    return tuple(replace(rerun, at_most_once=each.memo in once) for each, rerun in left)


def _rerun(each: Named) -> Rerun | None:
    entry = each.entry
    match entry:
        case StepEnded():
            return Rerun(each.shown, "step", entry.name, "failed" if entry.error else "completed")
        case StepStopped():
            return Rerun(each.shown, "step", entry.name, "failed")
        case StepBegun():
            return Rerun(each.shown, "step", entry.name, "running")
        case AttemptFailed():
            return Rerun(each.shown, "step", entry.name, "waiting")
        case TimerFired():
            return Rerun(each.shown, "timer", entry.name, "completed") if entry.sleep else None
        case SignalReceived():
            return Rerun(each.shown, "signal", entry.name, "completed")
        case ChildCreated():
            return Rerun(each.shown, "child", entry.type, "running")
        case ChildEnded():
            name = entry.key.rpartition("/")[2].partition("#")[0]
            return Rerun(each.shown, "child", name, "completed" if entry.status is Status.COMPLETED else "failed")
