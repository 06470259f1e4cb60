"""Copying a store to another of any kind: what is missing there, piece by piece, and then a comparison of all.

The target says from the first piece on that it is an unfinished copy, which nothing runs on, until it was found equal.
So a copy that was interrupted is begun again and goes on: both stores list their pieces in one order. What is there
already is never changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TypeAlias

from ergon_runtime.core.flows import FlowQuery, Status
from ergon_runtime.core.payloads import reason_against
from ergon_runtime.errors import CopyRefused, PayloadUnreadable
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind, NameRecord, Numbered, Place, Record

PAGE = 100
"""Pieces read at a time, and worked on together."""
ENTRIES = 200
"""Journal entries read at a time."""

Tell: TypeAlias = Callable[[str, int, int], None]
"""Is told what is being done, how many pieces there are, and to how many it has been done."""
_Pair: TypeAlias = tuple[Record | None, Record | None]
"""What is at one place in the source, and in the target."""
_Work: TypeAlias = Callable[[Record | None, Record | None], Coroutine[None, None, None]]


@dataclass(slots=True)
class Copied:
    """What was compared in the end, and the pieces that are not equal: none, if all is well."""

    flows: int = 0
    entries: int = 0
    names: int = 0
    kept: int = 0
    unequal: list[str] = field(default_factory=list[str])


async def copy_store(source: Store, target: Store, tell: Tell = lambda what, total, done: None) -> Copied:
    """Make the target equal to the source. `source` may be open for reading only; nobody may use either meanwhile.

    If the answer has unequal pieces, the target remains unfinished. Raises CopyRefused if the stores are in use or the
    target is not empty, and StoreError.
    """
    origin, place = await source.identity(), await target.identity()
    if origin.id == place.id:
        raise CopyRefused(f"{origin.url} and {place.url} are the same store")
    if origin.copy_of is not None:
        raise CopyRefused(f"{origin.url} is itself an unfinished copy; finish that first")
    await _check_unused(source, target)
    await target.begin_copy(origin)
    total = sum([await source.count(kind) for kind in Kind])
    await _each(source, target, partial(_bring, source, target), partial(tell, "copied", total))
    copied = Copied()
    await _each(source, target, partial(_compare, source, target, copied), partial(tell, "checked", total))
    if (await target.identity()).hash_seed != origin.hash_seed:
        copied.unequal.append("hash seed")
    await _check_unused(source, target)  # else what was compared first may have changed since
    if not copied.unequal:
        await target.end_copy()
    return copied


async def _check_unused(source: Store, target: Store) -> None:
    for store in (source, target):
        if workers := await store.workers():
            said = f"worker {workers[0].worker} lives in {(await store.identity()).url}"
            raise CopyRefused(f"{said}; stop all workers of both stores first")
    now, before = await source.now(), None
    while rows := await source.list(FlowQuery(statuses=(Status.RUNNING,), limit=PAGE, before=before)):
        for row in rows:
            if row.due is not None and row.due > now:
                said = f"flow {row.id} is leased to {row.owner} for another {row.due - now} ms"
                raise CopyRefused(f"{said}; stop that worker, or wait until the lease is over")
        before = (rows[-1].created, rows[-1].id)


async def _each(source: Store, target: Store, work: _Work, tell: Callable[[int], None]) -> None:
    """Do the work for every place of both stores, for a page of them at a time."""
    done = 0
    for kind in Kind:
        page: list[_Pair] = []
        async with aclosing(_pairs(source, target, kind)) as pairs:
            async for pair in pairs:
                page.append(pair)
                if len(page) == PAGE:
                    await _together(page, work)
                    done += len(page)
                    tell(done)
                    page = []
        await _together(page, work)
        done += len(page)
    tell(done)


async def _together(page: list[_Pair], work: _Work) -> None:
    """At once, so that the stores put many into one transaction. Raises the first error, when all have come to an
    end."""
    ends = await asyncio.gather(*(work(*pair) for pair in page), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end


async def _pairs(source: Store, target: Store, kind: Kind) -> AsyncGenerator[_Pair]:
    """The pieces of both stores side by side, in their order. None where one store has none."""
    async with aclosing(_pieces(source, kind)) as ours, aclosing(_pieces(target, kind)) as theirs:
        one, other = await anext(ours, None), await anext(theirs, None)
        while one is not None or other is not None:
            if other is None or (one is not None and one.place < other.place):
                yield one, None
                one = await anext(ours, None)
            elif one is None or other.place < one.place:
                yield None, other
                other = await anext(theirs, None)
            else:
                yield one, other
                one, other = await anext(ours, None), await anext(theirs, None)


async def _pieces(store: Store, kind: Kind) -> AsyncGenerator[Record]:
    after: Place | None = None
    while page := await store.records(kind, after, PAGE):
        for piece in page:
            yield piece
        after = page[-1].place


async def _bring(source: Store, target: Store, ours: Record | None, theirs: Record | None) -> None:
    """Write to the target what it has not."""
    if ours is None:
        return  # the comparison tells
    if theirs is None:
        _check_readable(ours)
        await target.restore(ours)
    if isinstance(ours, FlowRecord) and ours.row.length:
        flow, length = ours.row.id, ours.row.length
        if theirs is not None and await target.journal(flow, length - 1, 1):
            return
        start = 0
        while entries := await source.journal(flow, start, ENTRIES):
            part = JournalPart(flow, start, tuple(entries))
            _check_readable(part)
            await target.restore(part)
            start += len(entries)


def _check_readable(piece: Record | JournalPart) -> None:
    """Raises PayloadUnreadable if something of it could not be decrypted: that is not to be written."""
    match piece:
        case JournalPart(owner, _, entries):
            payloads: Iterable[bytes | None] = entries
        case FlowRecord(row):
            reserved = (wait.reserved for wait in piece.waits if wait.reserved)
            mail = (each.message.body for each in chain(piece.mail, piece.aside, reserved))
            owner, payloads = row.id, (row.args, row.result, row.note, *mail)
        case Numbered(_, message):
            owner, payloads = message.channel, (message.body,)
        case NameRecord():
            return
    if reason := next(filter(None, map(reason_against, payloads)), None):
        raise PayloadUnreadable(owner, f"the store cannot be copied: {reason}")


async def _compare(source: Store, target: Store, copied: Copied, ours: Record | None, theirs: Record | None) -> None:
    equal = ours == theirs
    match ours or theirs:
        case None:
            return
        case FlowRecord(row=row):
            name, copied.flows = f"flow {row.id}", copied.flows + 1
            equal = equal and await _equal_journals(source, target, row.id)
            copied.entries += row.length
        case NameRecord(channel, message_id):
            name, copied.names = f"id {message_id} sent to {channel}", copied.names + 1
        case Numbered(_, message):
            name, copied.kept = f"message {message.id} kept for {message.channel}", copied.kept + 1
    if not equal:
        copied.unequal.append(name)


async def _equal_journals(source: Store, target: Store, flow: str) -> bool:
    start = 0
    while True:
        ours, theirs = await asyncio.gather(*(store.journal(flow, start, ENTRIES) for store in (source, target)))
        if ours != theirs:
            return False
        if not ours:
            return True
        start += len(ours)
