"""A SQLite store's mail: mailboxes, names, reservations (rules S1, S2, R6, C5), inside an open transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from ergon_runtime.core.flows import CANCEL, Commit, Message, Send, Status
from ergon_runtime.stores import rules

_TICK = "UPDATE counter SET n = n + 1"
_COUNT = "SELECT n FROM counter"
_HEARD = "SELECT id, channel, body, place FROM message WHERE flow = ? AND heard IS NOT NULL"
_VISIBLE = f"{_HEARD} ORDER BY seq LIMIT {rules.MAIL + 1}"
_PART = f"{_HEARD} AND place = ? ORDER BY seq LIMIT ?"
_CANCELS = """SELECT id, channel, body, place FROM message INDEXED BY message_channel
    WHERE flow = ? AND channel = ? AND heard IS NOT NULL ORDER BY seq"""
_FIND = """SELECT seq, channel, place FROM message WHERE flow = ? AND id = ? AND place IN ('mail', 'reserved')
    ORDER BY heard IS NULL, place = 'reserved', seq LIMIT 1"""
_WAS_SENT = "SELECT 1 FROM sent WHERE target = ? AND channel = ? AND id = ?"
_SENT = "INSERT INTO sent VALUES (?, ?, ?, ?)"
_INSERT = "INSERT INTO message (seq, id, channel, body, flow, place, heard) VALUES (?, ?, ?, ?, ?, ?, ?)"
_STATUS = "SELECT status FROM flow WHERE id = ?"
_LISTENS = "SELECT 1 FROM wait WHERE flow = ? AND channel = ?"
_WAKE = """UPDATE flow SET due = ? WHERE id = ? AND token IS NULL AND status <> 'blocked'
    AND (due IS NULL OR due > ?)"""
_WAITS = "SELECT channel FROM wait WHERE flow = ?"
_BEGIN_WAIT = "INSERT OR IGNORE INTO wait (flow, channel, since, place) VALUES (?, ?, ?, ?)"
_END_WAIT = "DELETE FROM wait WHERE flow = ? AND channel = ?"
_RESERVED = "SELECT reserved FROM wait WHERE flow = ? AND channel = ?"
_RESERVE = "UPDATE wait SET reserved = ? WHERE flow = ? AND channel = ?"
_HEAR = "UPDATE message SET heard = ? WHERE flow = ? AND channel = ? AND place = 'mail'"
_NEXT_KEPT = "SELECT seq FROM message WHERE flow IS NULL AND channel = ? ORDER BY seq LIMIT 1"
_NEXT_WAIT = "SELECT flow FROM wait WHERE channel = ? AND reserved IS NULL ORDER BY place LIMIT 1"
_GIVE = "UPDATE message SET flow = ?, place = 'reserved', heard = ? WHERE seq = ?"
_GIVE_BACK = "UPDATE message SET flow = NULL, place = 'kept', heard = NULL WHERE seq = ?"
_PUT_ASIDE = "UPDATE message SET place = 'aside', heard = NULL WHERE seq = ?"
_DELETE = "DELETE FROM message WHERE seq = ?"
_DELETE_CANCELS = "DELETE FROM message WHERE flow = ? AND channel = 'cancel' AND place = 'mail'"


@dataclass(frozen=True, slots=True)
class Found:
    """A message in a flow's mailbox or reserved for it."""

    seq: int
    channel: str
    place: str


