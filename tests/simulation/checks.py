"""What must hold after a history: everything has ended, nothing is recorded twice, every journal replays to the same
end, and no message, child or reservation is lost or doubled. Each check raises Bad.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator

from ergon_runtime.audit import audit_pieces
from ergon_runtime.core.entries import (
    CancelReceived,
    ChildCreated,
    ChildEnded,
    LifeMarker,
    Outcome,
    Recorded,
    SignalReceived,
    StepBegun,
    StepEnded,
)
from ergon_runtime.core.faults import Fault, FaultKind
from ergon_runtime.core.flows import CRASH_LOOP, SUSPECT, FlowQuery, FlowRow, Status
from ergon_runtime.operators.unfinished import unfinished_fork
from ergon_runtime.stores.records import FlowRecord, JournalPart, Kind, Record
from tests.simulation import programs
from tests.simulation.books import kept as mail
from tests.simulation.ledger import lives, own, remembered
from tests.simulation.programs import Code, is_spinning
from tests.simulation.replays import Replay, from_base, replay, same_end
from tests.simulation.simulation import Simulation
from tests.simulation.traces import Bad, Trace

CUTS = 0.1
"""The share of cuts between two commits that are replayed."""


def check(world: Simulation) -> None:
    """All checks. Raises Bad for the first that fails."""
    if world.problems:
        raise Bad(world.problems[0])
    rows = world.pruned | {row.id: row for row in world.core.list(FlowQuery(limit=1_000_000))}
    traces: dict[tuple[str, int], list[Trace]] = {}
    for trace in world.traces:
        if world.changes and not trace.done:
            continue  # what it took from the pool in old code leaves no trace that would hold new code to it
        traces.setdefault((trace.flow, trace.life), []).append(trace)
    for row in rows.values():
        if not row.status.ended and not world.excused(row):
            raise Bad(f"{row.id} never ended: {row.status}, due {row.due}, waits {row.waits}, note {row.note!r}")
        _check_journal(world, row)
        for each in _replays(world, row):
            _check_replay(world, row, each, traces)
        _check_children(world, row, rows)
    _check_mail(world, rows)
    _check_suspects(world)
    check_store(world)


def _check_suspects(world: Simulation) -> None:
    """Who takes down one worker after the other, and nobody else does, is blocked for it (P5)."""
    options = world.options
    drained = options.codes > 1 or options.partial  # what is handed back counts from the start
    alone = options.poison > SUSPECT + CRASH_LOOP and not (options.chaos or options.jumps or drained)
    if alone and not world.auditor.stats["blocked crash_loop"]:
        raise Bad(f"poison has taken down {options.poison} workers, and was not blocked (P5)")


def check_store(world: Simulation) -> None:
    """What the audit says of all that the store holds."""
    found = audit_pieces(pieces(world), world.clock())
    world.stats["audited pieces"] += 1
    if found:
        raise Bad(f"audit: {found[0]}")


def pieces(world: Simulation) -> Iterator[Record | JournalPart]:
    """All that the store holds."""
    for kind in Kind:
        for piece in world.core.records(kind, None, 1_000_000):
            yield piece
            if isinstance(piece, FlowRecord):
                journal = world.books.core.journal(piece.row.id, 0, 1_000_000)
                yield JournalPart(piece.row.id, 0, tuple(journal))


def _check_journal(world: Simulation, row: FlowRow) -> None:
    journal = world.journals(row.id)
    for before, after in itertools.pairwise(journal):
        if after.entry.at < before.entry.at:
            raise Bad(f"{row.id}: time runs backwards from {before} to {after}")
        if after.commit < before.commit:
            raise Bad(f"{row.id}: commit {before.commit} is followed by {after.commit}")
    single = (StepEnded, ChildEnded, SignalReceived, ChildCreated, StepBegun)
    seen = Counter((life, entry.kind, entry.key) for life, _, entry in lives(journal) if isinstance(entry, single))
    if twice := [what for what, n in seen.items() if n > 1]:
        raise Bad(f"{row.id}: recorded twice in one life: {twice}")
    allowed = 4 + len(journal) + world.auditor.disturbed[row.id] + world.auditor.disturbed["*"]
    if world.claims[row.id] > allowed:
        raise Bad(f"{row.id}: hot loop, {world.claims[row.id]} claims for {len(journal)} entries")


# --- replays
class _Cut:
    """A journal up to `length`; `life` is the one it stops in, `over` whether that life ends there."""

    def __init__(self, journal: list[Recorded], length: int, *, over: bool) -> None:
        part = journal[:length]
        self.length, self.over, self.whole = length, over, length == len(journal)
        self.records = from_base(part)


def _replays(world: Simulation, row: FlowRow) -> Iterator[_Cut]:
    """Every life to its end, and some of the cuts between two commits."""
    journal = world.journals(row.id)
    first = len(journal) - len(own(journal))  # before that it is another's
    for n, record in enumerate(journal[first + 1 :] if first else journal, first + 1 if first else 0):
        if isinstance(record.entry, LifeMarker):
            if (row.id, record.entry.life - 1) not in world.operators.cut_short:
                yield _Cut(journal, n, over=True)
        elif n and journal[n - 1].commit != record.commit and not world.changes and world.random.random() < CUTS:
            yield _Cut(journal, n, over=False)
    if row.status is Status.CANCELLED and unfinished_fork(row) is not None:
        return  # it was cancelled before it was whole
    if journal and _late_cancel(journal):
        yield _Cut(journal, len(journal) - 1, over=False)
    elif journal:
        yield _Cut(journal, len(journal), over=row.status.ended)


def _late_cancel(journal: list[Recorded]) -> bool:
    """Whether the journal ends with an operator's cancel of a blocked flow, which is no part of what the code did."""
    last, rows = journal[-1].entry, lives(journal)
    begun = any(life == rows[-1][0] and not isinstance(entry, LifeMarker) for life, _, entry in rows[:-1])
    return isinstance(last, CancelReceived) and last.before and begun


