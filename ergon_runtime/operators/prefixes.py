"""What a fork has of another flow: the entries before its cut, with results that a person has changed. Pure.

M1  The entries are numbered anew, and so are their commits and the cuts of earlier retries. Cancels are left out: they
    were the other flow's. Signals are, if they are not wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ergon_runtime.core.entries import (
    AttemptFailed,
    CancelReceived,
    ChildCreated,
    ChildEnded,
    Continued,
    Entry,
    Recorded,
    Retried,
    SignalReceived,
    StepBegun,
    StepEnded,
    StepStopped,
    TimerFired,
)
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.operators.recorded import Named, Operation, operations, unknown_step

_Changeable: TypeAlias = StepEnded | StepStopped | AttemptFailed | ChildEnded | SignalReceived
"""What a result can be put into."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a journal that one begin with arguments of its own opened: `args` are those, if it was continued."""

    records: tuple[Recorded, ...]
    args: str | None


def span_of(records: Sequence[Recorded], cut: int) -> Span:
    """The part of a journal that a cut lies in. What follows a later continuing as new is no part of it."""
    found: list[Recorded] = []
    args: str | None = None
    for record in records:
        if isinstance(record.entry, Continued):
            if record.seq >= cut:
                break
            found, args = [], record.entry.args
        found.append(record)
    return Span(tuple(found), args)


def copied(records: Iterable[Recorded], cut: int, *, signals: bool) -> list[Recorded]:
    """What a fork takes over as it is."""
    return [
        record
        for record in records
        if record.seq < cut
        and not isinstance(record.entry, CancelReceived)
        and (signals or not isinstance(record.entry, SignalReceived))
    ]


def edited(
    row: FlowRow, records: Sequence[Recorded], kept: Sequence[Recorded], cut: int, results: Mapping[str, str]
) -> list[Recorded]:
    """The kept entries with these results, by key. One may be given for what stands at the cut, too: then that is not
    run again. Raises OperatorRefused."""
    at_cut = next(((each.entry.key, each.life) for each in operations(records) if each.seq == cut), None)
    kept_at, by_seq = {record.seq for record in kept}, {record.seq: record for record in records}
    changeable = [
        each
        for each in operations(records)
        if isinstance(each.entry, _Changeable) and (each.seq in kept_at or (each.entry.key, each.life) == at_cut)
    ]
    found = {record.seq: record for record in kept}
    for name, text in results.items():
        check_json(row, f"the result of {name}", text)
        target = _target(row, changeable, name)
        found[target.seq] = replace(by_seq[target.seq], entry=_with_result(target.entry, text))
    return [found[seq] for seq in sorted(found)]


def _target(row: FlowRow, changeable: Sequence[Named], name: str) -> Named:
    """The entry whose result is to be changed: the last of the operation so named, in the newest life that has one."""
    named = [each for each in changeable if each.entry.key == name]
    if named:
        return max(named, key=lambda each: (each.life, each.seq))
    for each in reversed(changeable):
        if name in (each.shown, f"{each.entry.key}~{each.life}"):
            return each
    keys = list(dict.fromkeys(each.shown for each in changeable))
    raise unknown_step(row, name, keys, "has no result before the cut")


def _with_result(entry: Operation, text: str) -> Entry:
    match entry:
        case StepEnded():
            return replace(entry, value=text, error=None, unknown=False)
        case ChildEnded():
            return replace(entry, status=Status.COMPLETED, value=text, error=None)
        case SignalReceived():
            return replace(entry, value=text)
        case StepStopped(key, at, digest, name, args, tries, started, worker):
            return StepEnded(key, at, digest, name, args, text, None, tries, started, at, worker)
        case AttemptFailed(key, at, digest, name, args, tries, _, _, started, finished, worker):
            return StepEnded(key, at, digest, name, args, text, None, tries, started, finished, worker)
        case StepBegun() | TimerFired() | ChildCreated():
            raise TypeError(f"{entry.kind} {entry.key} has no result")


def check_json(row: FlowRow, what: str, text: str | bytes) -> None:
    """Refuse a text that is not JSON. Raises OperatorRefused."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OperatorRefused(row.id, f"{what} cannot be read as JSON: {error}") from error


def renumbered(records: Sequence[Recorded]) -> list[Recorded]:
    """The entries as a journal of their own: sequences from 0, commits from 1, and the cuts of retries to fit."""
    commits = {number: n for n, number in enumerate(dict.fromkeys(record.commit for record in records), 1)}
    return [Recorded(n, commits[record.commit], _moved(record.entry, records)) for n, record in enumerate(records)]


def _moved(entry: Entry, records: Sequence[Recorded]) -> Entry:
    if not isinstance(entry, Retried) or entry.cut is None:
        return entry
    end = entry.cut
    return replace(entry, cut=sum(record.seq < end for record in records))
