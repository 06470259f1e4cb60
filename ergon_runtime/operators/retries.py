"""Retrying what failed, freeing what is blocked, adopting flows whose code has changed: planned first, then done.

M1  A new life is one marker: what succeeded before is remembered, from `cut` on it is not.
M5  A flow that begins its retries with nothing does so here too, unless a step is named to begin from.
T5  A cut that forgets the success of an at-most-once step is refused: its idempotency key would be used twice.
K3  Adopting remembers the children that have completed, though the flow never heard of it.
K4  Who begins a new life of a blocked flow ends the old one, whose unfinished children are cancelled.
P3  The flow is claimed and changed only if it still stands as it was planned for.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from ergon_runtime.core.drafts import Draft
from ergon_runtime.core.entries import Adopted, ChildCreated, ChildEnded, Outcome, Recorded, Retried, StepBegun
from ergon_runtime.core.flows import Claim, FlowRow, Status
from ergon_runtime.core.heartbeats import FIELD, read_note
from ergon_runtime.core.history import History
from ergon_runtime.errors import FlowNotFound, OperatorRefused
from ergon_runtime.operators.children import cancels, completed, live_children, unheard
from ergon_runtime.operators.claims import commit, give_back, take
from ergon_runtime.operators.recorded import (
    Named,
    Rerun,
    find_cut,
    operations,
    present_epoch,
    read_records,
    reruns,
)
from ergon_runtime.operators.unfinished import unfinished_fork
from ergon_runtime.stores.contract import Store

Action: TypeAlias = Literal["again", "retry", "adopt"]


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a retry would do. `action`: `again` goes on with the same life of a blocked flow, `retry` and `adopt` begin
    a new one.

    `keeps` counts the recorded successes that are not run again; `again` are the operations that are, `cut` is the
    sequence from which on nothing is remembered. `unknown` are at-most-once steps that will raise OutcomeUnknown, since
    nobody knows how they ended. `cancels` are the children that end with the old life. `parent` has heard of the
    failure already: a new result does not reach it.
    """

    flow_id: str
    flow: str
    version: str | None
    status: Status
    head: str | None
    action: Action
    cut: int | None = None
    keeps: int = 0
    again: tuple[Rerun, ...] = ()
    unknown: tuple[Rerun, ...] = ()
    cancels: tuple[str, ...] = ()
    parent: str | None = None
    marker: Retried | Adopted | None = None
    """What is to be recorded, if anything; its time is not before the last entry's."""
    ends: tuple[ChildEnded, ...] = ()
    """What is to be recorded before it: the ends of children that the flow never heard of."""
    number: int = 0
    """That of its commit, among those that hold entries."""
    note: bytes = b"{}"

    def to_json(self) -> dict[str, Any]:
        """The plan, for people and programs."""
        return {
            "id": self.flow_id,
            "flow": self.flow,
            "version": self.version,
            "status": self.status.value,
            "action": self.action,
            "cut": self.cut,
            "keeps": self.keeps,
            "again": [each.to_json() for each in self.again],
            "unknown": [each.to_json() for each in self.unknown],
            "cancels": list(self.cancels),
            "parent": self.parent,
        }


async def plan_retry(store: Store, row: FlowRow, *, from_step: str | None = None, adopt: bool = False) -> RetryPlan:
    """What a retry of this flow would do. Nothing is changed. `from_step` is a key as `ergon inspect` shows it.

    Raises OperatorRefused, StoreError.
    """
    _check(row, from_step, adopt)
    await _check_whole(store, row)
    plan = RetryPlan(row.id, row.type, row.version, row.status, row.head, "again", parent=row.parent)
    if row.status is Status.BLOCKED and from_step is None and not adopt:
        return replace(plan, note=_unblocked(row), keeps=await _successes(store, row))
    records = await read_records(store, row, row.base)
    history = History(records, row.origin)
    found = list(operations(present_epoch(records)))
    cut = None if from_step is None else find_cut(row, history.life, found, from_step)
    left = _left_behind(row, records, history.life)
    ends = await completed(store, left, history.last_time) if adopt else []
    marker = _marker(row, history, records, cut, ends, adopt=adopt)
    records += [Recorded(row.length + n, 0, end) for n, end in enumerate(ends)]
    after = History([*records, Recorded(row.length + len(ends), 0, marker)], row.origin)
    if cut is not None:
        _check_once(row, found, _remembered(row, records), after)
    live = set(await live_children(store, row.id)) if left else set[str]()
    plan = replace(plan, action="adopt" if adopt else "retry", cut=cut, keeps=_count(after), marker=marker)
    plan = replace(plan, ends=tuple(ends), cancels=tuple(each.child for each in left if each.child in live))
    note = _pack({"attempt": marker.attempt, "life": marker.life, "waits": [], "open": 0})
    again, unknown = _split(found, after)
    return replace(plan, again=again, unknown=unknown, number=history.commits + 1, note=note)


def _split(found: Sequence[Named], after: History) -> tuple[tuple[Rerun, ...], tuple[Rerun, ...]]:
    """What runs again, and what would but for nobody knowing whether it did."""
    rest = reruns(found, {*after.pool, *after.attached})
    begun = {each.shown for each in found if each.memo in after.open_starts}
    unknown = tuple(each for each in rest if each.key in begun)
    return tuple(each for each in rest if each not in unknown), unknown


async def retry_flow(store: Store, plan: RetryPlan) -> None:
    """Do it: the flow is pending then. Raises OperatorRefused if it no longer stands as planned for, FlowNotFound,
    StoreError."""
    claim = await take(store, plan.flow_id, plan.status)
    if claim is None:
        raise await _moved_on(store, plan)
    if claim.head != plan.head:
        await give_back(store, claim)
        raise await _moved_on(store, plan)
    if not await commit(store, claim, _draft(plan, claim), plan.number):
        raise await _moved_on(store, plan)


