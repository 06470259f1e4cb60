"""Lives that people begin: retries with a cut, adopted and forked flows, as a journal tells of them (M1, M3, T5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ergon_runtime.core.entries import Adopted, ChildCreated, ChildEnded, Continued, Forked, Retried
from ergon_runtime.core.flows import Status
from tests.core.test_history import AGAIN, BEGIN, BEGUN, GOOD, history

OPERATED = Retried("", 90, 3, 1, 1, keep=True, due=90, operator=True)


def test_m1_cut_forgets_what_was_recorded_from_there_on() -> None:
    journal = (BEGIN, GOOD, replace(GOOD, key="b"), AGAIN, replace(GOOD, key="c"))
    for cut, kept in ((1, []), (2, ["a"]), (4, ["a", "b"]), (5, ["a", "b", "c"])):
        found = history(*journal, replace(OPERATED, cut=cut))
        assert [record.entry.key for record in found.pool.values()] == kept


def test_m1_cut_brings_back_the_success_that_a_later_one_had_replaced() -> None:
    found = history(BEGIN, GOOD, AGAIN, replace(GOOD, value="2"), replace(OPERATED, cut=3))
    assert [record.entry for record in found.pool.values()] == [GOOD]


def test_m1_what_a_cut_has_forgotten_stays_so_in_later_lives() -> None:
    later = replace(GOOD, key="c")
    found = history(BEGIN, GOOD, AGAIN, replace(GOOD, key="b"), replace(OPERATED, cut=3), later, replace(AGAIN, life=4))
    assert [record.entry.key for record in found.pool.values()] == ["a", "c"]


def test_m3_cut_before_its_creation_lets_a_detached_child_go() -> None:
    created = ChildCreated("kid", 1, "d", "f/kid", "kid", None, "[]", detached=True)
    journal = (BEGIN, GOOD, created, AGAIN)
    assert history(*journal, replace(OPERATED, cut=3)).attached
    assert not history(*journal, replace(OPERATED, cut=2)).attached


@pytest.mark.parametrize(("status", "kept"), [(Status.COMPLETED, 1), (Status.FAILED, 0)])
def test_m3_cut_before_its_end_remembers_how_a_detached_child_has_ended(status: Status, kept: int) -> None:
    created = ChildCreated("kid", 1, "d", "f/kid", "kid", None, "[]", detached=True)
    end = ChildEnded("kid", 1, "d", "m", "f/kid", status, "1", None)
    journal = (BEGIN, created, GOOD, end, AGAIN)
    once = history(*journal, replace(OPERATED, cut=2))
    twice = history(*journal, replace(OPERATED, cut=2), replace(AGAIN, life=4), replace(OPERATED, life=5, cut=2))
    for found in (once, twice):
        assert (len(found.pool), len(found.attached)) == (kept, kept)
    assert history(*journal, replace(OPERATED, cut=1)).pool == {}
    attended = (BEGIN, replace(created, detached=False), GOOD, end, AGAIN)
    assert history(*attended, replace(OPERATED, cut=2)).pool == {}


def test_m3_cut_before_a_fork_brings_back_no_detached_child_of_the_other() -> None:
    created = ChildCreated("kid", 1, "d", "other/kid", "kid", None, "[]", detached=True)
    forked = Forked("", 80, 2, 1, "other", 3)
    assert history(BEGIN, created, GOOD, forked, replace(OPERATED, cut=2)).attached == {}


def test_t5_open_start_outlives_a_cut_before_it() -> None:
    found = history(BEGIN, BEGUN, AGAIN, replace(OPERATED, cut=1))
    assert found.open_starts == {("a", "d")}


def test_m1_adopted_remembers_all_and_keeps_attempt_and_epoch() -> None:
    again = replace(AGAIN, epoch=2, keep=False)
    found = history(BEGIN, again, GOOD, BEGUN, Adopted("", 90, 3, 2, 2))
    assert [record.entry for record in found.pool.values()] == [GOOD]
    assert (found.strict, found.marks, found.open_starts) == ([], {}, {("a", "d")})
    assert (found.life, found.attempt, found.epoch, found.begins, found.origin) == (3, 2, 2, 90, 60)
    assert not found.delayed


def test_m1_forked_remembers_successes_but_neither_open_starts_nor_detached_children_nor_arguments() -> None:
    created = ChildCreated("kid", 1, "d", "f/kid", "kid", None, "[]", detached=True)
    begun = replace(BEGUN, key="b")
    found = history(Continued("", 70, 2, 2, '{"n":1}'), GOOD, begun, created, Forked("", 95, 3, 2, "other", 9))
    assert [record.entry for record in found.pool.values()] == [GOOD]
    assert (found.open_starts, found.attached, found.args) == (set(), {}, None)
    assert (found.life, found.attempt, found.epoch, found.begins, found.origin) == (3, 1, 2, 95, 70)
