"""Checks of what a store keeps of one flow, apart from what its bytes mean: these hold whatever flows there are."""

from __future__ import annotations

from collections.abc import Iterator

from ergon_runtime.audit.case import Case, Check
from ergon_runtime.core.flows import CANCEL, Status
from ergon_runtime.stores.rules import NAMED

_RESTORE = "restore a backup, or cancel the flow"
_REPORT = "it goes on by itself; please report it"


def _lease(case: Case) -> Iterator[str]:
    row, length = case.row, case.record.lease_length
    running = row.status is Status.RUNNING
    if running != (row.owner is not None):
        yield f"it is {row.status}, and its owner is {row.owner}"
    if running and (row.due is None or length <= 0):
        yield f"its lease has no end: due {row.due}, {length} ms long"
    if case.record.alone and not running:
        yield f"it is {row.status}, and said to run alone"


def _lease_end(case: Case) -> Iterator[str]:
    row, length = case.row, case.record.lease_length
    if row.status is Status.RUNNING and row.due is not None and row.due > case.now + 2 * length:
        yield f"its lease of {length} ms ends in {row.due - case.now} ms"


def _recoveries(case: Case) -> Iterator[str]:
    row = case.row
    if row.status is not Status.RUNNING and (row.recoveries or row.deaths):
        yield f"it is {row.status}, and counts {row.recoveries} recoveries and {row.deaths} deaths"
    if not 0 <= row.deaths <= row.recoveries:
        yield f"it counts {row.deaths} deaths in {row.recoveries} recoveries"


def _ended(case: Case) -> Iterator[str]:
    row = case.row
    if row.status.ended != (case.record.ended is not None):
        yield f"it is {row.status}, and ended at {case.record.ended}"
    if row.status.ended and row.due is not None:
        yield f"it has ended, and is due at {row.due}"
    if row.status.ended and case.record.waits:
        yield f"it has ended, and waits on {case.record.waits[0].channel}"
    if row.status.ended and any(mail.message.channel == CANCEL for mail in case.record.mail):
        yield "it has ended, and keeps a cancel"
    if row.result is not None and not row.status.ended and row.status is not Status.RUNNING:
        yield f"it is {row.status}, and has a result"


def _due(case: Case) -> Iterator[str]:
    if case.row.status is Status.PENDING and case.row.due is None:
        yield "it is pending, and due at no time"


def _begun(case: Case) -> Iterator[str]:
    row = case.row
    if row.started is None and (row.head is not None or row.status is Status.RUNNING):
        yield "it was claimed, and does not say when first"
    if row.head is None and row.length and row.status not in (Status.BLOCKED, Status.RUNNING):
        yield f"it has {row.length} entries, and no commit"


def _journal_length(case: Case) -> Iterator[str]:
    row, there = case.row, len(case.journal)
    if there > row.length or (there < row.length and not case.incomplete):
        yield f"its journal should have {row.length} entries and has {'more' if there > row.length else there}"
    if not 0 <= row.base <= row.length:
        yield f"it is to be read from entry {row.base} of {row.length}"


def _heard(case: Case) -> Iterator[str]:
    record, row = case.record, case.row
    if row.status not in (Status.WAITING, Status.PENDING) or (row.due is not None and row.due <= case.now):
        return
    channels = {CANCEL, *(wait.channel for wait in record.waits)}
    heard = [mail.message.channel for mail in record.mail if mail.message.channel in channels]
    heard += [wait.channel for wait in record.waits if wait.reserved is not None]
    if heard:
        yield f"it is {row.status}, has mail on {heard[0]}, and is due {_when(row.due, case.now)}"


def _when(due: int | None, now: int) -> str:
    return "at no time" if due is None else f"in {due - now} ms"


def _waits(case: Case) -> Iterator[str]:
    record = case.record
    if case.row.status is Status.BLOCKED and record.waits:
        yield f"it is blocked, and waits on {record.waits[0].channel}"
    if any(wait.channel == CANCEL for wait in record.waits):
        yield "it lists cancel among its waits, which every flow waits on"


def _reservations(case: Case) -> Iterator[str]:
    for wait in case.record.waits:
        if wait.reserved is None:
            continue
        channel = wait.reserved.message.channel
        if channel != wait.channel or not channel.startswith(NAMED):
            yield f"message {wait.reserved.message.id} on {channel} is reserved for its wait on {wait.channel}"


def _mailbox(case: Case) -> Iterator[str]:
    sent, found = set(case.record.sent), set[tuple[str, str]]()
    for mail in case.record.mail:
        name = mail.message.channel, mail.message.id
        if name in found:
            yield f"message {name[1]} on {name[0]} lies twice in its mailbox"
        if name not in sent:
            yield f"message {name[1]} on {name[0]} is in its mailbox, and was never sent"
        found.add(name)


def _priority(case: Case) -> Iterator[str]:
    if not 0 <= case.row.priority <= 9:
        yield f"its priority is {case.row.priority}"


ROWS = (
    Check("R2", _lease, "claim it anew: `ergon worker` takes it when the lease is over; else restore a backup"),
    Check("P6", _lease_end, "a clock was wrong; the lease counts as over, and any worker takes the flow"),
    Check("R2", _recoveries, _REPORT),
    Check("R5", _ended, _RESTORE),
    Check("P1", _due, "no worker takes it: cancel it, and schedule it anew"),
    Check("P1", _priority, _RESTORE),
    Check("C1", _begun, _RESTORE),
    Check("R4", _journal_length, "restore a backup, or fork the flow from before the gap"),
    Check("R7", _heard, "nothing wakes it: send it the signal again under another id, or cancel it"),
    Check("C3", _waits, _REPORT),
    Check("S2", _reservations, _RESTORE),
    Check("R6", _mailbox, _RESTORE),
)