def _check_replay(world: Simulation, row: FlowRow, cut: _Cut, traces: dict[tuple[str, int], list[Trace]]) -> None:
    where = f"{row.id}: replay of {cut.length} entries"
    code = Code(version=world.options.codes - 1, changes=world.changes)
    try:
        again = replay(row, row.args.decode(), cut.records, ended=cut.over, code=code)
    except Fault as fault:
        if fault.kind is FaultKind.SPINNING and code.version == 0 and is_spinning(json.loads(row.args)["p"]):
            return
        raise Bad(f"{where} ends with {fault.kind}: {fault}; {fault.recorded}, {fault.current}") from fault
    world.count("replays")
    if cut.over and (not again.done or again.asked):
        raise Bad(f"{where} is not over, or asks for {again.asked}")
    if cut.over and cut.whole and not same_end(again.end, Outcome.unpack(row.result or b"")):
        raise Bad(f"{where} gives {again.end}, the first run gave {row.result!r}")
    pool = remembered(world.journals(row.id)[: cut.length])
    if strange := [key for how, key, _ in again.trace if how == "pool" and key not in pool]:
        raise Bad(f"{where}: {strange} came from the pool, which has no success of it")
    signals = {record.entry.key for record in cut.records if isinstance(record.entry, SignalReceived)}
    if any(how == "skip" and key in signals for how, key, _ in again.trace):
        raise Bad(f"{where}: a signal was consumed and met no wait")
    _compare(where, cut, again, traces.get((row.id, again.life), []))


def _compare(where: str, cut: _Cut, again: Replay, live: list[Trace]) -> None:
    """What was delivered live is what a replay delivers, in every process that ran this life."""
    for trace in live:
        length = min(len(trace.delivered), len(again.trace))
        if trace.delivered[:length] != again.trace[:length]:
            raise Bad(f"{where}: delivered {again.trace}, live it was {trace.delivered}")
        longer = (cut.over or cut.whole) and not _was_put_back(cut) and len(trace.delivered) > length
        shorter = cut.over and trace.done and len(again.trace) > length
        if longer or shorter:
            raise Bad(f"{where}: delivered {len(again.trace)}, live it were {len(trace.delivered)}")


# --- children
def _check_children(world: Simulation, row: FlowRow, rows: dict[str, FlowRow]) -> None:
    entries = [entry for _, _, entry in lives(own(world.journals(row.id)))]
    created = [entry for entry in entries if isinstance(entry, ChildCreated)]
    if missing := [entry.child for entry in created if entry.child not in rows]:
        raise Bad(f"{row.id}: children {missing} were never made")
    ended = [entry for entry in entries if isinstance(entry, ChildEnded)]
    for entry in ended:
        _check_child_result(row, entry, rows)
    left = programs.abandoned & {entry.child for entry in created} - {entry.child for entry in ended}
    if is_spinning(json.loads(row.args)["p"]):
        left = set[str]()  # what was given up in the turn that spins was never recorded
    if kept := [child for child in left if (child, f"cancel {child}") not in world.auditor.told]:
        raise Bad(f"{row.id}: awaits of {kept} were cancelled, the children were not")
    if not row.status.ended:
        return
    for child in [rows[entry.child] for entry in created if not entry.detached]:
        told = any(to == child.id and name.startswith(("end of", "cancel ")) for to, name in world.auditor.told)
        if child.updated > row.updated and not told and not world.options.jumps:
            raise Bad(f"{row.id} ended and its child {child.id} was not cancelled")
        if not child.status.ended and not world.excused(child):
            raise Bad(f"{row.id}: left the child {child.id} running")


def _check_child_result(row: FlowRow, entry: ChildEnded, rows: dict[str, FlowRow]) -> None:
    child = rows[entry.child]
    kept = Outcome.unpack(child.result or b"")
    if (kept.status, kept.value, kept.error) != (entry.status, entry.value, entry.error):
        raise Bad(f"{row.id}: child {entry.key} ended {entry.status}, its row says {kept.status}")


# --- mail
def _check_mail(world: Simulation, rows: dict[str, FlowRow]) -> None:
    """Every signal is in the store or in one journal, once."""
    kept = [name for channel, name in mail(world.books.core) if channel.startswith("signal:")]
    entries = [entry for row in rows.values() for _, _, entry in lives(own(world.journals(row.id)))]
    used = [entry.message for entry in entries if isinstance(entry, SignalReceived)]
    gone = [name for channel, name in world.pruned_mail.elements() if channel.startswith("signal:")]
    found, sent = Counter(kept) + Counter(used) + Counter(gone), Counter(world.people.sent)
    if doubled := [name for name, n in found.items() if n > 1]:
        raise Bad(f"signals doubled: {doubled}")
    if found.keys() != sent.keys():
        raise Bad(f"signals lost {sorted(sent.keys() - found.keys())}, invented {sorted(found.keys() - sent.keys())}")
    for piece in world.core.records(Kind.FLOWS, None, 1_000_000):
        if isinstance(piece, FlowRecord) and piece.row.status.ended and piece.waits:
            raise Bad(f"{piece.row.id} has ended and still waits, or holds a reservation: {piece.waits}")


def _was_put_back(cut: _Cut) -> bool:
    """Whether a cancel came before the life began, by a clock that was set back: it may have begun before that, with
    nothing but what earlier lives left, and been lost."""
    last = cut.records[-1].entry
    return isinstance(last, CancelReceived) and last.before
