"""Forks: a flow of its own that remembers what another has recorded before a cut. The other is only read.

M1  A fork's journal is a copy of the other's before the cut, and a marker. It has the other's type, version, seed (E5)
    and first time (M4), no parent, and an id of its own: so it has idempotency keys of its own, too (T5).
K3  Detached children made before the cut that have completed by now are remembered; of the others the fork makes its
    own.
P3  The flow is written blocked, then its journal; the commit that frees it comes last. So nothing runs half a journal,
    and what was interrupted is finished by doing it again.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.entries import ChildEnded, Forked, Recorded, SignalReceived, pack
from ergon_runtime.core.flows import FLOW_ID, FlowRow, Status
from ergon_runtime.core.history import History
from ergon_runtime.errors import FlowNotFound, OperatorRefused
from ergon_runtime.operators.children import completed, unheard
from ergon_runtime.operators.claims import commit, give_back, take
from ergon_runtime.operators.prefixes import check_json, copied, edited, renumbered, span_of
from ergon_runtime.operators.recorded import (
    Rerun,
    find_cut,
    operations,
    present_epoch,
    read_records,
    reruns,
)
from ergon_runtime.operators.unfinished import Unfinished, unfinished_fork
from ergon_runtime.stores.contract import Store
from ergon_runtime.stores.records import FlowRecord, JournalPart

PART = 200
"""Journal entries written at a time."""
_SUFFIX = re.compile(r"-fork-[0-9a-f]{6}$")


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """What a fork would be.

    `keeps` counts the recorded successes that it remembers; `again` are the operations that it runs, or waits for, by
    itself, if it asks for them with the arguments recorded. `edited` are the keys of the results that were changed;
    `dropped` those of signals that were left out.
    """

    source: str
    new_id: str
    flow: str
    version: str | None
    from_step: str
    cut: int
    keeps: int
    again: tuple[Rerun, ...]
    edited_args: bool
    edited: tuple[str, ...]
    dropped: tuple[str, ...]
    children: tuple[str, ...]
    """Detached ones of the other flow that have completed since what is kept was recorded; their results are, too."""
    row: FlowRow
    """The fork as it is written, but for its times and note."""
    entries: tuple[bytes, ...]
    """Its journal, but for the marker."""
    marker: Forked
    """Its time is not before the last entry's."""
    number: int
    """That of the marker's commit."""

    @property
    def unfinished(self) -> Unfinished:
        """What the fork's note says while it is made."""
        digest = hashlib.blake2b(b"\n".join((self.row.args, *self.entries)), digest_size=16).hexdigest()
        return Unfinished(self.source, self.from_step, self.cut, self.children, digest)

    def to_json(self) -> dict[str, Any]:
        """The plan, for people and programs."""
        return {
            "id": self.new_id,
            "source": self.source,
            "flow": self.flow,
            "version": self.version,
            "from": self.from_step,
            "cut": self.cut,
            "keeps": self.keeps,
            "again": [each.to_json() for each in self.again],
            "edited_args": self.edited_args,
            "edited": list(self.edited),
            "dropped": list(self.dropped),
            "children": list(self.children),
        }


async def plan_fork(
    store: Store,
    row: FlowRow,
    *,
    from_step: str,
    new_id: str | None = None,
    args: bytes | None = None,
    results: Mapping[str, str] | None = None,
    signals: bool = True,
) -> ForkPlan:
    """What a fork of this flow would be, whatever its status. Nothing is changed.

    `from_step` is a key as `ergon inspect` shows it: from its first entry on nothing is remembered. `args` are other
    arguments, all of them, as JSON text; `results` JSON texts by key, of what lies before the cut or stands at it, also
    of what failed. Without `signals` the fork waits for its own. Raises OperatorRefused, StoreError.
    """
    records = await read_records(store, row, 0)
    fork_id = _chosen_id(row, new_id)
    begun = _begun(await store.get(fork_id), row, from_step)
    cut = begun.cut if begun is not None else _cut(row, records, from_step)
    span = span_of(records, cut)
    kept = edited(row, span.records, copied(span.records, cut, signals=signals), cut, results or {})
    ends = await _ends(store, kept, begun)
    ours = renumbered([*kept, *ends])
    history = History(ours, row.origin)
    marker = Forked("", history.last_time, history.life + 1, history.epoch, row.id, cut)
    after = History([*ours, Recorded(len(ours), 0, marker)], row.origin)
    original = row.args if span.args is None else span.args.encode()
    if args is not None:
        check_json(row, "the arguments", args)
    return ForkPlan(
        source=row.id,
        new_id=fork_id,
        flow=row.type,
        version=row.version,
        from_step=from_step,
        cut=cut,
        keeps=len(after.pool),
        again=reruns(operations(present_epoch(span.records)), after.pool),
        edited_args=args is not None and args != original,
        edited=tuple(results or {}),
        dropped=() if signals else _signals(span.records, cut),
        children=tuple(end.entry.child for end in ends if isinstance(end.entry, ChildEnded)),
        row=_new_row(row, fork_id, original if args is None else args, len(ours) + 1),
        entries=tuple(pack(record.entry, record.commit) for record in ours),
        marker=marker,
        number=history.commits + 1,
    )


