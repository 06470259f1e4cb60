"""Retry policies: how often, how long, for which errors."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.codec import decode_error, encode_error
from ergon_runtime.core.retry import LONGEST, RetryPolicy, is_retryable, retry_after, seconds
from ergon_runtime.errors import CodecError, NonRetryableError, RetryableError


class Doubtful(RetryableError):
    def __init__(self, again: bool) -> None:
        super().__init__()
        self.again = again

    def is_retryable(self) -> bool:
        return self.again


def test_presets_are_what_the_interface_names() -> None:
    assert RetryPolicy.NONE.max_attempts == 1
    assert RetryPolicy(3, 1.0, 2.0, 30.0) == RetryPolicy.STANDARD
    assert RetryPolicy.AGGRESSIVE.max_attempts == 10


def test_max_attempts_counts_the_first_try() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert [policy.allows(ValueError(), attempt) for attempt in (1, 2, 3, 4)] == [True, True, False, False]
    assert not RetryPolicy.NONE.allows(ValueError(), 1)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ValueError(), True),
        (TimeoutError(), True),
        (NonRetryableError(), False),
        (CodecError(), False),
        (RetryableError(), True),
        (Doubtful(True), True),
        (Doubtful(False), False),
        (SystemExit(1), False),
        (KeyboardInterrupt(), False),
        (asyncio.CancelledError(), False),
    ],
)
def test_error_says_whether_another_try_makes_sense(error: BaseException, again: bool) -> None:
    assert is_retryable(error, RetryPolicy()) is again


def test_classes_of_the_policy_narrow_and_take_out() -> None:
    policy = RetryPolicy(retryable=(OSError,), non_retryable=(FileNotFoundError,))
    assert is_retryable(PermissionError(), policy)
    assert not is_retryable(FileNotFoundError(), policy)
    assert not is_retryable(ValueError(), policy)
    assert not is_retryable(NonRetryableError(), RetryPolicy(retryable=(NonRetryableError,)))


def test_delay_grows_by_the_multiplier_up_to_the_longest() -> None:
    policy = RetryPolicy(max_attempts=9, initial=0.5, multiplier=3, max_delay=timedelta(seconds=10))
    assert [policy.delay(attempt) for attempt in range(1, 6)] == [500, 1500, 4500, 10_000, 10_000]
    assert policy.delay(10_000) == 10_000


def test_delay_is_spread_by_the_jitter_in_both_directions() -> None:
    policy = RetryPolicy(initial=timedelta(seconds=10), jitter=0.2)
    assert [policy.delay(1, spread) for spread in (0, 0.5, 1)] == [8000, 10_000, 12_000]


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(1, 1e6))
def test_delay_is_never_negative_and_never_far_over_the_longest(
    attempt: int, spread: float, jitter: float, multiplier: float
) -> None:
    policy = RetryPolicy(initial=0.1, multiplier=multiplier, max_delay=60, jitter=jitter)
    assert 0 <= policy.delay(attempt, spread) <= 120_000


# --- retry_after (T7)
class Asks(Exception):
    def __init__(self, retry_after: object) -> None:
        super().__init__()
        self.retry_after = retry_after


class Stubborn(Exception):
    @property
    def retry_after(self) -> float:
        raise LookupError("nobody knows")


class Odd(float):
    def __float__(self) -> float:
        raise LookupError("no number")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (0, 0.0),
        (30, 30.0),
        (1.5, 1.5),
        (timedelta(minutes=2), 120.0),
        (Decimal("2.5"), 2.5),
        (Fraction(1, 2), 0.5),
        (None, None),
        (-1, None),
        (timedelta(-1), None),
        (float("nan"), None),
        (Decimal("sNaN"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        ("30", None),
        (1j, None),
        ([], None),
        (Odd(3), None),
    ],
)
def test_t7_error_may_say_when_to_try_again(asked: object, found: float | None) -> None:
    assert retry_after(Asks(asked)) == found


def test_t7_error_without_a_say_or_that_cannot_say_follows_the_policy() -> None:
    policy = RetryPolicy(initial=7)
    assert [policy.wait(error, 1) for error in (ValueError(), Stubborn(), RetryableError("x"), Asks("7"))] == [7000] * 4


def test_t7_what_the_error_asks_for_is_not_capped_nor_spread() -> None:
    policy = RetryPolicy(max_attempts=9, initial=1, max_delay=5, jitter=1)
    assert {policy.wait(Asks(60.0004), attempt, spread) for attempt in (1, 8) for spread in (0, 1)} == {60_000}
    assert policy.wait(RetryableError("x", retry_after=timedelta(0)), 1, 1) == 0


def test_wait_is_never_longer_than_a_century() -> None:
    for policy in (RetryPolicy(initial=1e300, max_delay=1e300), RetryPolicy(max_delay=1e300, multiplier=1e300)):
        assert (policy.wait(Asks(1e300), 2), policy.wait(ValueError(), 2)) == (LONGEST * 1000, LONGEST * 1000)


def test_t7_error_that_asks_for_another_try_gets_no_more_than_the_policy_allows() -> None:
    assert not RetryPolicy(max_attempts=2).allows(RetryableError("x", retry_after=1), 2)
    assert not RetryPolicy(max_attempts=2, non_retryable=(RetryableError,)).allows(RetryableError(retry_after=1), 1)


@pytest.mark.parametrize("after", [None, 30, 0.25, timedelta(minutes=1)])
def test_t7_retryable_error_keeps_its_wish_when_stored(after: float | timedelta | None) -> None:
    again = decode_error(encode_error(RetryableError("busy", 7, retry_after=after)))
    assert isinstance(again, RetryableError)
    assert (again.args, again.retry_after) == (("busy", 7), after)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"initial": -1},
        {"max_delay": timedelta(seconds=-1)},
        {"multiplier": 0.5},
        {"jitter": 1.1},
        {"jitter": -0.1},
        {"initial": float("nan")},
        {"initial": float("inf"), "max_delay": float("inf")},
        {"multiplier": float("nan")},
    ],
)
def test_number_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


def test_seconds_of_a_number_or_timedelta() -> None:
    assert (seconds(2), seconds(timedelta(minutes=1))) == (2.0, 60.0)
