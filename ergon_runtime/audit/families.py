"""Checks of parents and children: what a flow has recorded of its children, against the children themselves."""

from __future__ import annotations

from collections.abc import Iterator

from ergon_runtime.audit.case import Case, Check
from ergon_runtime.core.entries import Adopted, ChildEnded
from ergon_runtime.core.history import shown_key
from ergon_runtime.core.payloads import reason_against
from ergon_runtime.stores.rules import CHILD, result_message


def _markers(case: Case) -> Iterator[str]:
    """A child is made by the commit that records it."""
    made, heard = {child.child for _, child in case.made()}, _heard_of(case)
    for life, child in case.made():
        if child.child != f"{case.row.id}/{shown_key(child.key, life)}":
            yield f"child {child.key} of life {life} has the id {child.child}"
        found = case.children.get(child.child)
        if found is None:
            if child.child not in heard and not case.imported and not case.row.status.ended:
                yield f"child {child.child} was never made"
            continue
        if (found.type, found.version) != (child.type, child.version):
            yield f"child {found.id} is a {found.type!r}, and was to be a {child.type!r}"
        if found.args != child.args.encode(errors="surrogatepass") and reason_against(found.args) is None:
            yield f"child {found.id} has other arguments"
    for strange in case.children.keys() - made:
        if not case.unreadable and not case.incomplete:
            yield f"flow {strange} says that it is its child, and its journal does not"


def _heard_of(case: Case) -> set[str]:
    """The children whose ends have reached the flow."""
    sent = {channel.removeprefix(CHILD) for channel, _ in case.record.sent if channel.startswith(CHILD)}
    return sent | {each.record.entry.child for each in case.own if isinstance(each.record.entry, ChildEnded)}


def _results(case: Case) -> Iterator[str]:
    """A child's end and the message to its parent are one transaction."""
    if case.imported:
        return
    heard = _heard_of(case)
    for _, child in case.made():
        found = case.children.get(child.child)
        if found is None or not found.status.ended or found.updated < case.row.created or child.child in heard:
            continue
        yield f"child {found.id} is {found.status}, and its result never came"


def left_behind(case: Case) -> list[str]:
    """The children that ought to have been cancelled with the lives that made them, and have not ended."""
    heard = _heard_of(case)
    over = case.row.status.ended
    return [
        child.child
        for life, child in case.made()
        if not child.detached
        and (over or life < case.life)
        and child.child not in heard
        and (found := case.children.get(child.child)) is not None
        and not found.status.ended
    ]


def _orphans(case: Case) -> Iterator[str]:
    if case.imported or case.unreadable:
        return
    for child in left_behind(case):
        if child not in case.cancelled:
            yield f"its life is over, and its child {child} was not cancelled"


def _recorded_ends(case: Case) -> Iterator[str]:
    for each in case.own:
        entry = each.record.entry
        if not isinstance(entry, ChildEnded):
            continue
        found = case.children.get(entry.child)
        if found is not None and not found.status.ended and found.started is None:
            yield f"child {entry.child} is recorded as {entry.status}, and has never begun"


def _unheard(case: Case) -> Iterator[str]:
    """A result that was recorded lies in the mailbox no more, but if a person recorded it (K3)."""
    by_people = {each.record.commit for each in case.own if isinstance(each.record.entry, Adopted)}
    taken = {
        result_message(entry.child, None).id
        for each in case.own
        if isinstance(entry := each.record.entry, ChildEnded) and each.record.commit not in by_people
    }
    for mail in case.record.mail:
        if mail.message.channel.startswith(CHILD) and mail.message.id in taken:
            yield f"{mail.message.id} is recorded, and still in its mailbox"


FAMILIES = (
    Check("K1", _markers, "cancel the flow, or fork it from before that child"),
    Check("K3", _results, "nothing wakes it: cancel the flow, or fork it from before that child"),
    Check("K4", _orphans, "cancel that child, if it is not wanted"),
    Check("K3", _recorded_ends, "restore a backup"),
    Check("C5", _unheard, "restore a backup, or cancel the flow"),
)
