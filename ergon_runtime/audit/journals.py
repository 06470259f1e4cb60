"""Checks of one flow's journal, as it is: entries, their order and times, lives, keys, and what runs at most once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import assert_never

from ergon_runtime.audit.case import Case, Check
from ergon_runtime.core.entries import (
    Adopted,
    AttemptFailed,
    CancelReceived,
    Continued,
    Entry,
    Forked,
    LifeMarker,
    Retried,
    SignalReceived,
    Started,
    StepBegun,
    StepEnded,
    TimerFired,
)
from ergon_runtime.core.history import is_delivered

_RESTORE = "restore a backup, or fork the flow from before that entry"
_REPORT = "a replay may diverge: look with `ergon replay`, and please report it"


def _readable(case: Case) -> Iterator[str]:
    yield from case.unreadable


def _first(case: Case) -> Iterator[str]:
    for n, each in enumerate(case.entries):
        entry = each.record.entry
        if n == 0 and each.record.seq == 0 and not _may_be_first(entry, forked=len(case.own) < len(case.entries)):
            yield f"its journal begins with {entry.kind!r}"
        if isinstance(entry, Started) and each.record.seq:
            yield f"entry {each.record.seq} says that it started, again"
        if isinstance(entry, Started) and (entry.seed, entry.version) != (case.row.seed, case.row.version):
            yield f"entry 0 has the seed {entry.seed!r} and the version {entry.version!r} of another flow"


def _may_be_first(entry: Entry, *, forked: bool) -> bool:
    """A flow that was cancelled before it began has nothing else; of an import there may be only the last epoch. A fork
    has no cancels of the other flow: of one that was cancelled so, and then retried, it has the retry."""
    match entry:
        case Started() | Continued():
            return True
        case CancelReceived():
            return entry.before
        case _:
            return forked and isinstance(entry, LifeMarker)


def _times(case: Case) -> Iterator[str]:
    for one, two in pairwise(case.entries):
        if two.record.entry.at < one.record.entry.at:
            back = one.record.entry.at - two.record.entry.at
            yield f"entry {two.record.seq} is {back} ms before the one ahead of it"
    for each in case.entries:
        entry = each.record.entry
        if isinstance(entry, TimerFired) and entry.at < entry.due:
            yield f"timer {entry.key} fired {entry.due - entry.at} ms before it was due (entry {each.record.seq})"


def _commits(case: Case) -> Iterator[str]:
    numbers = [1, *(each.record.commit for each in case.entries)]
    for n, (one, two) in enumerate(pairwise(numbers)):
        if two < one:
            yield f"entry {case.entries[n].record.seq} is of commit {two}, after commit {one}"


def _keys(case: Case) -> Iterator[str]:
    """A try may fail many times, and a life begins once; all else is recorded once in a life."""
    seen = Counter(
        (each.life, each.record.entry.kind, each.record.entry.key)
        for each in case.entries
        if not isinstance(each.record.entry, AttemptFailed | LifeMarker)
    )
    for (life, kind, key), times in seen.items():
        if times > 1:
            yield f"{kind} {key} is recorded {times} times in life {life}"


def _signals(case: Case) -> Iterator[str]:
    """One that came behind another completion might meet no wait."""
    completed = set[int]()
    for each in case.entries:
        entry, commit = each.record.entry, each.record.commit
        if isinstance(entry, SignalReceived) and commit in completed:
            yield f"signal {entry.key} is not the first completion of its commit (entry {each.record.seq})"
        if is_delivered(entry):
            completed.add(commit)


def _tries(case: Case) -> Iterator[str]:
    tries, over = dict[tuple[int, str], int](), set[tuple[int, str]]()
    for each in case.entries:
        entry, what = each.record.entry, (each.life, each.record.entry.key)
        if isinstance(entry, StepEnded):
            over.add(what)
        if isinstance(entry, AttemptFailed):
            if what in over:
                yield f"step {entry.key} fails a try in entry {each.record.seq}, after its end"
            if entry.attempt <= tries.get(what, 0):
                yield f"try {entry.attempt} of step {entry.key} fails after try {tries[what]} (entry {each.record.seq})"
            tries[what] = entry.attempt


def _lives(case: Case) -> Iterator[str]:
    life, epoch = 1, 1
    for each in case.entries:
        entry, seq = each.record.entry, each.record.seq
        if not isinstance(entry, LifeMarker):
            continue
        if seq and entry.life != life + 1:
            yield f"entry {seq} begins life {entry.life} after life {life}"
        if seq and entry.epoch - epoch != _new_epoch(entry):
            yield f"entry {seq} ({entry.kind}) begins epoch {entry.epoch} after epoch {epoch}"
        if isinstance(entry, Retried) and entry.cut is not None and not 0 <= entry.cut <= seq:
            yield f"entry {seq} forgets what comes after entry {entry.cut}"
        life, epoch = entry.life, entry.epoch


def _new_epoch(marker: LifeMarker) -> bool:
    match marker:
        case Continued():
            return True
        case Retried():
            return not marker.keep
        case Adopted() | Forked():
            return False
        case _:
            assert_never(marker)


def _base(case: Case) -> Iterator[str]:
    base = case.row.base
    found = [each.record.entry for each in case.entries if each.record.seq == base]
    if base and found and not isinstance(found[0], Continued):
        yield f"it is to be read from entry {base} on, where no life begins"


def _once(case: Case) -> Iterator[str]:
    """A start is closed by the error of its own body alone (T5)."""
    open_starts, epoch = set[tuple[str, str]](), 1
    for each in case.own:
        entry = each.record.entry
        if each.epoch != epoch:
            open_starts, epoch = set[tuple[str, str]](), each.epoch
        if isinstance(entry, StepBegun):
            if (entry.key, entry.digest) in open_starts:
                yield f"step {entry.key} runs at most once, and starts again in entry {each.record.seq}"
            open_starts.add((entry.key, entry.digest))
        if isinstance(entry, StepEnded) and entry.error is not None and not entry.unknown:
            open_starts.discard((entry.key, entry.digest))


JOURNALS = (
    Check("R4", _readable, _RESTORE),
    Check("E1", _first, _RESTORE),
    Check("E3", _times, _REPORT),
    Check("C1", _commits, _REPORT),
    Check("L3", _keys, _REPORT),
    Check("E7", _signals, _REPORT),
    Check("T2", _tries, _REPORT),
    Check("M1", _lives, _RESTORE),
    Check("M1", _base, _RESTORE),
    Check("T5", _once, "its effect may have happened twice; please report it"),
)
