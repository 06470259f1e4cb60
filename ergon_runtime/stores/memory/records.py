"""The memory store's pieces for copies: read from what it holds, and written into it. All functions are synchronous."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import replace

from ergon_runtime.core.flows import Message, NewFlow, Status
from ergon_runtime.errors import FlowNotFound
from ergon_runtime.stores import rules
from ergon_runtime.stores.memory.mailboxes import Mailboxes
from ergon_runtime.stores.memory.rows import Agenda, Listening, Mail, Row, seq_of
from ergon_runtime.stores.records import VOID, FlowRecord, JournalPart, Kind, NameRecord, Numbered, Record, WaitRecord


def pieces(kind: Kind, flows: dict[str, Row], mailboxes: Mailboxes) -> list[Record]:
    """All pieces of a kind, in no order."""
    match kind:
        case Kind.FLOWS:
            return _flows(flows, mailboxes)
        case Kind.NAMES:
            return [NameRecord(channel, id_, at) for (to, channel, id_), at in mailboxes.seen.items() if to is None]
        case Kind.KEPT:
            return [_numbered(mail) for box in mailboxes.kept.values() for mail in box]


def _flows(flows: dict[str, Row], mailboxes: Mailboxes) -> list[Record]:
    sent: dict[str, list[tuple[str, str]]] = {}
    for to, channel, message_id in mailboxes.seen:
        if to is not None:
            sent.setdefault(to, []).append((channel, message_id))
    return [_flow(row, sent.get(row.flow.id, [])) for row in flows.values()]


def _flow(row: Row, sent: list[tuple[str, str]]) -> FlowRecord:
    mail = sorted((mail for box in row.mail.values() for mail in box), key=seq_of)
    return FlowRecord(
        row=replace(row.view(), waits=(), aside=()),
        lease_length=row.length,
        alone=row.alone,
        ended=row.ended,
        waits=tuple(_waits(row)),
        mail=tuple(map(_numbered, mail)),
        aside=tuple(map(_numbered, sorted(row.aside, key=seq_of))),
        sent=tuple(sorted(sent)),
    )


def _waits(row: Row) -> Iterator[WaitRecord]:
    for channel, wait in sorted(row.waits.items()):
        reserved = row.reserved.get(channel)
        yield WaitRecord(channel, wait.order, wait.since, None if reserved is None else _numbered(reserved))


def _numbered(mail: Mail) -> Numbered:
    return Numbered(mail.seq, mail.message)


def restore(piece: Record | JournalPart, flows: dict[str, Row], mailboxes: Mailboxes, agenda: Agenda) -> None:
    """Write a piece, unless it is there."""
    match piece:
        case JournalPart(flow, start, entries):
            if flow not in flows:
                raise FlowNotFound(flow)
            journal = flows[flow].journal
            if len(journal) < start:
                raise rules.missing_entries(flow)
            journal.extend(entries[len(journal) - start :])
        case FlowRecord(row=view):
            if view.id not in flows:
                flows[view.id] = row = _row(piece)
                agenda.add(row)
                _deliver(row, piece, mailboxes)
        case NameRecord(channel, message_id, at):
            mailboxes.seen.setdefault((None, channel, message_id), at)
        case Numbered(number, Message(channel=channel) as message):
            box = mailboxes.kept.setdefault(channel, [])
            if all(mail.seq != number for mail in box):
                insort(box, Mail(number, message), key=seq_of)
            mailboxes.reach(number)


def _row(piece: FlowRecord) -> Row:
    view = piece.row
    own = (view.id, view.type, view.version, view.lane, view.args, view.seed, view.parent)
    return Row(
        flow=NewFlow(*own, priority=view.priority),
        created=view.created,
        status=view.status,
        due=view.due,
        updated=view.updated,
        token=VOID if view.status is Status.RUNNING else None,
        owner=view.owner,
        length=piece.lease_length,
        alone=piece.alone,
        head=view.head,
        entries=view.length,
        base=view.base,
        result=view.result,
        note=view.note,
        fingerprint=view.fingerprint,
        started=view.started,
        ended=piece.ended,
        recoveries=view.recoveries,
        deaths=view.deaths,
    )


def _deliver(row: Row, piece: FlowRecord, mailboxes: Mailboxes) -> None:
    """A flow's waits, mail and message ids."""
    flow = row.flow.id
    for wait in piece.waits:
        row.waits[wait.channel] = Listening(wait.since, wait.number)
        if wait.channel.startswith(rules.NAMED):
            row.names.add(wait.channel)
        mailboxes.reach(wait.number)
        if wait.reserved is not None:
            row.reserved[wait.channel] = Mail(wait.reserved.number, wait.reserved.message)
            mailboxes.reach(wait.reserved.number)
        elif wait.channel.startswith(rules.NAMED):
            insort(mailboxes.free.setdefault(wait.channel, []), (wait.number, flow))
    for each in piece.mail:
        row.mail.setdefault(each.message.channel, []).append(Mail(each.number, each.message))
        row.boxes.setdefault(each.message.id, []).append(each.message.channel)
    row.aside += [Mail(each.number, each.message) for each in piece.aside]
    for each in (*piece.mail, *piece.aside):
        mailboxes.reach(each.number)
    for channel, message_id in piece.sent:
        mailboxes.seen[flow, channel, message_id] = row.created
