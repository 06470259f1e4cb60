"""The memory store's mail: mailboxes, names, reservations (rules S1, S2, R6, C5). All methods are synchronous."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from ergon_runtime.core.flows import CANCEL, Message, Send, Status
from ergon_runtime.stores import rules
from ergon_runtime.stores.memory.rows import Agenda, Listening, Mail, Row, seq_of


class Mailboxes:
    """Who listens to what, and the messages on their way. `stirred` counts what may concern somebody who waits."""

    def __init__(self, rows: dict[str, Row], agenda: Agenda) -> None:
        self._rows = rows
        self._agenda = agenda
        self._count = 0
        self.kept: dict[str, list[Mail]] = {}
        """Messages to a name that nobody has reserved, oldest first."""
        self.seen: dict[tuple[str | None, str, str], int] = {}
        """(target, channel, message id) and when it was sent."""
        self.free: dict[str, list[tuple[int, str]]] = {}
        """(order, flow) of the waits on a name that hold no reservation."""
        self.stirred = 0

    def tick(self) -> int:
        """The next number of the counter that orders messages and waits."""
        self._count += 1
        return self._count

    def visible(self, row: Row) -> tuple[Message, ...]:
        """The mail on a flow's channels: its own first, then what is reserved for it."""
        own = [mail for channel in self._heard(row) for mail in row.mail[channel]]
        return tuple(mail.message for part in (own, row.reserved.values()) for mail in sorted(part, key=seq_of))

    def find(self, row: Row, message_id: str) -> Mail | None:
        """A message in a flow's own mailbox or reserved for it: what it hears comes first."""
        heard = [mail for channel in self._heard(row) for mail in row.mail[channel]]
        reserved = sorted(row.reserved.values(), key=seq_of)
        other = [mail for box in row.mail.values() for mail in box]
        boxes = (sorted(heard, key=seq_of), reserved, sorted(other, key=seq_of))
        return next((mail for box in boxes for mail in box if mail.message.id == message_id), None)

    def send(self, send: Send, now: int) -> bool:
        """Deliver a message. False if its flow does not exist or has ended."""
        channel = send.message.channel
        key = (send.to, channel, send.message.id)
        if key in self.seen:
            return True
        if send.to is None:
            if not channel.startswith(rules.NAMED):
                return False
            self.seen[key] = now
            self._keep(Mail(self.tick(), send.message))
            self.match(channel, now)
            return True
        row = self._rows.get(send.to)
        if row is None or not rules.accepts(channel, row.status.ended):
            return False
        self.seen[key] = now
        row.mail.setdefault(channel, []).append(Mail(self.tick(), send.message))
        if not row.status.ended and (channel == CANCEL or channel in row.waits):
            self._wake(row, now)
        return True

    def consume(self, row: Row, taken: Iterable[Mail]) -> set[str]:
        """Take messages out of the store and end the waits that they serve; the channels that need a new match."""
        served: set[str] = set()
        for mail in taken:
            self._take(row, mail)
            served.add(mail.message.channel)
        return self._end(row, served)

    def put_aside(self, row: Row, taken: Iterable[Mail]) -> set[str]:
        """Put messages away that do not fit; the waits go on in their old place. The channels that need a new match."""
        touched: set[str] = set()
        for mail in taken:
            channel = mail.message.channel
            if self._take(row, mail):
                insort(self.free.setdefault(channel, []), (row.waits[channel].order, row.flow.id))
                touched.add(channel)
            row.aside.append(mail)
        return touched

    def listen(self, row: Row, channels: frozenset[str], now: int) -> set[str]:
        """Make `channels` the flow's waits; the channels that need a new match."""
        touched = self._end(row, row.waits.keys() - channels)
        for channel in sorted(channels - row.waits.keys()):
            row.waits[channel] = Listening(now, self.tick())
            if channel.startswith(rules.NAMED):
                insort(self.free.setdefault(channel, []), (row.waits[channel].order, row.flow.id))
                touched.add(channel)
        return touched

    def match(self, channel: str, now: int) -> None:
        """Reserve kept messages of a name for the flows that have listened longest on it (S1)."""
        kept, free = self.kept.get(channel), self.free.get(channel)
        while kept and free:
            _, flow = free.pop(0)
            row = self._rows[flow]
            row.reserved[channel] = kept.pop(0)
            self._wake(row, now)
        if not kept:
            self.kept.pop(channel, None)
        if not free:
            self.free.pop(channel, None)

    def forget(self, flows: set[str]) -> None:
        """Drop the ids of messages to these flows."""
        for key in [key for key in self.seen if key[0] in flows]:
            del self.seen[key]

    def forget_names(self, before: int) -> None:
        """Drop ids sent to names before this time, but those of messages that are still kept or reserved."""
        reserved = (mail for row in self._rows.values() for mail in row.reserved.values())
        alive = {(m.message.channel, m.message.id) for box in (*self.kept.values(), reserved) for m in box}
        for key in [k for k, at in self.seen.items() if k[0] is None and at < before and k[1:] not in alive]:
            del self.seen[key]

    def _heard(self, row: Row) -> list[str]:
        if row.status.ended:
            return []
        if len(row.mail) < len(row.waits):
            return [channel for channel in row.mail if channel == CANCEL or channel in row.waits]
        return [channel for channel in (CANCEL, *row.waits) if channel in row.mail]

    def _wake(self, row: Row, now: int) -> None:
        self.stirred += 1
        row.heard = self.tick()
        if row.token is None and row.status is not Status.BLOCKED:
            self._agenda.remove(row)
            row.due = rules.earliest(row.due, now)
            self._agenda.add(row)

    def _keep(self, mail: Mail) -> None:
        insort(self.kept.setdefault(mail.message.channel, []), mail, key=seq_of)

    def _take(self, row: Row, mail: Mail) -> bool:
        """Take a message away from a flow; whether it was a reserved one."""
        channel = mail.message.channel
        if row.reserved.get(channel) is mail:
            del row.reserved[channel]
            return True
        row.mail[channel].remove(mail)
        if not row.mail[channel]:
            del row.mail[channel]
        return False

    def _end(self, row: Row, channels: set[str]) -> set[str]:
        """End waits; the channels that need a new match."""
        return {channel for channel in channels if self._drop(row, channel)}

    def _drop(self, row: Row, channel: str) -> bool:
        """End a wait; whether a message that was reserved for it has gone back to its old place (S2)."""
        wait = row.waits.pop(channel, None)
        reserved = row.reserved.pop(channel, None)
        if reserved is not None:
            self._keep(reserved)
            return True
        free = self.free.get(channel, [])
        if wait is not None and (wait.order, row.flow.id) in free:
            free.remove((wait.order, row.flow.id))
        return False
