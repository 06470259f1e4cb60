"""Whether the parts of a memory store fit together: what is kept twice, for speed, must say the same."""

from __future__ import annotations

from collections.abc import Iterator

from ergon_runtime.core.flows import Status
from ergon_runtime.stores import rules
from ergon_runtime.stores.memory.mailboxes import Mailboxes
from ergon_runtime.stores.memory.rows import Agenda, Row


def damage(flows: dict[str, Row], mailboxes: Mailboxes, agenda: Agenda) -> Iterator[str]:
    """What is wrong, in words."""
    yield from _agenda(flows, agenda)
    for row in flows.values():
        for text in _row(row):
            yield f"flow {row.flow.id}: {text}"
    yield from _free(flows, mailboxes)
    for target in sorted({to for to, _, _ in mailboxes.seen if to is not None and to not in flows}):
        yield f"message ids sent to flow {target} that is not there"


def _agenda(flows: dict[str, Row], agenda: Agenda) -> Iterator[str]:
    wanted = Agenda()
    for row in flows.values():
        wanted.add(row)
    if agenda.content() != wanted.content():
        different = sorted(agenda.content() ^ wanted.content(), key=str)
        yield f"the agenda differs from what is due and leased: {', '.join(map(str, different[:3]))}"


def _row(row: Row) -> Iterator[str]:
    if (row.token is not None) != (row.status is Status.RUNNING):
        yield f"it is {row.status}, and its token does not fit"
    if row.names != {channel for channel in row.waits if channel.startswith(rules.NAMED)}:
        yield "the names that it waits on are not those of its waits"
    if lost := row.reserved.keys() - row.waits.keys():
        yield f"a message is reserved on {min(lost)}, on which it does not wait"
    if sorted((id_, channel) for id_, channels in row.boxes.items() for channel in channels) != sorted(
        (mail.message.id, channel) for channel, box in row.mail.items() for mail in box
    ):
        yield "its mail is not found by its ids"
    for channel, box in row.mail.items():
        if [mail.seq for mail in box] != sorted(mail.seq for mail in box):
            yield f"its mail on {channel} is not in the order in which it came"


def _free(flows: dict[str, Row], mailboxes: Mailboxes) -> Iterator[str]:
    wanted = {
        (channel, wait.order, row.flow.id)
        for row in flows.values()
        for channel, wait in row.waits.items()
        if channel.startswith(rules.NAMED) and channel not in row.reserved
    }
    there = {(channel, *waiter) for channel, waiters in mailboxes.free.items() for waiter in waiters}
    for channel, _, flow in sorted(wanted ^ there):
        yield f"flow {flow}: its place among those who wait on {channel} does not fit"
