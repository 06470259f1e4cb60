"""Checks over the mail of a whole store: one order of all messages and waits, and the names that are sent to.

It is told of every piece, in any order but names last, and keeps only what another piece may answer: numbers, names
that are waited on, and the ids of messages that lie under a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ergon_runtime.audit.case import Case, Violation
from ergon_runtime.core.entries import SignalReceived
from ergon_runtime.stores.records import FlowRecord, NameRecord, Numbered
from ergon_runtime.stores.rules import NAMED

_Name = tuple[str, str]
"""A channel and a message id."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A violation, and what has to stand still for it to be one: flows, and numbers of kept messages."""

    violation: Violation
    flows: frozenset[str] = frozenset()
    kept: frozenset[int] = frozenset()


class Post:
    """All mail of a store."""

    def __init__(self) -> None:
        self._found: list[Suspicion] = []
        self._numbers: dict[int, str | None] = {}
        """Whose: a flow's, or None for a kept message."""
        self._free: dict[str, str] = {}
        """Names on which a flow waits without a reservation, and one such flow."""
        self._kept: dict[str, int] = {}
        """Names under which messages lie, and the first of them."""
        self._unnamed: dict[_Name, tuple[str | None, int]] = {}
        """Messages that were sent to a name which has not been met yet, whose they are and their number."""
        self._doubted: dict[_Name, str] = {}
        """Signals that a flow has recorded and has in its mailbox: they may have come twice, once by name."""

    def flow(self, record: FlowRecord) -> None:
        """A flow and its mail."""
        flow = record.row.id
        for number in (wait.number for wait in record.waits):
            self._number(number, flow)
        for each in (*record.mail, *record.aside):
            self._number(each.number, flow)
        for wait in record.waits:
            if wait.reserved is not None:
                self._number(wait.reserved.number, flow)
                self._unnamed[wait.channel, wait.reserved.message.id] = flow, wait.reserved.number
            elif wait.channel.startswith(NAMED):
                self._free.setdefault(wait.channel, flow)

    def journal(self, case: Case) -> None:
        """What a flow has recorded."""
        taken = {
            (f"{NAMED}{entry.name}", entry.message)
            for each in case.own
            if isinstance(entry := each.record.entry, SignalReceived)
        }
        for mail in case.record.mail:
            name = mail.message.channel, mail.message.id
            if name in taken:
                self._doubted[name] = case.row.id

    def kept(self, piece: Numbered) -> None:
        """A message under a name."""
        channel = piece.message.channel
        self._number(piece.number, None)
        self._kept.setdefault(channel, piece.number)
        self._unnamed[channel, piece.message.id] = None, piece.number
        if not channel.startswith(NAMED):
            text = f"message {piece.message.id} is kept under {channel}, which is no name; restore a backup"
            self._found.append(Suspicion(Violation("S1", None, text), kept=frozenset({piece.number})))

    def name(self, piece: NameRecord) -> None:
        """A message id that was sent to a name."""
        self._unnamed.pop((piece.channel, piece.id), None)
        self._doubted.pop((piece.channel, piece.id), None)

    def suspicions(self) -> Iterator[Suspicion]:
        """What is wrong, if all pieces were told and stand still."""
        yield from self._found
        for channel in self._free.keys() & self._kept.keys():
            waiter, first = self._free[channel], self._kept[channel]
            text = f"it waits on {channel}, under which a message is kept; send that signal again under another id"
            yield Suspicion(Violation("S1", waiter, text), frozenset({waiter}), frozenset({first}))
        for (channel, message_id), (flow, number) in self._unnamed.items():
            text = f"message {message_id} was sent to {channel}, of which nothing is known; restore a backup"
            kept = frozenset[int]() if flow else frozenset({number})
            yield Suspicion(Violation("S3", flow, text), _only(flow), kept)
        for (channel, message_id), taker in self._doubted.items():
            text = f"message {message_id} on {channel} is recorded, and still in its mailbox; please report it"
            yield Suspicion(Violation("C5", taker, text), _only(taker))

    def _number(self, number: int, flow: str | None) -> None:
        if number not in self._numbers:
            self._numbers[number] = flow
            return
        other = self._numbers[number]
        text = f"number {number} is given twice, here and to {other or 'a kept message'}; restore a backup"
        kept = frozenset({number}) if flow is None or other is None else frozenset[int]()
        self._found.append(Suspicion(Violation("R17", flow, text), _only(flow) | _only(other), kept))


def _only(flow: str | None) -> frozenset[str]:
    return frozenset() if flow is None else frozenset({flow})
