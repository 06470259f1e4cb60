"""The checker of the kill loop sees what is wrong in books, and nothing in books that are right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ergon_runtime.core.entries import Entry, Retried, Started, StepEnded, pack
from tests.kills.checker import Books, Fate, Result, check
from tests.kills.ledger import Claimed, Effect, Line, Released, Stopping, line_text, read

FLOW = "steps-1"
BEGUN = Started("", 0, "seed", None, 1, "3.11")


def claimed(worker: int, token: str, status: str = "pending", at: int = 0) -> Claimed:
    return Claimed(worker, FLOW, token, status, at)


def effect(worker: int, token: str, nonce: str, key: str = "mark", **changes: Any) -> Effect:
    made = Effect(worker, FLOW, key, f"{FLOW}:1:{key}", 1, 1, token, nonce, 0)
    return replace(made, **changes)


def step(nonce: str | None, key: str = "mark", attempts: int = 1) -> StepEnded:
    value = None if nonce is None else json.dumps([0, nonce])
    return StepEnded(key, 0, "d", key, "[]", value, None if value else "{}", attempts, 0, 0, "w")


def books(*lines: Line, entries: Sequence[Entry] = (step("n1"),), status: str = "completed", **fates: Fate) -> Books:
    """Books of one flow; workers that nothing is said of were drained."""
    journal = [pack(entry, n) for n, entry in enumerate([BEGUN, *entries])]
    known = {line.worker: Fate(drained=True) for line in lines}
    known |= {int(name.removeprefix("w")): fate for name, fate in fates.items()}
    return Books(lines, {FLOW: Result(status, journal, right=True)}, known, [FLOW])


PLAIN = (claimed(1, "t1"), effect(1, "t1", "n1"), Released(1, FLOW, "t1", 1))
KILLED, STOPPED = Fate(killed=True), Fate(stopped=True)
AGAIN = (claimed(1, "t1"), effect(1, "t1", "n0"), claimed(2, "t2", "running"), effect(2, "t2", "n1"))
STALE = (claimed(1, "t1"), claimed(2, "t2", "running"), effect(2, "t2", "n1"), effect(1, "t1", "n0"))
TRIED = (claimed(1, "t1"), effect(1, "t1", "n0"), effect(1, "t1", "n1", attempt=2))
SLEPT = (claimed(1, "t1", at=5), Stopping(1, 1, 10), claimed(2, "t2", "running", at=20))
LIVES = Retried("", 0, 2, 2, 1, True, 0)

RIGHT: dict[str, Books] = {
    "plain": books(*PLAIN),
    "an effect whose worker died before its record": books(*AGAIN, w1=KILLED),
    "an effect whose worker said it had lost the lease": books(*AGAIN, w1=Fate(drained=True, lost=frozenset({FLOW}))),
    "a stopped worker's body that ends after the record": books(*STALE, w1=STOPPED),
    "an answer to a claim that came late, to a worker that was stopped": books(
        claimed(1, "t1"), claimed(2, "t0", "running"), effect(1, "t1", "n1"), w2=STOPPED
    ),
    "an answer to a release that came late": books(
        claimed(1, "t1"), effect(1, "t1", "n1"), claimed(2, "t3", "running"), Released(1, FLOW, "t1", 9)
    ),
    "a second try": books(*TRIED, entries=[step("n1", attempts=2)]),
    "a worker that slept, and began before": books(
        *SLEPT, effect(2, "t2", "n1", begun=21), effect(1, "t1", "n0", begun=9), w1=STOPPED
    ),
    "a worker that slept, and claimed the flow again": books(
        *SLEPT, Released(2, FLOW, "t2", 22), claimed(1, "t3", at=23), effect(1, "t3", "n1", begun=24), w1=STOPPED
    ),
    "an at-most-once step that nobody knows of": books(
        claimed(1, "t1"), claimed(2, "t2", "running"), entries=[step(None, "once")], w1=KILLED
    ),
    "a step that is kept by the next life": books(*PLAIN, entries=[step("n1"), step(None, "stumble"), LIVES]),
}
WRONG: dict[str, tuple[str, Books]] = {
    "not ended": ("waiting", books(*PLAIN, status="waiting")),
    "wrong result": ("result is wrong", replace(books(*PLAIN), results={FLOW: Result("completed", [], right=False)})),
    "accepted and gone": ("does not know it", replace(books(*PLAIN), accepted=[FLOW, "gone"])),
    "worker's fault": ("internal error", books(*PLAIN, w1=Fate(drained=True, faults=("internal error",)))),
    "two records of a key": ("2 records", books(*PLAIN, entries=[step("n1"), step("n1")])),
    "recorded without effect": ("without an effect", books(claimed(1, "t1"))),
    "idempotency key changed": (
        "but the effect is",
        books(claimed(1, "t1"), effect(1, "t1", "n1", once=f"{FLOW}:2:mark")),
    ),
    "idempotency key of another epoch": (
        "belongs to no epoch",
        books(claimed(1, "t1"), effect(1, "t1", "n0", once=f"{FLOW}:2:mark"), *PLAIN[1:]),
    ),
    "count of tries changed": ("recorded try 2", books(*PLAIN, entries=[step("n1", attempts=2)])),
    "ran again after its record": (
        "after it was recorded",
        books(*PLAIN, claimed(2, "t2", "running"), effect(2, "t2", "n2"), w1=KILLED),
    ),
    "twice under one lease": ("under one lease", books(claimed(1, "t1"), effect(1, "t1", "n0"), effect(1, "t1", "n1"))),
    "again though its worker lived": ("are excused", books(*AGAIN, w1=Fate(drained=True))),
    "taken over from a worker that lived": (
        "which lived",
        books(claimed(1, "t1"), claimed(2, "t2", "running"), effect(2, "t2", "n1")),
    ),
    "at most once, twice": (
        "at most once, 2",
        books(*(replace(line, key="once") if isinstance(line, Effect) else line for line in AGAIN), w1=KILLED),
    ),
    "began after it had slept": ("had claimed it", books(*SLEPT, effect(1, "t1", "n1", begun=21), w1=STOPPED)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_checker_given_right_books_finds_nothing(name: str) -> None:
    assert check(RIGHT[name]).wrong == []


@pytest.mark.parametrize("name", WRONG)
def test_checker_given_wrong_books_names_it(name: str) -> None:
    said, given = WRONG[name]
    assert any(said in wrong for wrong in check(given).wrong), check(given).wrong


def test_ledger_line_read_back_is_the_line() -> None:
    lines = [*SLEPT, *PLAIN]
    assert read("".join(map(line_text, lines))) == lines
