"""What a fork has of another flow's journal: which entries, under which numbers, with which results (M1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

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
    Started,
    StepBegun,
    StepEnded,
    StepStopped,
)
from ergon_runtime.core.flows import FlowRow, Status
from ergon_runtime.errors import OperatorRefused
from ergon_runtime.operators.children import unheard
from ergon_runtime.operators.prefixes import copied, edited, renumbered, span_of
from ergon_runtime.operators.recorded import find_cut, operations, present_epoch

BEGIN = Started("", 0, "seed", None, 1, "3")
GOOD = StepEnded("a", 1, "d", "a", "[1]", "1", None, 1, 1, 1, "w")
BAD = replace(GOOD, value=None, error="{}")
SIGNAL = SignalReceived("go", 2, "", "go", "m", "1")
KID = ChildEnded("kid", 3, "d", "m", "f/kid", Status.FAILED, None, "{}")
AGAIN = Retried("", 4, 2, 2, 1, keep=True, due=4)
NEW = Continued("", 5, 3, 2, '{"n":2}')
ROW = FlowRow(
    *("f", "T", None, "lane", 5, b"{}", "seed", None, Status.WAITING, None, None, None, 9, 0, None),
    note=b'{"waits":[{"kind":"signal","key":"later"}],"heartbeats":[]}',
    fingerprint=None,
    created=0,
    updated=0,
    started=0,
    recoveries=0,
    deaths=0,
)


def recorded(*entries: Entry) -> list[Recorded]:
    """A journal in which each entry has a commit of its own, and some numbers are left out."""
    return [Recorded(seq, 2 * seq + 3, entry) for seq, entry in enumerate(entries)]


def with_result(records: Sequence[Recorded], cut: int, **results: str) -> list[Entry]:
    kept = copied(records, cut, signals=True)
    return [record.entry for record in edited(ROW, records, kept, cut, results)]


# --- the cut
@pytest.mark.parametrize(
    ("name", "cut"), [("a", 4), ("a~1", 1), ("a~2", 4), ("go", 2), ("later", 9), ("later~2", 9), ("kid", 5)]
)
def test_cut_is_the_first_entry_of_the_operation_named_in_the_newest_life_that_has_one(name: str, cut: int) -> None:
    created = ChildCreated("kid", 3, "d", "f/kid", "kid", None, "[]", detached=False)
    records = recorded(BEGIN, GOOD, SIGNAL, AGAIN, GOOD, created, KID)
    assert find_cut(ROW, 2, list(operations(records)), name) == cut


@pytest.mark.parametrize("name", ["a~3", "b", "", "retried"])
def test_cut_at_what_is_not_recorded_is_refused(name: str) -> None:
    with pytest.raises(OperatorRefused, match="is not recorded: there is"):
        find_cut(ROW, 2, list(operations(recorded(BEGIN, GOOD, AGAIN))), name)


def test_span_is_that_of_the_arguments_which_the_cut_has() -> None:
    records = recorded(BEGIN, GOOD, NEW, GOOD, replace(NEW, args='{"n":3}'), GOOD)
    for cut, first, end, args in ((1, 0, 2, None), (3, 2, 4, '{"n":2}'), (5, 4, 6, '{"n":3}'), (9, 4, 6, '{"n":3}')):
        span = span_of(records, cut)
        assert (list(span.records), span.args) == (records[first:end], args)


def test_present_epoch_begins_where_all_was_forgotten() -> None:
    nothing = replace(AGAIN, keep=False, epoch=2)
    records = recorded(BEGIN, GOOD, nothing, BAD, replace(AGAIN, life=3, epoch=2))
    assert present_epoch(records) == records[2:]
    assert present_epoch(recorded(BEGIN, GOOD, NEW)) == recorded(BEGIN, GOOD, NEW)[2:]


# --- what is taken over
def test_cancels_are_left_out_and_signals_if_they_are_not_wanted() -> None:
    records = recorded(BEGIN, CancelReceived("cancel", 1, "m"), SIGNAL, GOOD)
    assert [record.entry for record in copied(records, 3, signals=True)] == [BEGIN, SIGNAL]
    assert [record.entry for record in copied(records, 4, signals=False)] == [BEGIN, GOOD]


def test_copy_is_numbered_anew_with_the_cuts_of_its_retries() -> None:
    records = recorded(BEGIN, SIGNAL, GOOD, replace(AGAIN, cut=2), GOOD)
    records[4] = replace(records[4], commit=records[3].commit)
    found = renumbered(copied(records, 5, signals=False))
    assert [(record.seq, record.commit) for record in found] == [(0, 1), (1, 2), (2, 3), (3, 3)]
    assert found[2].entry == replace(AGAIN, cut=1)


# --- results
@pytest.mark.parametrize(
    "entry",
    [
        BAD,
        replace(BAD, unknown=True),
        StepStopped("a", 1, "d", "a", "[1]", 1, 1, "w"),
        AttemptFailed("a", 1, "d", "a", "[1]", 1, 9, "{}", 1, 1, "w"),
    ],
)
def test_step_that_has_not_succeeded_does_with_the_result_given(entry: Entry) -> None:
    assert with_result(recorded(BEGIN, entry), 2, a="7") == [BEGIN, replace(GOOD, value="7")]


def test_child_and_signal_get_results_too() -> None:
    found = with_result(recorded(BEGIN, KID, SIGNAL), 3, kid="7", go="8")
    assert found == [BEGIN, replace(KID, status=Status.COMPLETED, value="7", error=None), replace(SIGNAL, value="8")]


def test_result_is_that_of_the_newest_life_unless_another_is_named() -> None:
    records = recorded(BEGIN, GOOD, AGAIN, GOOD)
    assert with_result(records, 4, a="7") == [BEGIN, GOOD, AGAIN, replace(GOOD, value="7")]
    assert with_result(records, 4, **{"a~1": "7"}) == [BEGIN, replace(GOOD, value="7"), AGAIN, GOOD]


def test_result_of_what_stands_at_the_cut_comes_last() -> None:
    tried = AttemptFailed("a", 1, "d", "a", "[1]", 1, 9, "{}", 1, 1, "w")
    records = recorded(BEGIN, tried, SIGNAL, GOOD)
    assert with_result(records, 1, a="7") == [BEGIN, replace(GOOD, value="7")]


@pytest.mark.parametrize("name", ["b", "begun", "a~2"])
def test_result_of_what_lies_behind_the_cut_or_has_none_is_refused(name: str) -> None:
    records = recorded(BEGIN, StepBegun("begun", 1, "d", "begun"), GOOD, SIGNAL, replace(GOOD, key="b"))
    with pytest.raises(OperatorRefused, match=f"'{name}' has no result before the cut: there is"):
        with_result(records, 3, **{name: "7"})


# --- children
def test_children_unheard_are_the_latest_of_their_keys_without_an_end() -> None:
    made = ChildCreated("kid", 1, "d", "f/kid", "kid", None, "[]", detached=True)
    later, own = replace(made, child="f/kid~2"), replace(made, key="own", child="f/own", detached=False)
    assert unheard(recorded(BEGIN, made, own), detached=True) == [made]
    assert unheard(recorded(BEGIN, made, own), detached=False) == [own]
    assert unheard(recorded(BEGIN, made, KID), detached=True) == []
    assert unheard(recorded(BEGIN, made, AGAIN, later), detached=True) == [later]