async def fork_flow(store: Store, plan: ForkPlan) -> str:
    """Make the fork, or finish it: it is pending then. Answers its id. Raises OperatorRefused, StoreError."""
    there = await store.get(plan.new_id)
    if there is None:
        await _write_row(store, plan)
    elif there.status is not Status.BLOCKED or unfinished_fork(there) != plan.unfinished:
        raise _taken(plan, there)
    marker = replace(plan.marker, at=max(plan.marker.at, await store.now()))
    journal = (*plan.entries, pack(marker, plan.number))
    for start in range(0, len(journal), PART):
        await store.restore(JournalPart(plan.new_id, start, journal[start : start + PART]))
    await _release(store, plan)
    return plan.new_id


async def _write_row(store: Store, plan: ForkPlan) -> None:
    now = await store.now()
    row = replace(plan.row, note=plan.unfinished.note(now), created=now, updated=now)
    await store.restore(FlowRecord(row, lease_length=0, alone=False, ended=None, waits=(), mail=(), aside=(), sent=()))


async def _release(store: Store, plan: ForkPlan) -> None:
    claim = await take(store, plan.new_id, Status.BLOCKED)
    if claim is not None and (claim.head is not None or claim.length != plan.row.length):
        await give_back(store, claim)
        claim = None
    if claim is not None:
        draft = Draft(status=Status.PENDING, due=claim.now, release=True, note=b'{"attempt":1}')
        if await commit(store, claim, draft, 0):
            return
    there = await store.get(plan.new_id)
    if there is None:
        raise FlowNotFound(plan.new_id)
    raise _taken(plan, there)


def _taken(plan: ForkPlan, there: FlowRow) -> OperatorRefused:
    said = f"flow {plan.new_id} exists already, and is {there.status}; choose another id"
    if there.status is Status.BLOCKED and unfinished_fork(there) is not None:
        said = f"flow {plan.new_id} is another fork that was not finished; choose another id"
    return OperatorRefused(plan.new_id, said)


# --- parts of a plan
def _chosen_id(row: FlowRow, new_id: str | None) -> str:
    if new_id is None:
        readable = re.sub(r"[^A-Za-z0-9._:@=-]+", "-", _SUFFIX.sub("", row.id))[:180]
        return f"{readable}-fork-{secrets.token_hex(3)}"
    if not FLOW_ID.fullmatch(new_id):
        said = (
            f"{new_id!r} cannot be a flow id: begin with a letter or digit, then up to 199 of A-Z a-z 0-9 . _ : @ = -"
        )
        raise OperatorRefused(row.id, said)
    return new_id


def _cut(row: FlowRow, records: Sequence[Recorded], from_step: str) -> int:
    life = History(records[row.base :], row.origin).life
    return find_cut(row, life, list(operations(records)), from_step)


def _begun(there: FlowRow | None, source: FlowRow, from_step: str) -> Unfinished | None:
    """This very fork, if it has been begun: the source and its children may have gone on since."""
    unfinished = unfinished_fork(there) if there is not None else None
    if unfinished is None or (unfinished.source, unfinished.from_step) != (source.id, from_step):
        return None
    return unfinished


def _signals(records: Sequence[Recorded], cut: int) -> tuple[str, ...]:
    """The keys of the signals received before a cut."""
    before = operations(record for record in records if record.seq < cut)
    return tuple(each.shown for each in before if isinstance(each.entry, SignalReceived))


async def _ends(store: Store, kept: Sequence[Recorded], begun: Unfinished | None) -> list[Recorded]:
    """The ends of detached children that have completed since; of a fork that was begun, those that it was to have."""
    made = [each for each in unheard(kept, detached=True) if begun is None or each.child in begun.children]
    ends = await completed(store, made, kept[-1].entry.at) if made else []
    return [replace(kept[-1], entry=end) for end in ends]


def _new_row(source: FlowRow, new_id: str, args: bytes, length: int) -> FlowRow:
    return FlowRow(
        id=new_id,
        type=source.type,
        version=source.version,
        lane=source.lane,
        priority=source.priority,
        args=args,
        seed=source.seed,
        parent=None,
        status=Status.BLOCKED,
        due=None,
        owner=None,
        head=None,
        length=length,
        base=0,
        result=None,
        note=None,
        fingerprint=None,
        created=0,
        updated=0,
        started=source.started,
        recoveries=0,
        deaths=0,
    )
