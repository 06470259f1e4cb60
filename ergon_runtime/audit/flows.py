"""Checks of one flow as the engine leaves it: what its notes, results and waits say, against its status and journal."""

from __future__ import annotations

from collections.abc import Iterator

from ergon_runtime.audit.case import Case, Check
from ergon_runtime.core.entries import CancelReceived, Outcome
from ergon_runtime.core.flows import CANCEL, Status, lane, queue_of
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.core.payloads import reason_against

_RESTORE = "restore a backup, or fork the flow from before"


def _lane(case: Case) -> Iterator[str]:
    row = case.row
    if lane(row.type, row.version, queue_of(row.lane, row.type, row.version)) != row.lane:
        yield f"it is in the lane {row.lane!r}, and is a {row.type!r} of version {row.version!r}"


def _result(case: Case) -> Iterator[str]:
    row = case.row
    if not row.status.ended:
        return
    try:
        end = Outcome.unpack(row.result or b"")
    except ValueError as error:
        yield str(error)
        return
    if end.status is not row.status:
        yield f"it is {row.status}, and its result says {end.status}"
    elif (end.error is not None) != (row.status is Status.FAILED):
        yield f"it is {row.status}, and its result has {'an' if end.error is not None else 'no'} error"


def _why(case: Case) -> Iterator[str]:
    row = case.row
    why: object = read_note(row.note).get("why")
    if row.status is Status.BLOCKED and not isinstance(why, dict) and reason_against(row.note) is None:
        yield "it is blocked, and does not say why"
    if row.fingerprint is not None and row.status is not Status.BLOCKED:
        yield f"it is {row.status}, and passed over by the code {row.fingerprint}"
    if row.fingerprint is not None and row.due is None:
        yield "it waits for other code, and is due at no time"


def _waiting(case: Case) -> Iterator[str]:
    row = case.row
    if row.status is Status.WAITING and row.due is None and not case.record.waits:
        yield "it waits for nothing"
    begins = case.history.begins
    if case.record.waits:
        return  # a life that has begun may have recorded nothing yet
    if row.status is Status.WAITING and case.history.delayed and (row.due is None or row.due > begins):
        yield f"it is to be retried at {begins}, and is due at {row.due}"


def _consumed(case: Case) -> Iterator[str]:
    """What was sent to a flow lies in its mailbox or is in its journal."""
    taken = {(CANCEL, each.record.entry.message) for each in case.own if isinstance(each.record.entry, CancelReceived)}
    for mail in case.record.mail:
        if (mail.message.channel, mail.message.id) in taken:
            yield f"message {mail.message.id} on {mail.message.channel} is recorded, and still in its mailbox"


FLOWS = (
    Check("P1", _lane, "no worker takes it: restore a backup"),
    Check("R5", _result, _RESTORE),
    Check("P4", _why, "look with `ergon inspect`, then `ergon retry` or `ergon cancel` it"),
    Check("L9", _waiting, "nothing wakes it: cancel it, or fork it from before"),
    Check("C5", _consumed, "it may be delivered twice: cancel the flow, or please report it"),
)
