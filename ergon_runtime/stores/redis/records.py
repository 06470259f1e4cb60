"""Between pieces for copies and what the scripts `pieces` and `restore` answer and take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from ergon_runtime.core.flows import FlowRow, Message, Status
from ergon_runtime.errors import StoreCorrupt
from ergon_runtime.stores.records import (
    VOID,
    FlowRecord,
    JournalPart,
    Kind,
    NameRecord,
    Numbered,
    Place,
    Record,
    WaitRecord,
)
from ergon_runtime.stores.redis.rows import Argument, flow_row, raw


def record(kind: Kind, answer: Sequence[Any]) -> Record:
    """A piece, as `pieces` answers it."""
    match kind:
        case Kind.FLOWS:
            return _flow(answer)
        case Kind.NAMES:
            name, at = answer
            return NameRecord(*_pair(name), int(at))
        case Kind.KEPT:
            return _numbered(answer)


def _flow(answer: Sequence[Any]) -> FlowRecord:
    flow, fields, length, alone, ended, waits, messages, aside, sent = answer
    numbered = sorted((_numbered(each) for each in messages), key=lambda each: each.number)
    by_number = {each.number: each for each in numbered}
    put_away = {int(number) for number in aside}
    found = sorted((_wait(each, by_number) for each in waits), key=lambda wait: wait.channel)
    reserved = {wait.reserved.number for wait in found if wait.reserved is not None}
    return FlowRecord(
        row=flow_row((flow, fields, (), ())),
        lease_length=int(length),
        alone=bool(alone),
        ended=None if ended is None else int(float(ended)),
        waits=tuple(found),
        mail=tuple(each for each in numbered if each.number not in reserved | put_away),
        aside=tuple(each for each in numbered if each.number in put_away),
        sent=tuple(sorted(map(_pair, sent))),
    )


def _wait(answer: Sequence[bytes], messages: dict[int, Numbered]) -> WaitRecord:
    channel, number, since, reserved = answer
    return WaitRecord(channel.decode(), int(number), int(since), messages[int(reserved)] if reserved else None)


def _numbered(answer: Sequence[bytes]) -> Numbered:
    number, message_id, channel, body = answer
    return Numbered(int(number), Message(message_id.decode(), channel.decode(), raw(body)))


def _pair(name: bytes) -> tuple[str, str]:
    """A channel and an id, which the scripts join in one text that nothing else is taken for."""
    length, _, rest = name.partition(b":")
    return rest[: int(length)].decode(), rest[int(length) + 1 :].decode()


def ordered(found: list[Record], after: Place | None) -> list[Record]:
    """The records, if they stand in order behind that place: else who asks for the next ones would never be done.
    Raises StoreCorrupt."""
    places = [*([] if after is None else [after]), *(each.place for each in found)]
    if any(one >= other for one, other in pairwise(places)):
        raise StoreCorrupt("the server lists what it holds out of order; look at it with redis-cli")
    return found


def arguments(piece: Record | JournalPart) -> Iterator[Argument]:
    """A piece, as `restore` takes it."""
    match piece:
        case FlowRecord():
            yield from _flow_arguments(piece)
        case NameRecord(channel, message_id, at):
            yield from (Kind.NAMES.value, channel, message_id, at)
        case Numbered(number, message):
            yield from (Kind.KEPT.value, number, message.id, message.channel, message.body)
        case JournalPart(flow, start, entries):
            yield from ("journal", flow, start)
            yield from entries


def _flow_arguments(piece: FlowRecord) -> Iterator[Argument]:
    yield from (Kind.FLOWS.value, piece.row.id, "" if piece.ended is None else piece.ended)
    yield from _list([*_fields(piece.row), ("lease_length", piece.lease_length), ("alone", int(piece.alone))])
    yield from _list(
        (wait.channel, wait.number, wait.since, "" if wait.reserved is None else wait.reserved.number)
        for wait in piece.waits
    )
    reserved = (wait.reserved for wait in piece.waits if wait.reserved is not None)
    places = (("mail", piece.mail), ("reserved", tuple(reserved)), ("aside", piece.aside))
    yield from _list(_message(each, where) for where, messages in places for each in messages)
    yield from _list(piece.sent)


def _message(each: Numbered, where: str) -> tuple[Argument, ...]:
    return each.number, each.message.id, each.message.channel, each.message.body, where


def _fields(row: FlowRow) -> Iterator[tuple[str, Argument]]:
    """What the hash of a flow has of it; what is None is absent there."""
    values: dict[str, Argument | None] = {
        "type": row.type,
        "version": row.version,
        "lane": row.lane,
        "priority": row.priority,
        "args": row.args,
        "seed": row.seed,
        "parent": row.parent,
        "status": row.status.value,
        "due": row.due,
        "owner": row.owner,
        "head": row.head,
        "length": row.length,
        "base": row.base,
        "result": row.result,
        "note": row.note,
        "fingerprint": row.fingerprint,
        "created": row.created,
        "updated": row.updated,
        "started": row.started,
        "recoveries": row.recoveries,
        "deaths": row.deaths,
        "token": VOID if row.status is Status.RUNNING else None,
    }
    yield from ((name, value) for name, value in values.items() if value is not None)


def _list(rows: Iterable[Iterable[Argument]]) -> Iterator[Argument]:
    flat = [value for row in rows for value in row]
    yield len(flat)
    yield from flat