def _draft(plan: RetryPlan, claim: Claim) -> Draft:
    draft = Draft(status=Status.PENDING, due=claim.now, release=True, note=plan.note)
    marker = plan.marker
    if marker is None:
        return draft
    at = max(claim.now, marker.at)
    marker = replace(marker, at=at, due=at) if isinstance(marker, Retried) else replace(marker, at=at)
    over = cancels(plan.cancels, f"end of {plan.flow_id} life {marker.life - 1}")
    return replace(draft, entries=(*plan.ends, marker), due=at, sends=over)


# --- refusals
def _check(row: FlowRow, from_step: str | None, adopt: bool) -> None:
    flow = shlex.quote(row.id)
    if adopt and from_step is not None:
        raise OperatorRefused(row.id, "a flow is adopted as a whole: name no step, or retry it from one instead")
    match row.status:
        case Status.COMPLETED:
            raise OperatorRefused(row.id, f"flow {row.id} is completed", f"ergon fork {flow} --from STEP")
        case Status.PENDING | Status.RUNNING | Status.WAITING:
            said = f"flow {row.id} is not over: it is {row.status} and goes on by itself"
            raise OperatorRefused(row.id, said, f"ergon inspect {flow}")
        case Status.BLOCKED | Status.CANCELLED if (unfinished := unfinished_fork(row)) is not None:
            said = f"flow {row.id} is a fork that was not finished"
            raise OperatorRefused(row.id, said, unfinished.command(None if row.status.ended else row.id))
        case Status.BLOCKED if row.length == 0 and (adopt or from_step is not None):
            raise OperatorRefused(row.id, f"flow {row.id} has recorded nothing yet", f"ergon retry {flow}")
        case Status.FAILED | Status.CANCELLED if adopt:
            said = f"flow {row.id} is {row.status}: only blocked flows are adopted"
            raise OperatorRefused(row.id, said, f"ergon retry {flow}")
        case Status.BLOCKED | Status.FAILED | Status.CANCELLED:
            return


async def _check_whole(store: Store, row: FlowRow) -> None:
    """Refuse a flow whose import was interrupted (P8): its row is there, and not all of its journal."""
    if row.length and not await store.journal(row.id, row.length - 1, 1):
        said = f"flow {row.id} has not all of its journal: an import was interrupted; import it again"
        raise OperatorRefused(row.id, said, "ergon import FILE")


def _check_once(row: FlowRow, found: Sequence[Named], before: History, after: History) -> None:
    """Refuse to forget that an at-most-once step has succeeded (T5)."""
    for each in found:
        if isinstance(each.entry, StepBegun) and each.memo in before.pool and each.memo not in after.pool:
            said = f"step {each.shown} runs at most once and has been run: only a fork can run it again"
            raise OperatorRefused(row.id, said, f"ergon fork {shlex.quote(row.id)} --from {shlex.quote(each.shown)}")


async def _moved_on(store: Store, plan: RetryPlan) -> OperatorRefused | FlowNotFound:
    row = await store.get(plan.flow_id)
    if row is None:
        return FlowNotFound(plan.flow_id)
    said = f"flow {row.id} has moved on meanwhile: it is {row.status}"
    return OperatorRefused(row.id, said, f"ergon inspect {shlex.quote(row.id)}")


# --- parts of a plan
def _marker(
    row: FlowRow,
    history: History,
    records: Sequence[Recorded],
    cut: int | None,
    ends: Sequence[ChildEnded],
    *,
    adopt: bool,
) -> Retried | Adopted:
    life, epoch, at = history.life + 1, history.epoch, max([history.last_time, *(end.at for end in ends)])
    if adopt:
        return Adopted("", at, life, history.attempt, epoch)
    keep = cut is not None or _keeps(records)
    return Retried("", at, life, 1, epoch + (not keep), keep, at, _failure(row), operator=True, cut=cut)


def _keeps(records: Sequence[Recorded]) -> bool:
    """Whether the flow's own retries keep what succeeded, as far as the journal shows."""
    own = [record.entry for record in records if isinstance(record.entry, Retried) and not record.entry.operator]
    return not own or own[-1].keep


def _remembered(row: FlowRow, records: Sequence[Recorded]) -> History:
    """What a life that began now would remember."""
    return History([*records, Recorded(row.length, 0, Adopted("", 0, 0, 1, 0))], row.origin)


def _failure(row: FlowRow) -> str | None:
    """What the flow failed with, as stored."""
    try:
        return Outcome.unpack(row.result).error if row.result else None
    except ValueError:
        return None


async def _successes(store: Store, row: FlowRow) -> int:
    """How many successes are recorded, if that can be told."""
    try:
        records = await read_records(store, row, row.base)
    except OperatorRefused:
        return 0
    return _count(_remembered(row, records))


def _left_behind(row: FlowRow, records: Sequence[Recorded], life: int) -> list[ChildCreated]:
    """The children that a blocked flow's life leaves behind when it ends here (K4)."""
    if row.status is not Status.BLOCKED:
        return []  # that life has ended already, and its children with it
    own = {each.seq for each in operations(records) if each.life == life}
    return unheard([record for record in records if record.seq in own], detached=False)


def _count(after: History) -> int:
    """How many successes a history remembers."""
    return len({*after.pool, *after.attached})


def _unblocked(row: FlowRow) -> bytes:
    """The note of a flow that is blocked no longer."""
    return _pack({name: value for name, value in read_note(row.note).items() if name in ("attempt", "life", FIELD)})


def _pack(note: dict[str, Any]) -> bytes:
    return json.dumps(note, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
