"""What has to hold at the end of a run, whatever call went wrong."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ergon_runtime.audit import audit
from ergon_runtime.codec import describe_error
from ergon_runtime.core.entries import (
    AttemptFailed,
    ChildCreated,
    ChildEnded,
    Outcome,
    SignalReceived,
    StepBegun,
    StepEnded,
    StepStopped,
)
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.core.heartbeats import read_note
from ergon_runtime.replay import replay_flow
from ergon_runtime.stores.records import Kind
from tests.faults.scenario import End
from tests.simulation.ledger import lives, own

if TYPE_CHECKING:
    from tests.faults.world import World

SINGLE = (StepEnded, ChildEnded, SignalReceived, ChildCreated, StepBegun)


async def check(world: World) -> list[str]:
    """All that is wrong."""
    found = [*_ends(world), *_journals(world), *_effects(world), *_claims(world), *_signals(world)]
    found += [str(violation) async for violation in audit(world.plain)]
    found += [problem for row in world.rows() if (problem := await _replay(world, row)) is not None]
    if world.scenario.check is not None and (problem := world.scenario.check(world)) is not None:
        found.append(problem)
    return found


def compare(world: World, plain: World) -> list[str]:
    """What is wrong beside a run without faults."""
    found = list[str]()
    if world.ended > (limit := plain.ended + sum(map(world.allowance, world.faults))):
        found.append(f"it ends after {world.ended:.2f} s, and should by {limit:.2f} s")
    for flow, claims in world.claims.items():
        if claims > 2 * plain.claims[flow] + 8:
            found.append(f"{flow} is claimed {claims} times, without faults {plain.claims[flow]} times (C5)")
    ours, theirs = world.effects.count(), plain.effects.count()
    if world.scenario.racy:
        return found
    if strange := ours.keys() - theirs.keys():
        found.append(f"idempotency keys {sorted(strange)} are not those without faults, {sorted(theirs)}")
    elif ours != theirs and not (world.disturbed or plain.disturbed):
        found.append(f"no worker lost a flow, and the effects are {dict(ours)}, without faults {dict(theirs)}")
    return found


def _ends(world: World) -> Iterator[str]:
    rows = {row.id: row for row in world.rows()}
    for flow in world.scenario.ends:
        if flow not in rows:
            yield f"{flow} is not there"
    calm = not (world.scenario.racy or world.disturbed)
    for row in rows.values():
        allowed = world.scenario.may_end(row.id)
        end = end_of(row)
        if end not in (allowed[:1] if calm else allowed):
            yield f"{row.id} ends as {end}, and should as one of {allowed}"


def end_of(row: FlowRow) -> End:
    """How a flow stands."""
    if row.status is Status.BLOCKED:
        return End(row.status, (read_note(row.note).get("why") or {}).get("kind"))
    if not row.status.ended:
        return End(row.status)
    outcome = Outcome.unpack(row.result or b"")
    if outcome.error is not None:
        return End(row.status, describe_error(outcome.error).type)
    return End(row.status, None if outcome.value is None else json.loads(outcome.value))


def _journals(world: World) -> Iterator[str]:
    for row in world.rows():
        journal = world.effects.journal(row.id)
        if len(journal) != row.length:
            yield f"{row.id} has {len(journal)} entries, and says {row.length} (R4)"
        for before, after in itertools.pairwise(journal):
            if after.entry.at < before.entry.at:
                yield f"{row.id}: time runs backwards from {before} to {after} (E3)"
        seen = Counter((life, entry.kind, entry.key) for life, _, entry in lives(journal) if isinstance(entry, SINGLE))
        if twice := [what for what, n in seen.items() if n > 1]:
            yield f"{row.id}: recorded twice in one life: {twice}"


def _effects(world: World) -> Iterator[str]:
    """Each effect more than was recorded has a takeover to blame."""
    recorded: Counter[str] = Counter()
    for row in world.rows():
        for _, epoch, entry in lives(world.effects.journal(row.id)):
            if isinstance(entry, StepEnded | StepStopped | AttemptFailed):
                recorded[f"{row.id}:{epoch}:{entry.key}"] += 1
    for key, times in world.effects.count().items():
        flow = key.split(":")[0]
        if times > max(1, recorded[key]) + world.takeovers[flow]:
            yield f"{times} effects of {key}: {recorded[key]} ends recorded, {world.takeovers[flow]} takeovers"


def _claims(world: World) -> Iterator[str]:
    for row in world.rows():
        if (claims := world.claims[row.id]) > 2 * row.length + 12:
            yield f"{row.id} has {row.length} entries, and was claimed {claims} times (C5)"


def _signals(world: World) -> Iterator[str]:
    """Every signal that was taken is in one journal, or still in the store, once."""
    found: Counter[str] = Counter()
    for row in world.rows():
        entries = [record.entry for record in own(world.effects.journal(row.id))]
        found.update(entry.message for entry in entries if isinstance(entry, SignalReceived))
    for record in world.core.do("records", Kind.FLOWS, None, 1_000_000):
        reserved = [wait.reserved for wait in record.waits if wait.reserved is not None]
        found.update(each.message.id for each in (*record.mail, *record.aside, *reserved))
    found.update(each.message.id for each in world.core.do("records", Kind.KEPT, None, 1_000_000))
    there = {name: times for name, times in found.items() if name in world.sent}
    if twice := [name for name, times in there.items() if times > 1]:
        yield f"signals are there twice: {twice} (S1)"
    if not world.pruned and (lost := world.sent - there.keys()):
        yield f"signals are lost: {sorted(lost)} (S2)"


async def _replay(world: World, row: FlowRow) -> str | None:
    if row.status is Status.BLOCKED or not row.length:
        return None
    report = await replay_flow(world.plain, row, world.find, check_result=True)
    if report.verdict == "same":
        return None
    return f"{row.id} replays as {report.verdict}: {report.message} {report.recorded} {report.current}"
