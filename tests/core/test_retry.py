"""Retry policies: how often, how long, for which errors."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergon_runtime.core.retry import RetryPolicy, is_retryable, seconds
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
