"""Which rows fold: equal ones that are completed, and only where there are too many."""

from __future__ import annotations

from ergon_cli.screens.folding import LAST, LIMIT, Fold, Numbered, folded, wanted
from ergon_runtime.view import StepView
from tests.cli.screens.made import BUSY, mark, step


def rows(*steps: StepView) -> list[tuple[int, str]]:
    """Number and key of each row; of a fold how many it counts, and its name."""
    found: list[tuple[int, str]] = []
    for row in folded(wanted(steps, failed=False)):
        match row:
            case Numbered(n=n, step=step):
                found.append((n, step.key))
            case Fold(steps=members):
                found.append((len(members), f"+{members[0].name}"))
    return found


def charges(count: int) -> list[StepView]:
    return [step(f"charge#{n}" if n > 1 else "charge", n, n + 1) for n in range(1, count + 1)]


def test_nothing_is_folded_up_to_the_limit() -> None:
    assert len(rows(*charges(LIMIT))) == LIMIT
    assert len(rows(*charges(LIMIT + 1))) == 1 + LAST


def test_siblings_fold_whatever_stands_between_them_and_rare_names_stay() -> None:
    steps = [each for n in range(150) for each in (step(f"{n}/a", n, n), step(f"{n}/b", n, n))]
    found = rows(step("first", 0, 0), *steps, step("last", 0, 0))
    assert found[:3] == [(1, "first"), (146, "+a"), (145, "+b")]
    assert len(found) == 3 + LAST
    assert found[-1] == (302, "last")


def test_what_failed_or_is_open_is_shown_in_its_place() -> None:
    steps = charges(300)
    steps[100], steps[200] = step("charge#101", 0, 1, BUSY), step("charge#201", 0, None)
    found = rows(*steps)
    assert found[:3] == [(288, "+charge"), (101, "charge#101"), (201, "charge#201")]


def test_of_very_many_failures_of_one_name_the_rest_is_counted() -> None:
    found = rows(*(step(f"{n}/charge", n, n, BUSY) for n in range(1000)))
    assert len(found) == LIMIT + 1 + LAST
    assert found[LIMIT] == (1000 - LIMIT - LAST, "+charge")


def test_markers_are_never_folded() -> None:
    assert len(rows(*(mark("retried", n) for n in range(LIMIT + 5)))) == LIMIT + 5


def test_only_what_failed_or_is_open_keeps_its_number() -> None:
    steps = [step("a", 0, 1), step("b", 0, 1, BUSY), step("c", 0, None)]
    assert [row.n for row in wanted(steps, failed=True)] == [2, 3]
