"""Which parts of the contract's values are payloads, and where each belongs: whole values, encrypted and decrypted.

Payloads are arguments, results, notes, journal entries and the bodies of messages. A child's result goes to its
parent's mailbox as the store has it, so there it is still the child's result. All else stays readable: ids, types,
channels, times, statuses, seeds, and what workers tell of themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ergon_runtime.core.flows import Claim, Commit, FlowRow, Message, NewFlow, Send
from ergon_runtime.stores.encrypted.cipher import ARGS, ENTRY, MAIL, NAMED, NOTE, RESULT, Cipher, Spot, kind_of
from ergon_runtime.stores.records import FlowRecord, JournalPart, NameRecord, Numbered, Record
from ergon_runtime.stores.rules import CHILD


class Payloads:
    """Encrypts what goes to a store, and decrypts what comes from it. `cipher` is that store's."""

    def __init__(self, cipher: Cipher) -> None:
        self._encrypt, self._decrypt = cipher.encrypt, cipher.decrypt

    # --- to the store
    def new_flow(self, flow: NewFlow) -> NewFlow:
        """A flow to create."""
        return replace(flow, args=self._encrypt(Spot(ARGS, flow.id, flow.type), flow.args))

    def commit(self, commit: Commit, creates: tuple[NewFlow, ...]) -> Commit:
        """A commit; the flows that it creates are `creates`, encrypted already."""
        flow = commit.lease.flow
        return replace(
            commit,
            entries=self._entries(flow, commit.start, commit.entries),
            creates=creates,
            sends=tuple(map(self.send, commit.sends)),
            result=self._to(RESULT, flow, commit.result),
            note=self._to(NOTE, flow, commit.note),
        )

    def send(self, send: Send) -> Send:
        """A message on its way."""
        return Send(send.to, self._message_to(send.to, send.message))

    def piece_to(self, piece: Record | JournalPart) -> Record | JournalPart:
        """A piece of another store."""
        match piece:
            case JournalPart(flow, start, entries):
                return JournalPart(flow, start, self._entries(flow, start, entries))
            case FlowRecord(row):
                flow, result, note = row.id, self._to(RESULT, row.id, row.result), self._to(NOTE, row.id, row.note)
                args = self._encrypt(Spot(ARGS, flow, row.type), row.args)
                row = replace(row, args=args, result=result, note=note)
                return _each_message(replace(piece, row=row), lambda message: self._message_to(flow, message))
            case Numbered(number, message):
                return Numbered(number, self._message_to(None, message))
            case NameRecord():
                return piece

    # --- from the store
    def claim(self, claim: Claim) -> Claim:
        """A flow handed to a worker."""
        flow = claim.lease.flow
        return replace(
            claim,
            args=self._decrypt(Spot(ARGS, flow, claim.type), claim.args),
            mail=self.mail(flow, claim.mail),
            note=self._from(NOTE, flow, claim.note),
        )

    def row(self, row: FlowRow) -> FlowRow:
        """A flow for readers."""
        return replace(
            row,
            args=self.args(row),
            result=self._from(RESULT, row.id, row.result),
            note=self._from(NOTE, row.id, row.note),
            aside=self.mail(row.id, row.aside),
        )

    def args(self, row: FlowRow) -> bytes:
        """A flow's arguments. They are bound to its type, so they do not go to other code."""
        return self._decrypt(Spot(ARGS, row.id, row.type), row.args)

    def journal(self, flow: str, start: int, rows: Iterable[bytes]) -> list[bytes]:
        """Journal entries from this sequence on."""
        return [self._decrypt(Spot(ENTRY, flow, str(seq)), row) for seq, row in enumerate(rows, start)]

    def mail(self, flow: str, mail: tuple[Message, ...]) -> tuple[Message, ...]:
        """Mail of a flow."""
        return tuple(self._message_from(flow, message) for message in mail) if mail else mail

    def piece_from(self, piece: Record) -> Record:
        """A piece for another store."""
        match piece:
            case FlowRecord(row):
                flow = row.id
                return _each_message(
                    replace(piece, row=self.row(row)), lambda message: self._message_from(flow, message)
                )
            case Numbered(number, message):
                return Numbered(number, self._message_from(None, message))
            case NameRecord():
                return piece

    # --- one payload
    def _to(self, kind: bytes, flow: str, payload: bytes | None) -> bytes | None:
        return None if payload is None else self._encrypt(Spot(kind, flow), payload)

    def _from(self, kind: bytes, flow: str, stored: bytes | None) -> bytes | None:
        return None if stored is None else self._decrypt(Spot(kind, flow), stored)

    def _entries(self, flow: str, start: int, entries: Iterable[bytes]) -> tuple[bytes, ...]:
        return tuple(self._encrypt(Spot(ENTRY, flow, str(seq)), entry) for seq, entry in enumerate(entries, start))

    def _message_to(self, flow: str | None, message: Message) -> Message:
        return replace(message, body=self._encrypt(_spot(flow, message), message.body))

    def _message_from(self, flow: str | None, message: Message) -> Message:
        kind, spot = kind_of(message.body), _spot(flow, message)
        if message.channel.startswith(CHILD):
            if not message.body:
                return message  # a child that ended without a result
            if kind == RESULT:
                spot = Spot(RESULT, message.channel.removeprefix(CHILD))
        elif kind == NAMED:  # it was sent to a name, and reserved for the flow
            spot = _spot(None, message)
        return replace(message, body=self._decrypt(spot, message.body))


def _spot(flow: str | None, message: Message) -> Spot:
    if flow is None:
        return Spot(NAMED, message.channel, message.id)
    return Spot(MAIL, flow, f"{len(message.channel)}:{message.channel}:{message.id}")


def _each_message(piece: FlowRecord, change: Callable[[Message], Message]) -> FlowRecord:
    """The record of a flow with all its messages changed."""

    def numbered(each: Numbered) -> Numbered:
        return Numbered(each.number, change(each.message))

    waits = (replace(wait, reserved=numbered(wait.reserved)) if wait.reserved else wait for wait in piece.waits)
    mail, aside = tuple(map(numbered, piece.mail)), tuple(map(numbered, piece.aside))
    return replace(piece, waits=tuple(waits), mail=mail, aside=aside)
