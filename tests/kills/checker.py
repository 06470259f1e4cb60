"""What must hold of a run's books: the ledger, the journals, the ends of the flows, and what became of the workers.

No clock decides anything but C6: the order of the ledger's lines does. A worker is *excused* for a flow when it was
killed or stopped, or said itself that it had lost that flow's lease.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ergon_runtime.core.entries import Continued, Retried, StepEnded, unpack
from ergon_runtime.core.history import idempotency_key
from tests.kills.ledger import Claimed, Effect, Line, Released, Stopping


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a worker. `lost`: flows whose lease it said it had lost. `faults`: lines of its log that must not
    be. `continued`: when SIGCONT came."""

    killed: bool = False
    stopped: bool = False
    drained: bool = False
    lost: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How a flow stands, and its journal. `right`: whether its result is what it must be; None: nobody says."""

    status: str
    journal: Sequence[bytes]
    right: bool | None = None


@dataclass
class Books:
    """All that is known of a run. `accepted` are the ids that clients were told of. `voided`: the store has taken
    leases away before their time, as Redis does when its server was restarted (R15)."""

    lines: Sequence[Line]
    results: Mapping[str, Result]
    fates: Mapping[int, Fate]
    accepted: Sequence[str]
    voided: bool = False


@dataclass
class Findings:
    """What is wrong, and the figures."""

    wrong: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Record:
    """A step's end in a journal. `epoch` belongs to its idempotency key."""

    flow: str
    life: int
    epoch: int
    entry: StepEnded

    @property
    def nonce(self) -> str | None:
        """That of the effect; None for an error."""
        return None if self.entry.value is None else str(json.loads(self.entry.value)[1])


def check(books: Books) -> Findings:
    """Judge the books."""
    found = Findings()
    effects = [line for line in books.lines if isinstance(line, Effect)]
    records = [record for flow, result in books.results.items() for record in _records(flow, result.journal)]
    turns = _turns(books.lines)
    for rule in (_ended, _unbroken):
        found.wrong += rule(books)
    found.wrong += _records_agree(records, effects)
    found.wrong += _keys(effects, books.results)
    found.wrong += _no_effect_after_record(records, effects, turns, found.figures)
    found.wrong += _repeats(effects, books.fates, found.figures)
    found.wrong += _takeovers(books.lines, books.fates, found.figures)
    if not books.voided:
        found.wrong += _fenced(books.lines)
    found.figures["flows"] += len(books.results)
    found.figures["effects"] += len(effects)
    found.figures["records"] += len(records)
    return found


def _ended(books: Books) -> Iterator[str]:
    """Every accepted flow, and every child, has completed with the right result."""
    for flow in books.accepted:
        if flow not in books.results:
            yield f"{flow}: accepted, and the store does not know it"
    for flow, result in books.results.items():
        if result.status != "completed":
            yield f"{flow}: {result.status}"
        elif result.right is False:
            yield f"{flow}: the result is wrong"


def _unbroken(books: Books) -> Iterator[str]:
    """Workers' logs hold nothing that must not be."""
    for worker, fate in books.fates.items():
        yield from (f"worker {worker}: {line}" for line in fate.faults)


def _records(flow: str, journal: Sequence[bytes]) -> Iterator[_Record]:
    life = epoch = 1
    for seq, row in enumerate(journal):
        match unpack(row, seq).entry:
            case Continued() | Retried() as marker:
                life, epoch = marker.life, marker.epoch
            case StepEnded() as entry:
                yield _Record(flow, life, epoch, entry)
            case _:
                pass


def _records_agree(records: Sequence[_Record], effects: Sequence[Effect]) -> Iterator[str]:
    """One record per flow, life and key; its effect is in the ledger, under the idempotency key that belongs to it."""
    by_nonce = {effect.nonce: effect for effect in effects}
    for where, count in Counter((record.flow, record.life, record.entry.key) for record in records).items():
        if count > 1:
            yield f"{where}: {count} records"
    for record in records:
        if record.nonce is None:
            continue
        effect, once = by_nonce.get(record.nonce), idempotency_key(record.flow, record.epoch, record.entry.key)
        if effect is None:
            yield f"{once}: recorded without an effect"
        elif (effect.once, effect.attempt) != (once, record.entry.attempts):
            yield f"{once}: recorded try {record.entry.attempts}, but the effect is {effect.once} try {effect.attempt}"


def _keys(effects: Sequence[Effect], results: Mapping[str, Result]) -> Iterator[str]:
    """Each effect's idempotency key is that of its step in one of the flow's epochs, recorded or not."""
    epochs = {flow: {1, *_epochs(result.journal)} for flow, result in results.items()}
    for effect in effects:
        if effect.once not in {idempotency_key(effect.flow, epoch, effect.key) for epoch in epochs[effect.flow]}:
            yield f"{effect.flow} {effect.key}: the idempotency key {effect.once} belongs to no epoch"


