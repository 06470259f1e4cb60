"""The memory store's mail: mailboxes, names, reservations (rules S1, S2, R6, C5). All methods are synchronous."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from ergon_runtime.core.flows import CANCEL, Commit, Message, Send, Status
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

    def reach(self, number: int) -> None:
        """A number that a copy has brought along: the counter goes on behind it."""
        self._count = max(self._count, number)

    def visible(self, row: Row) -> tuple[Message, ...]:
        """The first of the mail on a flow's channels: its own, then what is reserved for it."""
        own = [mail for channel in self._heard(row) for mail in row.mail[channel]]
        return rules.first_mail(
            [mail.message for part in (own, row.reserved.values()) for mail in sorted(part, key=seq_of)]
        )

    def has_mail(self, row: Row) -> bool:
        """Whether there is mail on the flow's channels."""
        return bool(row.reserved or self._heard(row))

    def find(self, row: Row, message_id: str) -> Mail | None:
        """A message in a flow's own mailbox or reserved for it: what it hears comes first."""
        found = [
            (0 if self._hears(row, channel) else 2, mail.seq, mail)
            for channel in row.boxes.get(message_id, ())
            for mail in row.mail[channel]
            if mail.message.id == message_id
        ]
        found += [(1, mail.seq, mail) for mail in row.reserved.values() if mail.message.id == message_id]
        return min(found, key=lambda each: each[:2])[2] if found else None

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
        row.boxes.setdefault(send.message.id, []).append(channel)
        if not row.status.ended and self._hears(row, channel):
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

    def listen(self, row: Row, commit: Commit, now: int) -> set[str]:
        """Change the flow's waits as a commit says; the channels that need a new match."""
        ended, begun = rules.wait_changes(commit, lambda: row.waits)
        touched = self._end(row, ended)
        for channel in sorted(begun - row.waits.keys()):
            row.waits[channel] = Listening(now, self.tick())
            if channel.startswith(rules.NAMED):
                row.names.add(channel)
                insort(self.free.setdefault(channel, []), (row.waits[channel].order, row.flow.id))
                touched.add(channel)
        return touched

    def forget_cancels(self, row: Row) -> None:
        """Drop the cancel requests of a flow that has ended."""
        for mail in list(row.mail.get(CANCEL, ())):
            self._take(row, mail)

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
            return [channel for channel in row.mail if self._hears(row, channel)]
        return [channel for channel in (CANCEL, *row.waits) if channel in row.mail]

    def _hears(self, row: Row, channel: str) -> bool:
        return channel == CANCEL or channel in row.waits

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
        row.boxes[mail.message.id].remove(channel)
        if not row.boxes[mail.message.id]:
            del row.boxes[mail.message.id]
        return False

    def _end(self, row: Row, channels: AbstractSet[str]) -> set[str]:
        """End waits; the channels that need a new match."""
        return {channel for channel in channels if self._drop(row, channel)}

    def _drop(self, row: Row, channel: str) -> bool:
        """End a wait; whether a message that was reserved for it has gone back to its old place (S2)."""
        wait = row.waits.pop(channel, None)
        row.names.discard(channel)
        reserved = row.reserved.pop(channel, None)
        if reserved is not None:
            self._keep(reserved)
            return True
        free = self.free.get(channel, [])
        if wait is not None and (wait.order, row.flow.id) in free:
            free.remove((wait.order, row.flow.id))
        return False
