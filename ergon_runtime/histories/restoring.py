"""Histories put into a store, for people to look at: nothing runs them by itself (rule P8).

Flows that had ended come as they were. Any other comes `blocked` (`paused`), without its waits and mail, so that no
worker goes on with what belongs to another store. The flow comes before its journal, and says how long that is: what
was interrupted in between is not run, and is finished by doing it again. What is there is never changed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal, TypeAlias

from ergon_runtime.core.entries import Retried, pack, unpack
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.errors import Conflict
from ergon_runtime.histories.history import FlowHistory
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.records import FlowRecord, JournalPart

PART = 200
"""Journal entries written, and read, at a time."""
Restored: TypeAlias = Literal["new", "finished", "there"]
"""`finished`: it was there without the end of its journal, as an interruption leaves it."""


async def restore_history(store: Store, history: FlowHistory, origin: str) -> Restored:
    """Put a flow into a store, unless it is there. `origin` says where it is from, in its WHY.

    Raises Conflict if another flow has its id, or if the same flow stands elsewhere; ValueError if the history lacks
    entries; StoreError.
    """
    row = history.row
    if row.length != row.base + len(history.entries):
        raise ValueError(
            f"the journal of flow {row.id!r} has {row.base + len(history.entries)} of {row.length} entries"
        )
    entries, there = _from_zero(history), await store.get(row.id)
    if there is None:
        await store.restore(_record(row, len(entries), origin, await store.now()))
        written = await store.get(row.id)
        if written is None or not _same_flow(written, row) or written.head != row.head:
            raise Conflict(row.id)  # somebody else was faster
        known = 0
    elif _same_flow(there, row):
        known = await _agreeing(store, there, history, entries)
        if known == len(entries):
            return "there"
    else:
        raise Conflict(row.id)
    for start in range(known, len(entries), PART):
        await store.restore(JournalPart(row.id, start, entries[start : start + PART]))
    return "new" if there is None else "finished"


def _same_flow(one: FlowRow, other: FlowRow) -> bool:
    names = ("type", "version", "args", "seed", "parent", "created")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _from_zero(history: FlowHistory) -> tuple[bytes, ...]:
    """The entries as they are in a journal that begins with the first of them."""
    base = history.row.base
    return tuple(_moved(entry, base) for entry in history.entries) if base else history.entries


def _moved(packed: bytes, base: int) -> bytes:
    try:
        found = unpack(packed, 0)
    except ValueError:
        return packed  # whoever reads it will say so
    if isinstance(found.entry, Retried) and found.entry.cut is not None:
        return pack(replace(found.entry, cut=max(0, found.entry.cut - base)), found.commit)
    return packed


async def _agreeing(store: Store, there: FlowRow, history: FlowHistory, entries: tuple[bytes, ...]) -> int:
    """How many of the entries the store has. Raises Conflict if it has others, or lacks some but not by an
    interruption: the flow there stands before, and may be run."""
    ours, start = entries, 0
    first = await store.journal(there.id, 0, 1)
    if history.row.base and first != list(entries[:1]):  # it is the very flow, with what lies before the base
        ours, start = history.entries, history.row.base
    known = 0
    while known < len(ours) and (page := await store.journal(there.id, start + known, PART)):
        if page[: len(ours) - known] != list(ours[known : known + len(page)]):
            raise Conflict(there.id)
        known += len(page)
    if known < len(ours) and (start or there.head != history.row.head):
        raise Conflict(there.id)
    return min(known, len(ours))


def _record(row: FlowRow, length: int, origin: str, now: int) -> FlowRecord:
    if not row.status.ended:
        row = replace(row, status=Status.BLOCKED, note=_paused(row.note, origin, now), updated=now)
        row = replace(row, fingerprint=None, recoveries=0, deaths=0)
    moved = replace(row, due=None, owner=None, base=0, length=length, waits=(), aside=())  # whatever the file says
    ended = row.updated if row.status.ended else None
    return FlowRecord(moved, lease_length=0, alone=False, ended=ended, waits=(), mail=(), aside=(), sent=())


def _paused(note: bytes | None, origin: str, now: int) -> bytes:
    counts = {name: value for name, value in read_note(note).items() if name in ("attempt", "life")}
    why = {"kind": "paused", "message": f"imported from {origin}; nothing runs it", "since": now, "times": 1}
    return json.dumps({**counts, "why": why}, separators=(",", ":")).encode()
