"""What every store decides alike: small pure functions over core values, so that stores cannot differ in them.

Also the two sources a store is given, its clock and its tokens, so that tests and simulations can rule both.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from ergon_runtime.core.flows import CANCEL, ClaimRequest, Commit, Message, NewFlow, Status
from ergon_runtime.errors import CopyRefused, StoreCorrupt

Clock = Callable[[], int]
"""Answers UTC milliseconds."""
TokenSource = Callable[[], str]
"""Answers a new, unforeseeable token at each call (rule R2)."""

NAMED = "signal:"
"""Channels that begin so may be sent to by name alone (rule S1)."""
CHILD = "child:"
"""Channels that begin so carry a child's result, which reaches an ended flow too (rule R5)."""


MAIL = 1000
"""Messages of a flow that one answer brings at most; cancels come on top."""
WAITS = 100
"""Waits of a flow that a row for readers shows at most. Names go before the rest, since people send to them."""

DAMAGE = 100
"""Pieces of damage that one look at a store tells of at most."""


def utc_now() -> int:
    """This host's clock, in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def new_token() -> str:
    """128 random bits."""
    return secrets.token_hex(16)


def check(commit: Commit) -> None:
    """Refuse a commit that contradicts itself: a flow is running exactly while its lease is kept. Raises ValueError."""
    released = commit.release or commit.status.ended
    if released == (commit.status is Status.RUNNING):
        end = "released" if released else "kept"
        raise ValueError(f"a commit to flow {commit.lease.flow!r} is {commit.status.value} with its lease {end}")


def first_status(flow: NewFlow, now: int) -> Status:
    """A new flow is pending, or waiting when its start is delayed."""
    return Status.WAITING if flow.due is not None and flow.due > now else Status.PENDING


def wait_changes(commit: Commit, standing: Callable[[], Iterable[str]]) -> tuple[AbstractSet[str], AbstractSet[str]]:
    """The waits that a commit ends, and those that it begins; some may not stand, or stand already.

    `standing` answers the flow's waits, those excepted that the commit's `consumed` have ended. It is asked only when
    the commit states all waits, or leaves none because the flow is blocked or has ended: there may be thousands.
    `cancel` is implied, so never among them.
    """
    if commit.status.ended or commit.status is Status.BLOCKED:
        return set(standing()), frozenset()
    wanted = commit.waits - {CANCEL}
    if commit.dropped is not None:
        return commit.dropped, wanted
    return set(standing()) - wanted, wanted


def states_all_waits(commit: Commit) -> bool:
    """Whether waits that the commit does not name end with it."""
    return commit.dropped is None or commit.status.ended or commit.status is Status.BLOCKED


def concerns_mail(commit: Commit) -> bool:
    """Whether a commit says anything of messages, waits or other flows: most only bring entries."""
    unchanged = commit.status is Status.RUNNING and commit.dropped is not None and not (commit.waits or commit.dropped)
    return not unchanged or bool(commit.consumed or commit.aside or commit.creates or commit.sends)


def set_aside(commit: Commit) -> tuple[str, ...]:
    """The messages that a commit puts away; one that it consumes as well is consumed."""
    return tuple(message_id for message_id in commit.aside if message_id not in commit.consumed)


def due_after(commit: Commit, now: int, has_mail: bool) -> int | None:
    """When a flow is due after a commit (rule R7): at its lease's end, or when asked for, or at once for mail."""
    if commit.status.ended:
        return None
    if not commit.release:
        return now + commit.lease_length
    due = now if commit.due is None and commit.status is Status.PENDING else commit.due
    if has_mail and commit.status is not Status.BLOCKED:
        return earliest(due, now)
    return due


def earliest(due: int | None, now: int) -> int:
    """The due time of a flow that has just been woken."""
    return now if due is None else min(due, now)


def expired(due: int, length: int, now: int) -> bool:
    """Whether a lease of `length` that ends at `due` is over; one too far ahead comes from a wrong clock (P6)."""
    return due <= now or due > now + 2 * length


def accepts(channel: str, ended: bool) -> bool:
    """Whether a flow's mailbox takes a message on this channel (rule R5)."""
    return not ended or channel.startswith(CHILD)


def result_message(flow_id: str, result: bytes | None) -> Message:
    """What an ended child sends its parent."""
    return Message(id=f"result {flow_id}", channel=CHILD + flow_id, body=result or b"")


def first_mail(mail: Sequence[Message]) -> tuple[Message, ...]:
    """Of a flow's mail, in order, what an answer brings: a cancel must be heard, however much lies before it."""
    return (*mail[:MAIL], *(message for message in mail[MAIL:] if message.channel == CANCEL))


def within(request: ClaimRequest, flow_id: str) -> bool:
    """Whether a flow is one of those that the request is narrowed to, or below one."""
    return request.under is None or any(flow_id == top or flow_id.startswith(f"{top}/") for top in request.under)


def wanted(request: ClaimRequest, status: Status, lane: str) -> bool:
    """Whether a claim by id takes this flow: an operator chooses by status, a worker by its lanes."""
    if request.operator:
        return not request.statuses or status in request.statuses
    return not request.lanes or lane in request.lanes


def check_copy(place: str, source: str, copy_of: str | None, *, empty: bool) -> None:
    """Whether the store at `place` may become a copy of `source`, given what it is an unfinished copy of. Raises
    CopyRefused."""
    if copy_of is not None:
        if copy_of.split()[0] == source.split()[0]:
            return
        said = f"{place} is an unfinished copy of another store ({copy_of})"
        raise CopyRefused(f"{said}; copy from there again, or copy to an empty store")
    if not empty:
        raise CopyRefused(f"{place} is not empty; copy to a new file, or to a namespace of its own")


def missing_entries(flow: str) -> StoreCorrupt:
    """For a part of a journal that would leave a gap."""
    return StoreCorrupt(f"the copy of flow {flow} lacks journal entries; copy to an empty store")