def _epochs(journal: Sequence[bytes]) -> Iterator[int]:
    for seq, row in enumerate(journal):
        if isinstance(entry := unpack(row, seq).entry, Continued | Retried):
            yield entry.epoch


def _turns(lines: Sequence[Line]) -> dict[str, int]:
    """The place of each token among the claims."""
    return {line.token: n for n, line in enumerate(lines) if isinstance(line, Claimed)}


def _no_effect_after_record(
    records: Sequence[_Record], effects: Sequence[Effect], turns: Mapping[str, int], figures: Counter[str]
) -> Iterator[str]:
    """After the effect that was recorded no other comes, but from bodies of claims that were older."""
    recorded = {record.nonce for record in records if record.nonce is not None}
    final: dict[str, Effect] = {}
    for effect in effects:
        before = final.get(effect.once)
        if before is not None:
            if turns.get(effect.token, -1) >= turns.get(before.token, -1):
                yield f"{effect.once}: ran again, by worker {effect.worker}, after it was recorded"
            else:
                figures["effects of stale workers"] += 1
        elif effect.nonce in recorded:
            final[effect.once] = effect


def _repeats(effects: Sequence[Effect], fates: Mapping[int, Fate], figures: Counter[str]) -> Iterator[str]:
    """A try has one effect per claim, and another only by who takes the flow over from a worker that is excused."""
    tries: dict[tuple[str, int, int], list[Effect]] = defaultdict(list)
    for effect in effects:
        tries[effect.once, effect.flow_attempt, effect.attempt].append(effect)
    for (once, _, attempt), done in tries.items():
        figures["effects repeated"] += len(done) - 1
        if len({effect.token for effect in done}) < len(done):
            yield f"{once}: try {attempt} ran twice under one lease"
        excused = sum(_excused(fates[effect.worker], effect.flow) for effect in done)
        if excused < len(done) - 1:
            yield f"{once}: try {attempt} had {len(done)} effects, and {excused} of their workers are excused"
    at_most = Counter(effect.once for effect in effects if effect.key.partition("#")[0] == "once")
    yield from (f"{once}: at most once, {count} effects" for once, count in at_most.items() if count > 1)


def _takeovers(lines: Sequence[Line], fates: Mapping[int, Fate], figures: Counter[str]) -> Iterator[str]:
    """A flow that was running is claimed only from a worker that is excused; never from one that was drained."""
    holder: dict[str, Claimed | None] = {}
    given_back = {line.token for line in lines if isinstance(line, Released)}
    for line in lines:
        match line:
            case Released():
                held = holder.get(line.flow)
                if held is not None and held.token == line.token:
                    holder[line.flow] = None
            case Claimed():
                before, holder[line.flow] = holder.get(line.flow), line
                if line.status == "running":
                    figures["takeovers"] += 1
                    if before is None:  # a worker that died before it could say that it had it
                        continue
                    # Lines are written when answers come. One may come late, to a worker that was stopped or starved.
                    if before.token in given_back or fates[line.worker].stopped:
                        continue
                    fate = fates[before.worker]
                    if not _excused(fate, line.flow):
                        yield f"{line.flow}: taken over from worker {before.worker}, which lived and had its lease"
                    figures["leases that live workers lost"] += not (fate.killed or fate.stopped)
            case _:
                pass


def _fenced(lines: Sequence[Line]) -> Iterator[str]:
    """C6: a worker that stopped itself in the thread that starts steps begins none of a flow that has been taken over
    meanwhile. Other stops may fall between the look at the fence and the body's first line, as in threads."""
    stops: dict[int, Stopping] = {}
    claims: dict[str, list[Claimed]] = defaultdict(list)
    for line in lines:
        match line:
            case Stopping(exact=1):
                stops[line.worker] = line
            case Claimed():
                claims[line.flow].append(line)
            case Effect() if line.worker in stops and not line.key.startswith("mark_in_thread"):
                slept, mine = stops[line.worker].at, _claim(claims[line.flow], line.token)
                others = [
                    each for each in claims[line.flow] if slept < each.at < line.begun and each.token != line.token
                ]
                if mine is not None and mine.at <= slept and others:
                    yield f"{line.once}: begun by worker {line.worker} after worker {others[0].worker} had claimed it"
            case _:
                pass


def _claim(claims: Sequence[Claimed], token: str) -> Claimed | None:
    return next((claim for claim in claims if claim.token == token), None)


def _excused(fate: Fate, flow: str) -> bool:
    return fate.killed or fate.stopped or flow in fate.lost