class Mailboxes:
    """Who listens to what, and the messages on their way. `stirred` counts what may concern somebody who waits."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self.stirred = 0

    def tick(self) -> int:
        """The next number of the store's counter."""
        self._conn.execute(_TICK)
        count: int = self._conn.execute(_COUNT).fetchone()[0]
        return count

    def visible(self, flow: str) -> tuple[Message, ...]:
        """The first of the mail on a flow's channels: its own, then what is reserved for it."""
        found = self._conn.execute(_VISIBLE, (flow,)).fetchall()
        if len(found) <= rules.MAIL:
            found.sort(key=lambda row: row[3] == "reserved")
        else:
            first: list[tuple[Any, ...]] = []
            for place in ("mail", "reserved"):
                if room := rules.MAIL - len(first):
                    first += self._conn.execute(_PART, (flow, place, room)).fetchall()
            found = [*first, *(row for row in self._conn.execute(_CANCELS, (flow, CANCEL)) if row not in first)]
        return tuple(Message(*row[:3]) for row in found)

    def find(self, flow: str, message_id: str) -> Found | None:
        """A message in a flow's own mailbox or reserved for it: what it hears comes first."""
        row = self._conn.execute(_FIND, (flow, message_id)).fetchone()
        return None if row is None else Found(*row)

    def send(self, send: Send, now: int) -> bool:
        """Deliver a message. False if its flow does not exist or has ended."""
        message, target = send.message, send.to or ""
        key = (target, message.channel, message.id)
        if self._conn.execute(_WAS_SENT, key).fetchone():
            return True
        if send.to is None:
            if not message.channel.startswith(rules.NAMED):
                return False
            self._conn.execute(_SENT, (*key, now))
            self._insert(message, None, "kept", None)
            self.match(message.channel, now)
            return True
        row = self._conn.execute(_STATUS, (send.to,)).fetchone()
        if row is None or not rules.accepts(message.channel, Status(row[0]).ended):
            return False
        self._conn.execute(_SENT, (*key, now))
        if Status(row[0]).ended or not self._listens(send.to, message.channel):
            self._insert(message, send.to, "mail", None)
        else:
            self._insert(message, send.to, "mail", self.tick())
            self._wake(send.to, now)
        return True

    def consume(self, flow: str, taken: Iterable[Found]) -> set[str]:
        """Take messages out of the store and end the waits that they serve; the channels that need a new match."""
        served: set[str] = set()
        for found in taken:
            self._conn.execute(_DELETE, (found.seq,))
            if found.place == "reserved":
                self._conn.execute(_RESERVE, (None, flow, found.channel))
            served.add(found.channel)
        return self._end(flow, served)

    def put_aside(self, flow: str, taken: Iterable[Found]) -> set[str]:
        """Put messages away that do not fit; the waits go on in their old place. The channels that need a new match."""
        touched: set[str] = set()
        for found in taken:
            self._conn.execute(_PUT_ASIDE, (found.seq,))
            if found.place == "reserved":
                self._conn.execute(_RESERVE, (None, flow, found.channel))
                touched.add(found.channel)
        return touched

    def listen(self, commit: Commit, now: int) -> set[str]:
        """Change the flow's waits as a commit says; the channels that need a new match."""
        flow = commit.lease.flow
        ended, begun = rules.wait_changes(commit, lambda: (row[0] for row in self._conn.execute(_WAITS, (flow,))))
        touched = self._end(flow, ended)
        for channel in sorted(begun):
            place = self.tick()
            if not self._conn.execute(_BEGIN_WAIT, (flow, channel, now, place)).rowcount:
                continue  # it stands already
            self._conn.execute(_HEAR, (place, flow, channel))
            if channel.startswith(rules.NAMED):
                touched.add(channel)
        return touched

    def match(self, channel: str, now: int) -> None:
        """Reserve kept messages of a name for the flows that have listened longest on it (S1)."""
        while kept := self._conn.execute(_NEXT_KEPT, (channel,)).fetchone():
            wait = self._conn.execute(_NEXT_WAIT, (channel,)).fetchone()
            if wait is None:
                return
            self._conn.execute(_GIVE, (wait[0], self.tick(), kept[0]))
            self._conn.execute(_RESERVE, (kept[0], wait[0], channel))
            self._wake(wait[0], now)

    def forget_cancels(self, flow: str) -> None:
        """Drop the cancel requests of a flow that has ended."""
        self._conn.execute(_DELETE_CANCELS, (flow,))

    def _listens(self, flow: str, channel: str) -> bool:
        return channel == CANCEL or self._conn.execute(_LISTENS, (flow, channel)).fetchone() is not None

    def _insert(self, message: Message, flow: str | None, place: str, heard: int | None) -> None:
        self._conn.execute(_INSERT, (self.tick(), message.id, message.channel, message.body, flow, place, heard))

    def _wake(self, flow: str, now: int) -> None:
        self.stirred += 1
        self._conn.execute(_WAKE, (now, flow, now))

    def _end(self, flow: str, channels: AbstractSet[str]) -> set[str]:
        """End waits; the channels that need a new match."""
        return {channel for channel in channels if self._drop(flow, channel)}

    def _drop(self, flow: str, channel: str) -> bool:
        """End a wait; whether a message that was reserved for it has gone back to its old place (S2)."""
        row = self._conn.execute(_RESERVED, (flow, channel)).fetchone()
        if row is None:
            return False
        self._conn.execute(_END_WAIT, (flow, channel))
        self._conn.execute(_HEAR, (None, flow, channel))
        if row[0] is None:
            return False
        self._conn.execute(_GIVE_BACK, row)
        return True
